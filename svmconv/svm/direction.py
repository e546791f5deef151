"""A certified angle between w and the exact SVM, linear in rounding where the gap gives its root.

A relative gap g between the bounds certifies cos >= 1 - g, an angle of sqrt(2 g) = 1e-7 at best.
Knowing WHICH rows support gives more (derived). Let A hold the supporting (pair) rows, v the given
weights, a the given duals, rho = 1 - A v and eta = v - A^T a, both small, and let s be the smallest
singular value of A. The least-norm solution v' of A v' = 1 obeys

    |v' - v| <= |rho| / s + |eta| =: e,        |a' - a| <= |rho| / s^2 + |eta| / s,

the first because A (v' - v) = rho inside the span of A while v is within eta of that span, the
second because A A^T (a' - a) = rho + A eta. If all a' > 0 by the second bound, and z.v' >= 1 for
every other row by the first, v' satisfies the KKT conditions: it IS the exact SVM, and the angle is
at most asin(e / |v|). A row equal to a supporting one, bit for bit, shares its margin of exactly 1.

A row that touches the margin with zero dual leaves z.v' >= 1 open by a rounding delta. Let D hold
the parts of such rows outside span(A), s' its smallest singular value. Some x in span(D) has
D x = delta, |x| <= |delta| / s', and v' + x is feasible. v' is the shortest v with A v >= 1, which
the exact w_hat obeys too, and v'.x = 0, hence

    |w_hat - v'|^2 <= |w_hat|^2 - |v'|^2 <= |v' + x|^2 - |v'|^2 = |x|^2.

Where this proof does not close (dependent or near-zero duals, dependent ties) there is no such
bound. This file imports nothing of the solver.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64, Int

from svmconv.problem import Bias, Problem
from svmconv.svm.dot2 import U, dot2

LARGEST = 2**21
"""Entries of A beyond which its singular values are not worth their time."""


def direction_bound(
    problem: Problem,
    v: Float64[np.ndarray, "*v"],
    alpha: Float64[np.ndarray, "*alpha"],
    *,
    bias: Bias = "none",
    bias_scale: float = 1.0,
) -> float:
    """Largest angle (radians) between v and the exact SVM, or pi where the proof does not close.

    v (p,) or (K, p) are weights in the space of Problem.rows(bias, bias_scale), alpha the duals,
    (n,) or (n, K). The free bias, whose w alone has a direction, is not covered.
    """
    x = problem.rows(bias, bias_scale)
    row, rival = np.nonzero(alpha.reshape(problem.n, -1))
    if bias == "free" or not len(row) or len(row) * v.size > LARGEST or len(row) > v.size:
        return math.pi
    a = _supporting(problem, x, row, rival)
    scores, errors = dot2(a.T, np.broadcast_to(v.reshape(-1), a.shape).T)
    # the column sqrt(c) is itself rounded
    column = 4 * U * float(np.abs(x[0, -1] * v[..., -1]).max()) * (bias == "augmented")
    rho = float(np.linalg.norm(np.abs(1.0 - scores) + errors + 2 * U + column))
    duals = alpha.reshape(problem.n, -1)[row, rival]
    sums, errors = dot2(a, duals[:, None])
    eta = float(np.linalg.norm(np.abs(v.ravel() - sums) + errors + 2 * U * np.abs(sums)))
    values = np.linalg.svd(a, compute_uv=False)
    s = float(values[-1]) - 16 * max(a.shape) * U * float(values[0])
    if s <= 0:
        return math.pi
    e = (rho / s + eta) * (1 + 1e-10)
    settled = (rho / s**2 + eta / s) * (1 + 1e-10) < duals.min()
    size = float(np.linalg.norm(v)) * (1 - 4 * v.size * U)
    if not settled or e >= size:
        return math.pi
    e += _to_feasible(problem, x, v, e, row, rival)
    return math.asin(e / size) * (1 + 8 * U) if e < size else math.pi


def _supporting(
    problem: Problem,
    x: Float64[np.ndarray, "n p"],
    row: Int[np.ndarray, " m"],
    rival: Int[np.ndarray, " m"],
) -> Float64[np.ndarray, "m s"]:
    """A: the supporting (pair) rows, exact copies of the features up to sign."""
    if problem.binary:
        return problem.signs[row, None] * x[row]
    m = np.arange(len(row))
    a = np.zeros((len(row), problem.n_classes, x.shape[1]))
    a[m, problem.index[row]], a[m, rival] = x[row], -x[row]
    return a.reshape(len(row), -1)


def _to_feasible(
    problem: Problem,
    x: Float64[np.ndarray, "n p"],
    v: Float64[np.ndarray, "*v"],
    e: float,
    row: Int[np.ndarray, " m"],
    rival: Int[np.ndarray, " m"],
) -> float:
    """How far any weights within e of v are from feasible ones, outside the supporting span.

    Zero if every other margin is at least 1 for all of them; inf where the proof does not close.
    """
    lengths = np.linalg.norm(x, axis=1)
    if problem.binary:
        margins, reach = (problem.signs * (x @ v))[:, None], 1.0
    else:
        scores = x @ v.T
        margins = scores[np.arange(problem.n), problem.index][:, None] - scores
        margins[problem.own] = np.inf
        reach = math.sqrt(2.0)
    rounding = 2.1 * (x.shape[1] + 3) * U * lengths * float(np.linalg.norm(v))
    missing = 1.0 - margins + ((reach * lengths * e + rounding) * (1 + 1e-10))[:, None]
    others = np.ones(missing.shape, dtype=bool)
    others[row, rival] = False
    keys = {_key(problem, x, n, k) for n, k in zip(row.tolist(), rival.tolist(), strict=True)}
    for n, k in np.argwhere(others & (missing > 0)).tolist():
        others[n, k] = _key(problem, x, n, k) not in keys
    tight = others & (missing > 0)
    if not tight.any():
        return 0.0
    if tight.sum() * v.size > LARGEST or tight.sum() + len(row) > v.size:
        return math.inf
    basis = np.linalg.svd(_supporting(problem, x, row, rival), full_matrices=False)[2]
    z = _supporting(problem, x, *np.nonzero(tight))
    smallest = float(np.linalg.svd(z - (z @ basis.T) @ basis, compute_uv=False)[-1])
    smallest -= 64 * v.size * U * float(np.linalg.norm(z))
    if smallest <= 0:
        return math.inf
    far = float(np.linalg.norm(missing[tight])) / smallest * (1 + 1e-10)
    still = missing + (reach * lengths * far * (1 + 1e-10))[:, None]
    return far if (still[others & ~tight] <= 0).all() else math.inf


def _key(problem: Problem, x: Float64[np.ndarray, "n p"], n: int, k: int) -> tuple[bytes, ...]:
    """What makes two (pair) rows one and the same constraint."""
    if problem.binary:
        return ((problem.signs[n] * x[n] + 0.0).tobytes(),)  # + 0.0 turns -0 into 0
    return ((x[n] + 0.0).tobytes(), bytes(f"{problem.index[n]} {k}", "ascii"))
