"""When the runs of a sweep are recorded: one axis of ln(1 + t) for all of them."""

from __future__ import annotations

import bisect

import numpy as np
from jaxtyping import Float64, Int64

from svmconv.optimizers import Optimizer
from svmconv.optimizers.optimizer import Scheduled
from svmconv.sweep.grid import Grid

POINTS = 64
"""Of the axis, log-spaced."""


def axis(grid: Grid) -> Float64[np.ndarray, " t"]:
    """From the first step that any method takes (ln(1 + t) = .01 for the flow) to the last."""
    if grid.log_t is not None:
        end = float(np.logaddexp(0.0, grid.log_t))
        return np.geomspace(min(0.01, end / 100), end, POINTS)
    steps = grid.steps or 1
    taken = [method for method in grid.methods if method is not None]
    first, last = (
        choose(np.log1p(method.elapsed(count)) for method in taken)
        for choose, count in ((min, 1), (max, steps))
    )
    return np.geomspace(first, last, POINTS) if last > first else np.array([first])


def stops(
    method: Optimizer, steps: int, log1p_t: Float64[np.ndarray, " t"]
) -> Int64[np.ndarray, " t"]:
    """The last step taken by each time of the axis; -1 where that is the one before, or none.

    So every recording is of a step that was taken, at most one step's length earlier than the axis
    says. Times after the end of the run have none.
    """
    # The axis ends at elapsed(steps) through a logarithm and back: let rounding not lose that step.
    times = np.expm1(log1p_t) * (1.0 + 1e-12)
    if isinstance(method, Scheduled) and method.power:
        lengths = method.rate * np.arange(1.0, steps + 1.0) ** -method.power
        last = np.searchsorted(np.cumsum(lengths), times, side="right")
    else:
        counts = range(1, steps + 1)
        last = np.array([bisect.bisect_right(counts, t, key=method.elapsed) for t in times])
    fresh = (np.diff(last, prepend=0) > 0) & (times <= method.elapsed(steps) * (1.0 + 1e-11))
    return np.where(fresh, last, -1).astype(np.int64)
