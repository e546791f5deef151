"""How many dimensions the features fill, and whether a class has become a point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from svmconv.problem import Problem
from svmconv.svm.solve import BLAS

ROUNDING = 64
"""Features closer than this many units in the last place of the largest one are equal: a sum of a
few thousand products is right to tens of units."""


class Collapse(NamedTuple):
    """The shape of the features, as far as their own precision resolves it."""

    rank: int
    """Directions along which the centred rows spread (root mean square) by more than rounding."""
    spread: Float64[np.ndarray, " k"]
    """Root mean square distance of a class's rows from their mean, over that of all rows from
    theirs; 0 where all rows are one point."""
    collapsed: Bool[np.ndarray, " k"]
    """Whether the rows of a class, two at least, are one point up to rounding (a relu class at
    exactly 0 is the usual case); where every class is, all features may be one point."""


def collapse(problem: Problem, eps: float) -> Collapse:
    """Rank and spread of features that were computed with machine epsilon `eps`."""
    rounding = ROUNDING * eps * float(np.abs(problem.x).max())
    centred = problem.x - problem.x.mean(axis=0)
    with BLAS.limit(limits=1):  # the singular values of R are those of the rows, and R is small
        sizes = np.linalg.svd(np.linalg.qr(centred, mode="r"), compute_uv=False)
    total = float(np.linalg.norm(sizes)) / np.sqrt(problem.n)
    spread, point = np.zeros(problem.n_classes), np.zeros(problem.n_classes, dtype=bool)
    for k in range(problem.n_classes):
        members = problem.x[problem.index == k]
        off = members - members.mean(axis=0)
        point[k] = len(members) > 1 and float(np.abs(off).max()) <= rounding
        if total > rounding:
            spread[k] = np.linalg.norm(off) / np.sqrt(len(members)) / total
    return Collapse(int((sizes > rounding * np.sqrt(problem.n)).sum()), spread, point)
