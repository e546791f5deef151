"""LS_Degree (Zhong and Lyu, IEEE TPAMI 2024): how small a ball covers the directions from B to A.

1 - z, z the radius of the smallest ball around all (a - b) / |a - b|. With

    g = max over |u| <= 1 of min over a, b of u.(a - b) / |a - b|,

z = sqrt(1 - g^2) (derived: the ball around g u has that radius, since |g u - d|^2 = g^2 - 2 g u.d
+ 1 <= 1 - g^2; and a smaller one, around c, would make c / |c| better than u). g is the margin
through the origin of the normalised differences, a hard-margin SVM on len(A) len(B) rows: solved on
a working set, to which the rows of least margin are added, found block by block.

Rounding: a - b from the points as they are errs by EPS / 2 of itself in every coordinate, however
near a is to b; the difference of centred copies, by EPS of the points. So copies are used only for
pairs far apart, and only to find the least cosines.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from scipy.linalg import qr

from svmconv.errors import CertificateError
from svmconv.geometry import unit
from svmconv.measures.ranks import placed, two_sets
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
TINY = 1e-280
"""And where a square is below this, and may have lost digits to underflow."""
EPS = 2.0**-52


class LSDegree(NamedTuple):
    """1 - z, with certified bounds."""

    value: float
    """1 - sqrt(1 - g^2), 0 where nothing separates A from B."""
    lower: float
    upper: float
    """Of hulls that meet it is 0 up to the rounding of the proof, some 1e-28."""
    g: float
    """Least cosine between `direction` and a difference a - b."""
    direction: Float64[np.ndarray, " d"]
    """Unit vector; zero where nothing separates."""


class Sets(NamedTuple):
    """A and B as they are, for differences, and about their common mean, for products."""

    a: Float64[np.ndarray, "n d"]
    b: Float64[np.ndarray, "m d"]
    p: Float64[np.ndarray, "n d"]
    q: Float64[np.ndarray, "m d"]


def ls_degree(A: Any, B: Any) -> LSDegree:
    """LS_Degree of the sets A (n, d) and B (m, d): 1 - z, from 0 (not separable) towards 1.

    lower comes from the least cosine over all n m pairs along `direction`, upper from the duals of
    the working set; both hold for the points as given, with all rounding. Where the hulls meet, a
    point of both sets included, the best u is 0: g = 0 and LS_Degree = 0. Time O(n m d) a round,
    memory O(BLOCK). Raises DataError; CertificateError where the bounds on g stay further apart
    than WIDE.

    >>> found = ls_degree([[0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]])  # directions (-1, 1) and (1, 1)
    >>> round(found.value - (1 - 0.5**0.5), 15), found.direction.round(15).tolist()
    (0.0, [0.0, 1.0])
    """
    a, b = two_sets(A, B)
    n, d = a.shape
    x = placed(np.vstack([a, b])).x
    centred = x - x.mean(axis=0)
    sets = Sets(x[:n], x[n:], centred[:n], centred[n:])
    u = centred[:n].mean(axis=0) - centred[n:].mean(axis=0)
    u = u if u.any() else x[0] - x[n]
    if not u.any():
        return LSDegree(0.0, 0.0, 0.0, 0.0, np.zeros(d))
    u, count = unit(u), min(d, len(x)) + 50
    rows, alpha = np.zeros((0, d)), np.zeros(0)
    basis = np.eye(d) if d <= len(x) else np.zeros((d, 0))  # rows are solved in their own span
    best, lower, upper = u, -math.inf, 1.0
    for _ in range(ROUNDS):
        found = _hardest(u, sets, count)
        if found is None:
            return LSDegree(0.0, 0.0, 0.0, 0.0, np.zeros(d))
        least, hardest = found
        if least > lower:
            best, lower = u, least
        if upper - lower <= GAP + 4.0 * _doubt(d):
            break
        rows, alpha = np.vstack([rows, hardest]), np.append(alpha, np.zeros(len(hardest)))
        basis = _extended(basis, hardest)
        try:
            solved = polish(rows @ basis, np.zeros((len(rows), 0)), alpha)
        except Infeasible as proof:
            upper = min(upper, _above(rows, proof.weights))
            break
        if solved is None:
            break
        upper = min(upper, _above(rows, solved.alpha))
        v = basis @ solved.v
        keep = (solved.alpha > 0) | (rows @ v <= SLACK)
        rows, alpha, u = rows[keep], solved.alpha[keep], unit(v)
    return _certified(best, lower, upper)


def _certified(u: Float64[np.ndarray, " d"], least: float, upper: float) -> LSDegree:
    g, lower = max(least, 0.0), max(least - _doubt(len(u)), 0.0)
    bounds = _degree(lower) * (1.0 - 8 * EPS), min(_degree(upper) * (1.0 + 8 * EPS), 1.0)
    if upper - lower > WIDE:
        raise CertificateError(
            f"LS_Degree is only known to lie between {bounds[0]:.6g} and {bounds[1]:.6g}:"
            " the sets are too close to non-separable for float64",
            lower=bounds[0],
            upper=bounds[1],
        )
    return LSDegree(_degree(g), *bounds, g, u if g > 0 else np.zeros_like(u))


def _degree(g: float) -> float:
    """1 - sqrt(1 - g^2), without cancellation."""
    g = min(g, 1.0)
    return g * g / (1.0 + math.sqrt((1.0 - g) * (1.0 + g)))


def _doubt(d: int) -> float:
    """More than the rounding of u.(a - b) / |a - b| / |u|: d + 6 EPS with that of both norms."""
    return (d + 16) * EPS


def _extended(
    basis: Float64[np.ndarray, "d s"], rows: Float64[np.ndarray, "c d"]
) -> Float64[np.ndarray, "d t"]:
    """Orthonormal columns that span the unit rows too, up to rounding."""
    d, s = basis.shape
    if s == d:
        return basis
    outside = rows.T
    for _ in range(2):  # once more: the first projection loses digits
        outside = outside - basis @ (basis.T @ outside)
    added, r, _ = qr(outside, mode="economic", pivoting=True, check_finite=False)
    return np.hstack([basis, added[:, np.abs(np.diag(r)) > d * EPS]])[:, :d]


def _above(rows: Float64[np.ndarray, "c d"], weights: Float64[np.ndarray, " c"]) -> float:
    """g <= |sum of weights x rows| / sum of weights, whatever the weights >= 0; rounded up.

    Each row errs by (d + 6) EPS / 2 of its length, each of two sums by EPS a term at most.
    """
    used = weights > 0
    rows, weights = rows[used], weights[used]
    force = float(np.linalg.norm(rows.T @ weights) / weights.sum())
    return force + (rows.shape[1] + 2 * len(rows) + 16) * EPS


def _hardest(
    u: Float64[np.ndarray, " d"], sets: Sets, count: int
) -> tuple[float, Float64[np.ndarray, "c d"]] | None:
    """The least cosine over all pairs, or a bound, and the unit differences of the smallest.

    None where some a equals some b.
    """
    m, d = sets.b.shape
    doubt = (d + 8) * EPS / (1.0 if d <= FEW else CLOSE**2)
    cosines, pairs, rest = np.zeros(0), np.zeros(0, dtype=np.int64), math.inf
    step = max(1, BLOCK // sets.b.size)
    for start in range(0, len(sets.a), step):
        new = _cosines(u, sets, slice(start, start + step))
        if new is None:
            return None
        cosines = np.append(cosines, new)
        pairs = np.append(pairs, start * m + np.arange(new.size))
        if len(cosines) > count:
            order = np.argpartition(cosines, count)
            rest = min(rest, float(cosines[order[count]]))
            cosines, pairs = cosines[order[:count]], pairs[order[:count]]
    differences = _differences(sets, *np.divmod(pairs, m))
    return min(float((differences @ u).min()), rest - doubt), differences


def _cosines(u: Float64[np.ndarray, " d"], sets: Sets, some: slice) -> np.ndarray | None:
    """u.(a - b) / |a - b| of all pairs of some a, flat; None where one of them equals some b."""
    p, q = sets.p[some], sets.q
    far = np.einsum("ij,ij->i", p, p)[:, None] + np.einsum("ij,ij->i", q, q)
    square = far - 2.0 * (p @ q.T)
    close = np.maximum(CLOSE**2 * far, TINY)
    i, j = np.nonzero(square <= (math.inf if len(u) <= FEW else close))
    near = _differences(sets, i + some.start, j)
    if np.isnan(near).any():
        return None
    square[i, j] = 1.0
    cosines = ((p @ u)[:, None] - q @ u) / np.sqrt(square)
    cosines[i, j] = near @ u
    return cosines.ravel()


def _differences(
    sets: Sets, i: Int[np.ndarray, " c"], j: Int[np.ndarray, " c"]
) -> Float64[np.ndarray, "c d"]:
    """Unit vectors along a_i - b_j; nan where they are equal."""
    return unit(sets.a[i] - sets.b[j])
