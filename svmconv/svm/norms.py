"""Norms and dual norms with their rounding: what the certificate divides by and bounds with.

The sums of l2, l1 and linf are rounded once or twice (fsum). The spectral and the nuclear norm come
from a singular value decomposition that is verified afterwards instead of being trusted: with
E = M - U S V^T, |U|^2 <= 1 + |U^T U - 1|_F and likewise V (k = min(K, d) singular values s),

    |U| |V| s_1 + |E|_F >= spectral(M) >= s_1 (1 - |U^T U - 1|_F) (1 - |V^T V - 1|_F) - |E|_F,
    nuclear(M) <= |U| |V| sum s + sqrt(k) |E|_F,

where every product of matrices is charged the error of its sums, n u |X| |Y| entry by entry
(Higham, Accuracy and Stability, section 3.5). About k d u in all, 1e-13 for ten classes.

This file imports nothing of the solver.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from svmconv.problem import Geometry
from svmconv.svm.dot2 import U

PAIR: dict[Geometry, float] = {"l2": math.sqrt(2.0), "l1": 1.0, "linf": 2.0, "spectral": 2**0.5}
"""Dual norm of the pair row (e_y - e_k) (x) x over that of x."""


def euclidean(v: Float64[np.ndarray, "*v"]) -> float:
    """|v| to a few units in the last place, without over- or underflow."""
    largest = float(np.abs(v).max(initial=0.0))
    if not 0 < largest < math.inf:
        return largest
    power = power_above(v)
    return math.ldexp(math.sqrt(math.fsum((np.ldexp(v, -power) ** 2).ravel())), power)


def power_above(v: Float64[np.ndarray, "*v"]) -> int:
    """The power of two just above the largest |v|."""
    return math.frexp(float(np.abs(v).max(initial=0.0)))[1]


def norm_bounds(w: Float64[np.ndarray, "*w"], geometry: Geometry) -> tuple[float, float]:
    """(below, above) the norm of w, entrywise for l1 and linf."""
    if geometry == "spectral":
        found = _decomposed(np.atleast_2d(w))
        top = float(found.values.max(initial=0.0))
        return top * (1 - 2 * found.stretch) - found.error, top * found.reach + found.error
    if geometry == "l2":
        size = euclidean(w)
    else:
        sizes = np.abs(w).ravel()
        size = math.fsum(sizes) if geometry == "l1" else float(sizes.max(initial=0.0))
    return size * (1 - 8 * U), size * (1 + 8 * U)


def dual_norm_above(
    values: Float64[np.ndarray, "c d"], errors: Float64[np.ndarray, "c d"], geometry: Geometry
) -> float:
    """An upper bound on the dual norm of every matrix within `errors` of `values`."""
    if geometry == "spectral":
        found = _decomposed(values)
        root = math.sqrt(min(values.shape))
        nuclear = math.fsum(found.values) * found.reach
        return (nuclear + root * (found.error + euclidean(errors))) * (1 + 8 * U)
    sizes = np.abs(values) + errors
    if geometry == "l2":
        return euclidean(sizes)
    return float(sizes.max() if geometry == "l1" else math.fsum(sizes.ravel())) * (1 + 4 * U)


def row_dual_norms(x: Float64[np.ndarray, "n d"], geometry: Geometry) -> Float64[np.ndarray, " n"]:
    """Dual norms of rows, to a relative 1e-12; where squares underflow, not less than 1e-150."""
    if geometry == "l1":
        return np.abs(x).max(axis=1)
    if geometry == "linf":
        return np.abs(x).sum(axis=1)
    return np.sqrt(np.maximum(np.einsum("ij,ij->i", x, x), 1e-300))


class _Decomposed(NamedTuple):
    """Singular values, and how far the factors they came with are from exact."""

    values: Float64[np.ndarray, " k"]
    stretch: float
    """At least |U^T U - 1| and |V^T V - 1|."""
    error: float
    """At least |M - U S V^T|_F."""

    @property
    def reach(self) -> float:
        """At least |U| |V|."""
        return (1.0 + self.stretch) * (1 + 4 * U)


def _decomposed(m: Float64[np.ndarray, "c d"]) -> _Decomposed:
    """A singular value decomposition and how far it is from exact."""
    power = power_above(m)
    m = np.ldexp(m, -power)
    u, s, vt = np.linalg.svd(m, full_matrices=False)
    k, longest = len(s), max(m.shape)
    # |X| |Y| of two orthonormal factors is at most k in the Frobenius norm
    product, square = 1.1 * (k + 3) * U * k, 1.1 * (longest + 3) * U * k
    stretch = max(euclidean(g - np.eye(k)) for g in (u.T @ u, vt @ vt.T)) * (1 + 8 * U) + square
    error = euclidean(m - (u * s) @ vt) * (1 + 8 * U) + product * float(s.max(initial=0.0))
    return _Decomposed(np.ldexp(s, power), stretch, math.ldexp(error, power))
