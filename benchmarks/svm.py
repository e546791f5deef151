"""The exact SVM beside what a user would pick instead: seconds, ratios, and how exact each is.

One process, imports not counted. Ours first, as a user meets it (cold: the program compiled and the
problem hashed for the first time, except where the line above had the same problem), then the
median of three warm runs; then the peers once each, as they come. Ratios are to the cold run. The
error of a peer is its shortfall in margin, 1 - (smallest margin / |w|) / certified margin,
intercept included as its own program counts it.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np
from sklearn.svm import SVC, LinearSVC

import svmconv as sc
from benchmarks import Line, timed
from svmconv.problem import Bias
from svmconv.svm.solve import max_margin

GAP = 1e-12
TRUTH = 1e-10


class Peer(NamedTuple):
    """Another solver: fit() gives (w, b); we are to be `faster` times as fast, if that is set."""

    name: str
    fit: Callable[[], tuple[np.ndarray, Any]]
    faster: float | None = None


def lines() -> Iterator[Line]:
    thin, wide = sc.data.half_spaces(60_000, 64), sc.data.half_spaces(60_000, 512)
    huge, many = sc.data.half_spaces(1_000_000, 20), ten_classes(60_000, 64)
    yield from compared(thin, "free", svc(thin, 30))
    yield from compared(thin, "augmented")
    yield from compared(thin, "none", linear_svc(thin), raw_cvxpy(thin))
    yield from compared(wide, "free", svc(wide, 8, max_iter=2_000_000))
    yield from compared(wide, "augmented")
    yield from compared(huge, "augmented", limit=60)
    yield from compared(many, "none", crammer_singer(many))
    yield truth(sc.data.planted(n=60_000, d=64, n_support=40))
    yield truth(sc.data.planted(n=40, d=200, n_support=30))


def compared(
    problem: sc.Problem, bias: Bias, *peers: Peer, limit: float = float("inf")
) -> Iterator[Line]:
    """Our seconds and gap on one problem, then each peer's seconds, ratio and error."""
    cold, svm = timed(lambda: max_margin(problem, bias=bias))
    warm = statistics.median(timed(lambda: max_margin(problem, bias=bias))[0] for _ in range(3))
    gap, bounded = svm.certificate.relative_gap, limit < float("inf")
    yield Line(
        f"{problem.n:,} x {problem.d}, {problem.n_classes} classes, bias {bias}",
        f"{cold:.2f} s (warm {warm:.2f} s), relative gap {gap:.0e}",
        f"gap {GAP:.0e}" + f", under {limit:.0f} s" * bounded,
        gap <= GAP and cold < limit,
    )
    for peer in peers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a peer that stops at its iteration limit says so
            seconds, (w, b) = timed(peer.fit)
        error = 1.0 - _smallest_margin(problem, w, b) / float(np.linalg.norm(w)) / svm.margin
        yield Line(
            f"  {peer.name}",
            f"{seconds:.1f} s, {seconds / cold:.1f} times ours, margin short by {error:.0e}",
            f"{peer.faster:g} times ours, less exact" if peer.faster else "",
            peer.faster is None or (seconds > peer.faster * cold and error > gap),
        )


def truth(problem: sc.Problem) -> Line:
    """A planted problem's answer beside its exact SVM."""
    assert problem.truth is not None
    svm, (w, alpha) = max_margin(problem), problem.truth
    error = float(np.linalg.norm(svm.w - w) / np.linalg.norm(w))
    same = np.array_equal(svm.support, np.flatnonzero(alpha))
    return Line(
        f"{problem.n:,} x {problem.d}, planted",
        f"w off by {error:.0e}, support set {'right' if same else 'WRONG'}",
        f"{TRUTH:.0e}, right",
        error <= TRUTH and same,
    )


def ten_classes(n: int, d: int) -> sc.Problem:
    """Gaussian rows labelled by the largest of ten random scores, pushed out along its weights."""
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((n, d)), rng.standard_normal((10, d))
    y = (x @ w.T).argmax(axis=1)
    return sc.Problem(x + 0.3 * (w - w.mean(axis=0))[y], y)


def svc(problem: sc.Problem, faster: float, max_iter: int = -1) -> Peer:
    """libsvm; it has a free intercept, so its peer is our bias="free"."""

    def fit() -> tuple[np.ndarray, Any]:
        model = SVC(kernel="linear", C=1e10, max_iter=max_iter).fit(problem.x, problem.y)
        return model.coef_[0], model.intercept_[0]

    stopped = f", {max_iter:.0e} iterations" if max_iter > 0 else ""
    return Peer(f"SVC(kernel='linear', C=1e10){stopped}", fit, faster)


def linear_svc(problem: sc.Problem) -> Peer:
    """liblinear, through the origin, almost hard."""

    def fit() -> tuple[np.ndarray, Any]:
        options = {"loss": "hinge", "C": 1e6, "tol": 1e-8, "max_iter": 10**4, "random_state": 0}
        model = LinearSVC(fit_intercept=False, **options).fit(problem.x, problem.y)
        return model.coef_[0], 0.0

    return Peer("LinearSVC(loss='hinge', C=1e6)", fit)


def crammer_singer(problem: sc.Problem) -> Peer:
    """liblinear's form of K classes, through the origin; its weights are centred as ours are."""

    def fit() -> tuple[np.ndarray, Any]:
        options = {"C": 1e4, "tol": 1e-8, "max_iter": 10**6, "random_state": 0}
        model = LinearSVC(multi_class="crammer_singer", fit_intercept=False, **options)
        w = model.fit(problem.x, problem.y).coef_
        return w - w.mean(axis=0), 0.0

    return Peer("LinearSVC(multi_class='crammer_singer')", fit, 1)


def raw_cvxpy(problem: sc.Problem) -> Peer:
    """The whole program at once, no constraint generation."""

    def fit() -> tuple[np.ndarray, Any]:
        w = cp.Variable(problem.d)
        z = problem.signs[:, None] * problem.x
        cp.Problem(cp.Minimize(cp.sum_squares(w) / 2), [z @ w >= 1]).solve(solver=cp.CLARABEL)
        return np.asarray(w.value), 0.0

    return Peer("cvxpy with Clarabel, all rows", fit)


def _smallest_margin(problem: sc.Problem, w: np.ndarray, b: Any) -> float:
    if problem.binary:
        return float((problem.signs * (problem.x @ w + b)).min())
    scores = problem.x @ w.T
    own = scores[problem.own]
    scores[problem.own] = -np.inf
    return float((own - scores.max(axis=1)).min())
