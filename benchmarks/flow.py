"""Gradient flow in log time beside its forecast and beside discrete gradient descent.

Seconds are those of a whole call once its program is compiled, the exact SVM of the moving frame
included. Descent pays per step, so the fair price is seconds per decade of t.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import numpy as np

import svmconv as sc
from benchmarks import Line, timed
from svmconv.dynamics.recording import stacked
from svmconv.theory import problems
from svmconv.theory.comparison import Comparison, Descent, Flow, Setting, compare

LOG_T = 1e6
STEPS = 10**6
RATE = 0.5
SECONDS = 3.0
RESIDUAL = 1e-8


def lines() -> Iterator[Line]:
    for build in (problems.partial_span, problems.gaussian):
        yield from _problem(build)


def _problem(build) -> Iterator[Line]:
    problem = build()
    first = timed(lambda: sc.gradient_flow(problem, log_t=LOG_T))[0]
    runs = [timed(lambda: sc.gradient_flow(problem, log_t=LOG_T))[0] for _ in range(3)]
    flow = statistics.median(runs)
    yield Line(
        f"{problem.name}, flow to ln t = {LOG_T:.0e}",
        f"{flow:.2f} s ({first:.2f} s with compilation)",
        f"under {SECONDS:.0f} s",
        flow < SECONDS,
    )
    forecast = compare(Setting(build, Flow(LOG_T)))
    residual = float(forecast.residual_norm[-1])
    yield Line(
        "  distance from its forecast there",
        f"{residual:.0e} (error bar {forecast.error:.0e}, |w| {forecast.norm:.0e})",
        f"{RESIDUAL:.0e}",
        residual <= RESIDUAL,
    )
    descent = sc.optimizers.GD(RATE)
    sc.descend(problem, descent, 1)  # compiles
    seconds = timed(lambda: sc.descend(problem, descent, STEPS))[0]
    ratio = (seconds / math.log10(STEPS)) / (flow / (LOG_T / math.log(10)))
    yield Line(
        f"  gradient descent, {STEPS:.0e} steps",
        f"{seconds:.1f} s; {ratio:.0e} times the flow's price per decade",
    )
    yield _agreement(build, compare(Setting(build, Descent(descent, STEPS))))


def _agreement(build, descent: Comparison) -> Line:
    """Descent and flow at the same t, inside the span of the support vectors."""
    flow = sc.gradient_flow(descent.problem, log_t=math.log(RATE * STEPS))
    apart = descent.constants.inside(stacked(descent.run)[-1] - stacked(flow)[-1])
    distance = float(np.linalg.norm(apart))
    return Line(
        "  its distance from the flow at that t",
        f"{distance:.0e} (from its forecast {descent.residual_norm[-1]:.0e})",
        f"its forecast's error bar, {descent.error:.0e}",
        distance <= descent.error,
    )
