"""LS_q of two sets of numbers: which part of all their differences points up, by sorting.

For numbers u of A and v of B, LS_q = P_q / (P_q + N_q), with P_q the sum of (u - v)^q over the
pairs with u > v and N_q that of (v - u)^q over those with v > u; LS_0 = P_0 / (all pairs), so that
a tie counts against. With k = #{v < u_i} and running sums c1, c2 of the sorted v and v^2 (derived),

    sum over v < u_i of (u_i - v)^q  =  k,   k u_i - c1[k],   k u_i^2 - 2 u_i c1[k] + c2[k],

O(n log n) in place of all pairs. N_q comes from the same sums with u and v exchanged and not from
P_q and the sum of all differences: where nothing points down it is 0, and LS_q is 1, exactly.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from svmconv.errors import DataError
from svmconv.problem import readable
from svmconv.svm.offset import common_offset

ORDERS = (0, 1, 2)
USUAL = 1e30
"""Points up to this size, and down to its inverse, stay as they are: their squares, the squares of
those and products with weights that are inverse to them are far inside float64."""


def separability_along(w: Any, A: Any, B: Any, order: int = 0) -> float | Float64[np.ndarray, " m"]:
    """LS_q of the sets A (n, d) and B (m, d) along w (d,), or (k, d) for the values (k,) of each.

        LS_q(w) = sum_ab (w.(a - b))_+^q / sum_ab |w.(a - b)|^q,      q = order = 0, 1 or 2,

    where q = 0 counts strict positives among all pairs: without ties it is the area under the ROC
    curve of x -> w.x. Exact to rounding, O(n log n) a direction. Where w is constant on all points
    LS_0 is 0, no pair being strictly ordered, and LS_1 and LS_2 are 0/0: nan. The family follows
    Zhang et al. (arXiv 2307.13962); this form of it is ours. Raises DataError.

    >>> separability_along([1.0], [[1.0], [3.0]], [[0.0], [2.0]])  # 3 pairs of 4 point up
    0.75
    >>> round(separability_along([1.0], [[1.0], [3.0]], [[0.0], [2.0]], order=1), 12)  # 5/6 up
    0.833333333333
    >>> separability_along([1.0], [[1.0], [2.0]], [[0.0], [1.0]])  # a tie counts against
    0.75
    """
    a, b = two_sets(A, B)
    check_order(order)
    directions = _directions(w, a.shape[1])
    near = placed(np.vstack([a, b])).x
    a, b = near[: len(a)], near[len(a) :]
    found = np.array([separabilities(*projected(one, a, b))[order] for one in directions])
    return found if np.ndim(w) == 2 else float(found[0])


def separabilities(
    u: Float64[np.ndarray, " n"], v: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, " 3"]:
    """LS_0, LS_1 and LS_2 of the numbers u of A over v of B; nan for 0/0."""
    return both_ways(u, v)[0]


def both_ways(
    u: Float64[np.ndarray, " n"], v: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, "2 3"]:
    """LS_0, LS_1 and LS_2 of u over v, and of -u over -v; nan for 0/0."""
    u, v = np.sort(u), np.sort(v)
    k, j = np.searchsorted(v, u), np.searchsorted(u, v)  # before centring, which may make ties
    centre = (u.mean() + v.mean()) / 2.0
    u, v = u - centre, v - centre
    size = max(abs(u[0]), abs(u[-1]), abs(v[0]), abs(v[-1])) or 1.0
    u, v = u / size, v / size
    sums = np.stack([_sums(u, v, k), _sums(v, u, j)])
    total = sums.sum(axis=0)
    total[0] = len(u) * len(v)  # ties too
    with np.errstate(invalid="ignore"):
        return sums / total


def below(
    x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " m"], order: int
) -> Float64[np.ndarray, " n"]:
    """For every x the sum over all y < x of (x - y)^order; y sorted."""
    k = np.searchsorted(y, x)
    if order == 0:
        return k.astype(np.float64)
    one = _running(y)[k]
    return k * x - one if order == 1 else (k * x - 2.0 * one) * x + _running(y * y)[k]


def threshold(u: Float64[np.ndarray, " n"], v: Float64[np.ndarray, " m"]) -> tuple[float, int, int]:
    """(t, e, f): e of the u are <= t, f of the v are > t, and e / n + f / m is the least."""
    tried = np.append(-np.inf, np.unique(np.concatenate([u, v])))
    e = np.searchsorted(np.sort(u), tried, side="right")
    f = len(v) - np.searchsorted(np.sort(v), tried, side="right")
    best = np.argmin(e * len(v) + f * len(u))
    return float(tried[best]), int(e[best]), int(f[best])


def projected(
    w: Float64[np.ndarray, " d"], a: Float64[np.ndarray, "n d"], b: Float64[np.ndarray, "m d"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " m"]]:
    """a w and b w, every row added up in the same order: BLAS may order equal rows."""
    return np.einsum("ij,j->i", a, w), np.einsum("ij,j->i", b, w)


class Placed(NamedTuple):
    """Points moved near the origin, and near the size 1 where squares might leave float64."""

    x: Float64[np.ndarray, "n d"]
    """(given - offset) 2^power, exactly."""
    offset: Float64[np.ndarray, " d"]
    power: int


def placed(x: Float64[np.ndarray, "n d"]) -> Placed:
    """The points where what feels no translation and no scale can be computed.

    DataError where the smallest entries would be lost beside the largest.
    """
    offset, power = place(x.min(axis=0), x.max(axis=0))
    moved = x - offset
    scaled = np.ldexp(moved, power)
    if power < 0 and not np.array_equal(np.ldexp(scaled, -power), moved):
        raise DataError(
            f"entries are as large as {np.abs(moved).max():.1e} and as small as "
            f"{np.abs(moved[moved != 0]).min():.1e}, and float64 cannot hold the squares of both: "
            "rescale the features to sizes near 1"
        )
    return Placed(scaled, offset, power)


def place(
    low: Float64[np.ndarray, " d"], high: Float64[np.ndarray, " d"]
) -> tuple[Float64[np.ndarray, " d"], int]:
    """Offset and power of Placed, for features from low to high.

    A constant feature is moved to 0; the others as in svm/offset.py, looked at near size 1.
    """
    constant = low == high
    ends = np.where(constant, 0.0, np.stack([low, high]))
    first = _power(ends)
    moved = np.ldexp(common_offset(np.ldexp(ends, first)), -first)
    offset = np.where(constant, low, moved)
    return offset, _power(np.where(constant, 0.0, np.stack([low, high]) - offset))


def _power(x: Float64[np.ndarray, "..."]) -> int:
    """That 2^power x has its largest entry in [1/2, 1); 0 where it is of usual size anyway."""
    largest = float(np.abs(x).max())
    usual = largest == 0 or 1.0 / USUAL <= largest <= USUAL
    return 0 if usual else -int(np.frexp(largest)[1])


def two_sets(A: Any, B: Any) -> tuple[Float64[np.ndarray, "n d"], Float64[np.ndarray, "m d"]]:
    """Both sets in float64. DataError unless they are finite points of one space."""
    a, b = points("A", A).astype(np.float64), points("B", B).astype(np.float64)
    if a.shape[1] != b.shape[1]:
        raise DataError(
            f"A has {a.shape[1]} features and B has {b.shape[1]}: give points of one space"
        )
    return a, b


def points(name: str, given: Any) -> np.ndarray:
    """As an array (n, d) of its own dtype. DataError unless it holds finite real numbers."""
    try:
        array = readable(name, given)
    except DataError:
        raise
    except ValueError:
        raise DataError(f"{name} is not rectangular: give every row the same length") from None
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise DataError(f"{name} must hold real numbers, got an array of dtype {array.dtype}")
    if array.ndim != 2:
        raise DataError(
            f"{name} must be two-dimensional (rows, features), got shape {array.shape}; use "
            "reshape(len(rows), -1) to flatten each row"
        )
    if 0 in array.shape:
        raise DataError(
            f"{name} is empty (shape {array.shape}): give at least one row and one feature"
        )
    if not (math.isfinite(float(array.min())) and math.isfinite(float(array.max()))):
        raise DataError(f"{name} has NaN or infinite values: drop or replace them")
    return array


def check_order(order: int) -> None:
    """DataError unless it is 0, 1 or 2."""
    if isinstance(order, bool) or order not in ORDERS:
        raise DataError(f"unknown order {order!r}: choose one of 0, 1, 2")


def _directions(w: Any, d: int) -> Float64[np.ndarray, "m d"]:
    given = points("w", np.atleast_2d(readable("w", w))).astype(np.float64)
    if given.shape[1] != d:
        raise DataError(f"w must have one entry per feature, {d}, got {given.shape[1]}")
    return np.stack([np.ldexp(one, _power(one)) for one in given])


def _sums(
    x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " m"], k: Int[np.ndarray, " n"]
) -> Float64[np.ndarray, " 3"]:
    """P_0, P_1 and P_2 of sorted x over sorted y, k = #{y < x}."""
    one, two = _running(y)[k], _running(y * y)[k]
    sums = np.array([k.sum(), (k * x - one).sum(), ((k * x - 2.0 * one) * x + two).sum()])
    return np.maximum(sums, 0.0)  # differences below rounding


def _running(y: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, " m+1"]:
    return np.concatenate([[0.0], np.cumsum(y)])
