"""Rows that no weights separate: the combination of them that is zero, proven.

By Gordan's theorem either some weights give every row a positive margin, or some convex combination
of the rows is zero. A linear program (HiGHS) finds it on a working set; a vertex of its feasible
set has at most s + q + 1 positive weights, whose rows have a one-dimensional null space. For up to
EXACT rows that null space is computed in integers, so the proof is one about the real numbers; for
more it is zero to rounding. Neither the sizes of the rows nor the units of the features matter.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linprog

EXACT = 32
"""Rows of a combination that are eliminated in integers: 32 take a second, 100 a minute."""
ZERO = 1e-13
"""A combination of unit rows this small is zero to rounding: its null vector errs by EPS a row, and
there are up to a thousand."""


def zero_combination(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"]
) -> Float64[np.ndarray, " m"] | None:
    """weights >= 0, sum 1, with weights (a, c) = 0 (see sharpen); None if no such are found."""
    rows = np.hstack([a, c])
    zero = ~rows.any(axis=1)
    if zero.any():
        return sharpen(a, c, zero.astype(float))
    unit, sizes = levelled(rows)
    found = linprog(
        np.zeros(len(rows)),
        A_eq=np.vstack([unit.T, np.ones(len(rows))]),
        b_eq=np.append(np.zeros(rows.shape[1]), 1.0),
        method="highs",
        options={"time_limit": 60.0},
    )
    return sharpen(a, c, found.x / sizes) if found.status == 0 else None


def sharpen(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], weights: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, " m"] | None:
    """The same combination, sum 1, as the null vector of its rows: exact, or of size ZERO at most.

    None if there is no such null vector, or it is not positive.
    """
    rows = np.hstack([a, c])
    zero = ~rows.any(axis=1) & (weights > 0)
    if zero.any():
        return (np.arange(len(rows)) == zero.argmax()).astype(float)
    weights = weights * levelled(rows)[1]
    used = np.flatnonzero(weights > 1e-9 * weights.max())
    null = (_exact_null if len(used) <= EXACT else _rounded_null)(rows[used])
    if null is None:
        return None
    sharp = np.zeros(len(rows))
    sharp[used] = null / null.sum()
    return sharp


def _exact_null(rows: Float64[np.ndarray, "m s"]) -> Float64[np.ndarray, " m"] | None:
    """The null vector, eliminated in integers (Bareiss, Math. Comp. 22 (1968)), then rounded.

    None unless the null space has one dimension and its vector one sign.
    """
    matrix, last, rank = _integers(rows.T), 1, 0
    m = len(rows)
    order: list[int] = []
    for column in range(m):
        pivot = next((i for i in range(rank, len(matrix)) if matrix[i][column]), None)
        if pivot is None:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        head = matrix[rank]
        for i, row in enumerate(matrix):
            if i != rank:
                p, q = head[column], row[column]
                matrix[i] = [(p * v - q * h) // last for v, h in zip(row, head, strict=True)]
        last, rank = head[column], rank + 1
        order.append(column)
    if rank != m - 1:
        return None
    # every pivot now equals `last`: last x[pivot column] + entry x[free column] = 0
    free = next(j for j in range(m) if j not in order)
    null = [0] * m
    null[free] = last
    for row, column in zip(matrix, order, strict=False):
        null[column] = -row[free]
    null = [v if last > 0 else -v for v in null]
    if min(null) <= 0:
        return None
    total = sum(null)
    return np.array([v / total for v in null])


def _integers(columns: Float64[np.ndarray, "s m"]) -> list[list[int]]:
    """The nonzero features of the rows as integers, each times a power of two of its own."""
    found = []
    for column in columns[columns.any(axis=1)].tolist():
        ratios = [value.as_integer_ratio() for value in column]
        common = max(below for _, below in ratios)
        whole = [above * (common // below) for above, below in ratios]
        shared = math.gcd(*whole)
        found.append([value // shared for value in whole])
    return found


def _rounded_null(rows: Float64[np.ndarray, "m s"]) -> Float64[np.ndarray, " m"] | None:
    """The null vector of unit rows by singular values, if it is zero to rounding."""
    unit, sizes = levelled(rows)
    null = np.linalg.svd(unit.T)[2][-1]
    null = null * np.sign(null.sum())
    if (null <= 0).any() or np.linalg.norm(null @ unit) > ZERO * null.sum():
        return None
    return null / sizes


def levelled(
    rows: Float64[np.ndarray, "m s"],
) -> tuple[Float64[np.ndarray, "m s"], Float64[np.ndarray, " m"]]:
    """Unit rows over features in units of their largest entry, and the lengths divided out.

    Neither division moves a combination to zero or away from it. Zero rows stay zero.
    """
    largest = np.abs(rows).max(axis=0)
    rows = rows / np.where(largest > 0, largest, 1.0)
    sizes = np.abs(rows).max(axis=1)
    sizes = np.where(sizes > 0, sizes, 1.0)
    lengths = np.linalg.norm(rows / sizes[:, None], axis=1)
    sizes = sizes * np.where(lengths > 0, lengths, 1.0)
    return rows / sizes[:, None], sizes
