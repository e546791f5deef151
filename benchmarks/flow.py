"""Gradient flow in log time beside its forecast and beside discrete gradient descent.

Seconds are those of a whole call once its program is compiled, the exact SVM of the moving frame
included. Descent pays per step, so the fair price is seconds per decade of t.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator

import numpy as np

import svmconv as sc
from benchmarks import Line, timed
from svmconv.dynamics.recording import stacked
from svmconv.theory import problems
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.constants import constants
from svmconv.theory.setting import Descent, Flow, Setting

LOG_T = 1e6
STEPS = 10**6
RATE = 0.5
SECONDS = 3.0
RESIDUAL = 1e-8


def lines() -> Iterator[Line]:
    for build in (problems.partial_span, problems.gaussian):
        yield from _problem(build)


def _problem(build: Callable[[], sc.Problem]) -> Iterator[Line]:
    problem = build()
    first = timed(lambda: sc.gradient_flow(problem, log_t=LOG_T))[0]
    runs = [timed(lambda: sc.gradient_flow(problem, log_t=LOG_T))[0] for _ in range(3)]
    seconds = statistics.median(runs)
    yield Line(
        f"{problem.name}",
        f"{seconds:.2f} s to ln t = {LOG_T:.0e} (first call {first:.1f} s)",
        f"under {SECONDS:.0f} s",
        seconds < SECONDS,
    )
    flow = compare(Setting(build, Flow(LOG_T)))
    residual = float(flow.residual_norm[-1])
    yield Line(
        "  distance from its forecast there",
        f"{residual:.0e} (error bar {flow.error:.0e}, |w| {flow.norm:.0e})",
        f"at most {RESIDUAL:.0e}",
        residual <= RESIDUAL,
    )
    yield from _descent(build, flow, seconds / (LOG_T / math.log(10)))


def _descent(
    build: Callable[[], sc.Problem], flow: Comparison, flow_price: float
) -> Iterator[Line]:
    """Descent and flow at the same t, inside the span of the support vectors."""
    problem, method = flow.problem, sc.optimizers.GD(RATE)
    sc.descend(problem, method, 1)  # compiles
    seconds, run = timed(lambda: sc.descend(problem, method, STEPS))
    ratio = seconds / math.log10(STEPS) / flow_price
    yield Line(
        f"  gradient descent, {STEPS:.0e} steps",
        f"{seconds:.1f} s, {ratio:.0e} times the flow's price per decade of t",
    )
    setting = Setting(build, Descent(method, STEPS))
    limit = constants(problem, flow.svm, rate=RATE)
    descent = Comparison(setting, problem, flow.svm, limit, run, run)
    same_t = sc.gradient_flow(problem, log_t=math.log(RATE * STEPS))
    apart = limit.inside(stacked(run)[-1] - stacked(same_t)[-1])
    distance = float(np.linalg.norm(apart))
    yield Line(
        "  its distance from the flow at that t",
        f"{distance:.0e} (from its own forecast {descent.residual_norm[-1]:.0e})",
        f"its forecast's error bar, {descent.error:.0e}",
        distance <= descent.error,
    )
