"""The exact SVM beside what a user would pick instead: seconds, ratios, and how exact each is.

    python -m benchmarks.svm

Every figure comes from one process, linear algebra on one thread (libsvm and liblinear know no
other): ours first as a user meets it (cold: program compiled and problem hashed for the first time,
except where the row above had the same problem), then the median of three warm runs, then the peers
once each.
The error of a peer is its shortfall in margin, 1 - (smallest margin / |w|) / certified margin,
intercept included as its own program counts it.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

import svmconv as sc
from svmconv.svm.solve import max_margin

Fit = Callable[[], tuple[np.ndarray, Any]]


def half_spaces(n: int, d: int) -> sc.Problem:
    """Gaussian rows pushed out by a margin of .3 from a plane through the origin."""
    rng = np.random.default_rng(0)
    x, normal = rng.standard_normal((n, d)), rng.standard_normal(d)
    normal /= np.linalg.norm(normal)
    y = np.where(x @ normal > 0, 1, -1)
    x += (0.3 * y)[:, None] * normal
    return sc.Problem(x, y, f"{n:,} x {d}")


def ten_classes(n: int, d: int) -> sc.Problem:
    """Gaussian rows labelled by the largest of ten random scores, pushed out along its weights."""
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((n, d)), rng.standard_normal((10, d))
    y = (x @ w.T).argmax(axis=1)
    return sc.Problem(x + 0.3 * (w - w.mean(axis=0))[y], y, f"{n:,} x {d}, 10 classes")


def svc(problem: sc.Problem, max_iter: int = -1) -> Fit:
    """libsvm; it has a free intercept, so its peer is our bias="free"."""

    def fit() -> tuple[np.ndarray, Any]:
        model = SVC(kernel="linear", C=1e10, max_iter=max_iter, cache_size=1000)
        model.fit(problem.x, problem.y)
        return model.coef_[0], model.intercept_[0]

    return fit


def linear_svc(problem: sc.Problem, **options: Any) -> Fit:
    """liblinear, through the origin."""

    def fit() -> tuple[np.ndarray, Any]:
        model = LinearSVC(fit_intercept=False, random_state=0, **options).fit(problem.x, problem.y)
        w = model.coef_[0] if problem.binary else model.coef_ - model.coef_.mean(axis=0)
        return w, 0.0

    return fit


def raw_cvxpy(problem: sc.Problem) -> Fit:
    """The whole program at once, no constraint generation."""

    def fit() -> tuple[np.ndarray, Any]:
        w = cp.Variable(problem.d)
        z = problem.signs[:, None] * problem.x
        cp.Problem(cp.Minimize(cp.sum_squares(w) / 2), [z @ w >= 1]).solve(solver=cp.CLARABEL)
        return np.asarray(w.value), 0.0

    return fit


def rows() -> list[dict[str, Any]]:
    """One dictionary per size: our seconds and gap, and for each peer its ratio and error."""
    thin, wide = half_spaces(60_000, 64), half_spaces(60_000, 512)
    huge, many = half_spaces(1_000_000, 20), ten_classes(60_000, 64)
    crammer = {"multi_class": "crammer_singer", "C": 1e4, "tol": 1e-8, "max_iter": 10**6}
    hinge = {"loss": "hinge", "C": 1e6, "tol": 1e-8, "max_iter": 10**4}
    return [
        _row(thin, "free", {"SVC, C=1e10": svc(thin)}),
        _row(thin, "augmented", {}),
        _row(thin, "none", {"LinearSVC": linear_svc(thin, **hinge), "cvxpy": raw_cvxpy(thin)}),
        _row(wide, "free", {"SVC, 2e6 iterations": svc(wide, 2_000_000)}),
        _row(wide, "augmented", {}),
        _row(huge, "augmented", {}),
        _row(many, "none", {"LinearSVC, Crammer-Singer": linear_svc(many, **crammer)}),
    ]


def _row(problem: sc.Problem, bias: Any, peers: dict[str, Fit]) -> dict[str, Any]:
    cold, svm = _timed(lambda: max_margin(problem, bias=bias))
    warm = statistics.median(_timed(lambda: max_margin(problem, bias=bias))[0] for _ in range(3))
    row: dict[str, Any] = {
        "problem": problem.name,
        "bias": bias,
        "cold_seconds": cold,
        "warm_seconds": warm,
        "relative_gap": svm.certificate.relative_gap,
        "support": len(svm.support),
        "rounds": svm.rounds,
        "peers": [],
    }
    for name, fit in peers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a peer that stops at its iteration limit says so
            seconds, (w, b) = _timed(fit)
        error = 1.0 - _smallest_margin(problem, w, b) / np.linalg.norm(w) / svm.margin
        row["peers"].append(
            {"name": name, "seconds": seconds, "times_slower": seconds / cold, "error": error}
        )
    return row


def _smallest_margin(problem: sc.Problem, w: np.ndarray, b: Any) -> float:
    if problem.binary:
        return float((problem.signs * (problem.x @ w + b)).min())
    scores = problem.x @ w.T
    own = scores[problem.own]
    scores[problem.own] = -np.inf
    return float((own - scores.max(axis=1)).min())


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def main() -> None:
    print(f"{'problem':24}{'bias':11}{'cold s':>8}{'warm s':>8}{'gap':>9}  peers (ratio to cold)")
    with threadpool_limits(1):
        found = rows()
    for row in found:
        peers = "; ".join(
            f"{p['name']}: {p['seconds']:.1f} s, {p['times_slower']:.1f}x, error {p['error']:.0e}"
            for p in row["peers"]
        )
        print(
            f"{row['problem']:24}{row['bias']:11}{row['cold_seconds']:8.2f}"
            f"{row['warm_seconds']:8.2f}{row['relative_gap']:9.0e}  {peers}",
            flush=True,
        )


if __name__ == "__main__":
    main()
