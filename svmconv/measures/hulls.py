"""The distance of two convex hulls: the exact test of linear separability, with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from svmconv.errors import CertificateError, NotSeparableError
from svmconv.geometry import unit
from svmconv.measures.candidates import NAMES, candidates, contest_of
from svmconv.measures.ranks import threshold, two_sets
from svmconv.problem import Problem
from svmconv.svm.certificate import certify, check_infeasible
from svmconv.svm.offset import common_offset
from svmconv.svm.outcome import refuse_wide
from svmconv.svm.result import MaxMargin
from svmconv.svm.separability import ZERO
from svmconv.svm.solve import max_margin

PART, SPARE = 4, 50
"""Rows of the first part that is tried: PART for every feature and SPARE more features."""


class Hulls(NamedTuple):
    """How far the convex hulls of two sets are apart, and what anyone can check it by."""

    separable: bool
    """Whether the hulls are disjoint: some w has min w.a > max w.b."""
    distance: float
    """Between the nearest points of the hulls, 2 / |w| of the SVM; 0 where they meet."""
    lower: float
    upper: float
    """Certified bounds on the distance, twice those on the margin."""
    direction: Float64[np.ndarray, " d"]
    """Unit vector from the hull of B to that of A, w / |w|; zero where they meet."""
    svm: MaxMargin | None
    """The exact SVM of A (+1) and B (-1) less `offset`, intercept free, certified on every row."""
    conflict: NotSeparableError | None
    """The convex combination that proves that the hulls meet: 2 sum weights row is one and the same
    point over the rows of A (0 to n - 1) and over those of B (from n on)."""
    offset: Float64[np.ndarray, " d"]
    """Subtracted from all points first, without rounding (svm/offset.py): far from the origin no
    intercept in float64 attains the margin, so that of `svm` is for the points less this."""


def hull_distance(A: Any, B: Any) -> Hulls:
    """The distance of the convex hulls of A (n, d) and B (m, d), or the proof that they meet.

    max over |w| = 1 of min w.a - max w.b = dist(conv A, conv B) = 2 / |w| of the hard-margin SVM
    with a free intercept (the dual of the SVM is the nearest-point problem). More features than
    points are no cost: the points are turned into their own span first, and the certificate read
    on the given ones. Nor is a distance from the origin (see `offset`). Raises DataError;
    CertificateError where float64 cannot tell.

    >>> found = hull_distance([[0.0, 0.0], [1.0, 4.0]], [[3.0, 0.0], [3.0, 5.0]])
    >>> round(found.distance, 12), found.direction.round(12).tolist()
    (2.0, [-1.0, 0.0])
    >>> hull_distance([[0.0], [2.0]], [[1.0]]).conflict.rows.tolist()  # 1 is inside [0, 2]
    [0, 1, 2]
    """
    a, b = two_sets(A, B)
    problem = Problem(np.vstack([a, b]), np.repeat([1, 0], [len(a), len(b)]), "two sets")
    offset = common_offset(problem.x)
    if offset.any():
        problem = Problem(problem.x - offset, problem.y, problem.name)
    conflict = _shared_point(problem, len(a)) or _meeting(problem)
    if conflict is None:
        try:
            svm = _svm(problem)
        except NotSeparableError as proof:
            conflict = proof
        else:
            bounds = 2.0 * svm.certificate.lower, 2.0 * svm.certificate.upper
            return Hulls(True, svm.width, *bounds, unit(svm.w), svm, None, offset)
    return Hulls(False, 0.0, 0.0, 0.0, np.zeros(problem.d), None, conflict, offset)


class Turned(NamedTuple):
    """Points in as many coordinates as they span at most."""

    x: Float64[np.ndarray, "n s"]
    basis: Float64[np.ndarray, "d s"] | None
    """Orthonormal: x is (given - mean) basis, an isometry. None where nothing was done."""
    mean: Float64[np.ndarray, " d"]

    def back(self, w: Float64[np.ndarray, " s"]) -> Float64[np.ndarray, " d"]:
        """A direction in the given coordinates."""
        return w if self.basis is None else self.basis @ w


def turned(x: Float64[np.ndarray, "n d"]) -> Turned:
    """The points in n coordinates where d > n; unchanged otherwise."""
    if x.shape[1] <= len(x):
        return Turned(x, None, np.zeros(x.shape[1]))
    mean = x.mean(axis=0)
    basis, rows = np.linalg.qr((x - mean).T)
    return Turned(np.ascontiguousarray(rows.T), basis, mean)


def _svm(problem: Problem) -> MaxMargin:
    """The SVM with a free intercept, and its certificate on the rows as they are."""
    near = turned(problem.x)
    if near.basis is None:
        return max_margin(problem, bias="free")
    try:
        svm = max_margin(Problem(near.x, problem.y), bias="free")
    except NotSeparableError as proof:
        residual = check_infeasible(problem, proof.rows, proof.weights, bias="free")
        if residual > ZERO:
            raise CertificateError(
                "the classes look non-separable, but only up to the rounding of their span: "
                "drop features that are constant or copies of others",
                lower=0.0,
                upper=float("inf"),
            ) from None
        proof.residual = residual
        raise
    w = near.back(svm.w)
    b = float(svm.b) - float(w @ near.mean)
    certificate = certify(problem, w, b, svm.alpha, bias="free")
    refuse_wide(certificate)
    return replace(svm, w=w, b=b, certificate=certificate, problem_id=problem.id)


def _meeting(problem: Problem) -> NotSeparableError | None:
    """The proof from a few rows, where that is less than all: hulls of parts that meet are enough.

    Tried are those that a quick direction is most wrong about, ever more of them; None where it is
    wrong about none, or no part of up to half of the rows proves it.
    """
    size = PART * (problem.d + SPARE)
    if 2 * size > problem.n:
        return None
    contest = contest_of(problem.x, 1 - problem.index, np.array([[1], [-1]]))
    w = candidates(contest)[0][NAMES.index("logistic"), 0]
    along = problem.x @ w
    level, e, f = threshold(along[problem.index == 1], along[problem.index == 0])
    if e + f == 0:
        return None
    order = np.argsort(problem.signs * (along - level), kind="stable")
    while 2 * size <= problem.n:
        rows = np.sort(order[:size])
        size *= 2
        if len(np.unique(problem.y[rows])) < 2:
            continue
        try:
            max_margin(Problem(problem.x[rows], problem.y[rows]), bias="free")
        except NotSeparableError as proof:
            return NotSeparableError(
                f"a convex combination of {len(proof.rows)} signed rows is zero: the hulls meet",
                rows=rows[proof.rows],
                weights=proof.weights,
                residual=proof.residual,
            )
        except (CertificateError, MemoryError):
            continue  # undecided, or its dual program too large; another part may do
    return None


def _shared_point(problem: Problem, n: int) -> NotSeparableError | None:
    """The shortest proof there is, where A and B have a point in common."""
    seen = {row.tobytes(): i for i, row in enumerate(problem.x[:n])}
    for j in range(n, problem.n):
        i = seen.get(problem.x[j].tobytes())
        if i is not None:
            return NotSeparableError(
                f"row {i} of A is row {j - n} of B: drop one of them",
                rows=np.array([i, j]),
                weights=np.array([0.5, 0.5]),
                residual=0.0,
            )
    return None
