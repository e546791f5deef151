"""LS_Degree (Zhong and Lyu, IEEE TPAMI 2024): how small a ball covers the directions from B to A.

1 - z, z the radius of the smallest ball around all (a - b) / |a - b|. With

    g = max over |u| <= 1 of min over a, b of u.(a - b) / |a - b|,

z = sqrt(1 - g^2) (derived: the ball around g u has that radius, since |g u - d|^2 = g^2 - 2 g u.d
+ 1 <= 1 - g^2; and a smaller one, around c, would make c / |c| better than u). g is the margin
through the origin of the normalised differences, a hard-margin SVM on len(A) len(B) rows: solved on
a working set, to which the rows of least margin are added, found block by block.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from svmconv.errors import CertificateError
from svmconv.geometry import unit
from svmconv.measures.hulls import turned
from svmconv.measures.ranks import two_sets
from svmconv.svm.polish import Infeasible, polish
from svmconv.svm.pricing import SLACK

BLOCK = 2**22
"""Numbers in the differences of all pairs that are looked at together: 32 MB."""
ROUNDS = 200
GAP = 1e-12
"""Gap of g at which rounds end."""
WIDE = 1e-9
"""Gap of g that is an error."""
CLOSE = 0.1
"""|a - b| below this part of |(a, b)| is computed from the difference: the expanded square,
|a|^2 - 2 a.b + |b|^2, would lose digits."""
FEW = 4
"""Features up to which that is done for all pairs."""
DOUBT = 1e-14
"""More than the rounding of one cosine of unit vectors, and of the norm of the duals' forces."""
EPS = 2.0**-52


class LSDegree(NamedTuple):
    """1 - z, with certified bounds."""

    value: float
    """1 - sqrt(1 - g^2), 0 where nothing separates A from B."""
    lower: float
    upper: float
    g: float
    """Least cosine between `direction` and a difference a - b."""
    direction: Float64[np.ndarray, " d"]
    """Unit vector; zero where nothing separates."""


def ls_degree(A: Any, B: Any) -> LSDegree:
    """LS_Degree of the sets A (n, d) and B (m, d): 1 - z, from 0 (not separable) towards 1.

    lower comes from the least cosine over all n m pairs along `direction`, upper from the duals of
    the working set. Where the hulls meet, a point of both sets included, the best u is 0: g = 0 and
    LS_Degree = 0. Time O(n m d) a round, memory O(BLOCK). Raises DataError; CertificateError where
    the bounds on g stay further apart than WIDE.

    >>> found = ls_degree([[0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]])  # directions (-1, 1) and (1, 1)
    >>> round(found.value - (1 - 0.5**0.5), 15), found.direction.round(15).tolist()
    (0.0, [0.0, 1.0])
    """
    a, b = two_sets(A, B)
    d, n = a.shape[1], len(a)
    near = turned(np.vstack([a, b]))
    x = near.x - near.x.mean(axis=0)
    x /= np.abs(x).max() or 1.0
    a, b = x[:n], x[n:]
    nothing = LSDegree(0.0, 0.0, 0.0, 0.0, np.zeros(d))
    u = a.mean(axis=0) - b.mean(axis=0)
    if not u.any():
        return nothing
    u, count = unit(u), a.shape[1] + 50
    rows, alpha = np.zeros((0, a.shape[1])), np.zeros(0)
    best, lower, upper = u, -math.inf, 1.0
    for _ in range(ROUNDS):
        found = _hardest(u, a, b, count)
        if found is None:
            return nothing
        least, hardest = found
        if least > lower:
            best, lower = u, least
        if upper - lower <= GAP:
            break
        rows, alpha = np.vstack([rows, hardest]), np.append(alpha, np.zeros(len(hardest)))
        try:
            solved = polish(rows, np.zeros((len(rows), 0)), alpha)
        except Infeasible:
            return nothing
        if solved is None:
            break
        upper = min(upper, float(np.linalg.norm(rows.T @ solved.alpha) / solved.alpha.sum()))
        keep = (solved.alpha > 0) | (rows @ solved.v <= SLACK)
        rows, alpha, u = rows[keep], solved.alpha[keep], unit(solved.v)
    g, lower, upper = max(lower, 0.0), max(lower - DOUBT, 0.0), upper + DOUBT
    if upper - lower > WIDE:
        raise CertificateError(
            f"LS_Degree is only known to lie between {_degree(lower):.6g} and {_degree(upper):.6g}:"
            " the sets are too close to non-separable for float64",
            lower=_degree(lower),
            upper=_degree(upper),
        )
    return LSDegree(_degree(g), _degree(lower), _degree(upper), g, unit(near.back(best)))


def _degree(g: float) -> float:
    """1 - sqrt(1 - g^2), without cancellation."""
    g = min(g, 1.0)
    return g * g / (1.0 + math.sqrt(1.0 - g * g))


def _hardest(
    u: Float64[np.ndarray, " d"],
    a: Float64[np.ndarray, "n d"],
    b: Float64[np.ndarray, "m d"],
    count: int,
) -> tuple[float, Float64[np.ndarray, "c d"]] | None:
    """The least cosine over all pairs, or a bound, and the unit differences of the smallest.

    None where some a equals some b.
    """
    doubt = (a.shape[1] + 8) * EPS / (1.0 if a.shape[1] <= FEW else CLOSE**2)
    cosines, pairs, rest = np.zeros(0), np.zeros(0, dtype=np.int64), math.inf
    step = max(1, BLOCK // b.size)
    for start in range(0, len(a), step):
        new = _cosines(u, a[start : start + step], b)
        if new is None:
            return None
        cosines = np.append(cosines, new)
        pairs = np.append(pairs, start * len(b) + np.arange(new.size))
        if len(cosines) > count:
            order = np.argpartition(cosines, count)
            rest = min(rest, float(cosines[order[count]]))
            cosines, pairs = cosines[order[:count]], pairs[order[:count]]
    i, j = np.divmod(pairs, len(b))
    differences = unit(a[i] - b[j])
    return min(float((differences @ u).min()), rest - doubt), differences


def _cosines(
    u: Float64[np.ndarray, " d"], a: Float64[np.ndarray, "n d"], b: Float64[np.ndarray, "m d"]
) -> Float64[np.ndarray, " nm"] | None:
    """u.(a - b) / |a - b| of all pairs; None where some a equals some b."""
    far = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    square = far - 2.0 * (a @ b.T)
    ups = (a @ u)[:, None] - b @ u
    i, j = np.nonzero(square <= (math.inf if a.shape[1] <= FEW else CLOSE**2 * far))
    apart = a[i] - b[j]
    square[i, j], ups[i, j] = np.einsum("ij,ij->i", apart, apart), apart @ u
    return (ups / np.sqrt(square)).ravel() if square.min() > 0 else None
