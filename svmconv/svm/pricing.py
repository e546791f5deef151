"""Pricing: which constraints the working set of constraint generation is made of.

All rows are read for it once a round, as margins (n, J); only the few chosen ones are ever built.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from svmconv.svm.rows import Pairs, SignedRows

SLACK = 1.3
"""A row of the working set with zero dual and a margin above this is dropped."""


def nearest(rows: SignedRows, margins: Float64[np.ndarray, "n j"], count: int) -> Pairs:
    """The constraints of smallest margin, and at least one of every class."""
    found = _smallest(margins.ravel(), count)
    found = found[np.isfinite(margins.ravel()[found])]
    hardest = margins.argmin(axis=1)
    of_each = []
    for k in range(rows.problem.n_classes):
        members = np.flatnonzero(rows.problem.index == k)
        best = members[np.argmin(margins[members, hardest[members]])]
        of_each.append(best * rows.rivals + hardest[best])
    return np.union1d(found, of_each)


def violated(
    margins: Float64[np.ndarray, "n j"], working: Pairs, count: int, tolerance: float = 1e-13
) -> Pairs:
    """The most violated constraints outside the working set."""
    flat = margins.ravel().copy()
    flat[working] = np.inf
    below = np.flatnonzero(flat < 1.0 - tolerance)
    return below[_smallest(flat[below], count)]


def _smallest(values: np.ndarray, count: int) -> Pairs:
    """Where the smallest values are, and the smallest distinct ones: copies must not crowd out."""
    if count >= len(values):
        return np.arange(len(values))
    found = np.argpartition(values, count)[:count]
    distinct = np.unique(values[found], return_index=True)[1]
    if len(distinct) == count:
        return found
    return np.union1d(found, np.unique(values, return_index=True)[1][:count])
