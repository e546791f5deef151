"""Rows that no weights separate: the combination of them that is zero, sharpened.

By Gordan's theorem either some weights give every row a positive margin, or some convex combination
of the rows is zero. A linear program (HiGHS) finds it on a working set; a vertex of its feasible
set has at most s + q + 1 positive weights whose rows have a one-dimensional null space, so the
weights are then known to rounding.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linprog

ZERO = 1e-13
"""A combination of rows this small is zero to rounding: its null vector errs by EPS a row, and
there are up to a thousand."""


def zero_combination(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"]
) -> Float64[np.ndarray, " m"] | None:
    """weights >= 0, sum 1, with weights (a, c) = 0 to rounding; None if no such are found."""
    rows = _levelled(np.hstack([a, c]))
    sizes = np.linalg.norm(rows, axis=1)
    if not sizes.all():
        return sharpen(a, c, (sizes == 0).astype(float))
    unit = rows / sizes[:, None]
    found = linprog(
        np.zeros(len(rows)),
        A_eq=np.vstack([unit.T, np.ones(len(rows))]),
        b_eq=np.append(np.zeros(rows.shape[1]), 1.0),
        method="highs",
        options={"time_limit": 60.0},
    )
    if found.status != 0:
        return None
    return sharpen(a, c, found.x / sizes)


def sharpen(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], weights: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, " m"] | None:
    """The same combination, sum 1, zero to rounding: the null vector of its rows.

    None if that is not >= 0, or leaves more than ZERO of the largest row.
    """
    used = np.flatnonzero(weights > 1e-9 * weights.max())
    rows = _levelled(np.hstack([a, c]))
    sizes = np.linalg.norm(rows[used], axis=1)
    if not sizes.all():
        used, sizes = used[sizes == 0][:1], np.ones(1)
    null = np.linalg.svd((rows[used] / sizes[:, None]).T)[2][-1]
    null = null * np.sign(null.sum()) / sizes
    if (null <= 0).any():
        return None
    null /= null.sum()
    if np.linalg.norm(null @ rows[used]) > ZERO * np.linalg.norm(rows[used], axis=1).max():
        return None
    sharp = np.zeros(len(rows))
    sharp[used] = null
    return sharp


def _levelled(rows: Float64[np.ndarray, "m s"]) -> Float64[np.ndarray, "m s"]:
    """Every column divided by its largest entry, which moves no combination away from zero."""
    largest = np.abs(rows).max(axis=0)
    return rows / np.where(largest > 0, largest, 1.0)
