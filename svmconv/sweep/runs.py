"""The runs of one part of a sweep: data sets drawn, solved exactly, trained on, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Float64, Int64

from svmconv.dynamics.many_descents import descents
from svmconv.dynamics.many_flows import flows
from svmconv.dynamics.recording import Ensemble, log_time, split
from svmconv.errors import CertificateError, DataError, NotSeparableError, SvmconvError
from svmconv.measures.gaps import gap_arrays
from svmconv.optimizers import SGD, Adam, Optimizer
from svmconv.problem import Bias, Geometry, Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin
from svmconv.sweep import clock
from svmconv.sweep.grid import OF_DATA, Choice, Grid
from svmconv.sweep.plan import Part
from svmconv.theory.constants import Constants, constants
from svmconv.theory.forecast import forecast_log_loss, forecast_margin, forecast_weights, out

CURVES = {
    "angle": "angle to the exact SVM of the method's norm, rad",
    "angle_w": "the same of w alone, without b, rad",
    "direction_gap": "1 - cos(angle)",
    "margin_gap": "(gamma - margin / |w|) / gamma",
    "bias_gap": "b / |w| - b* / |w*|; of K classes the length of their difference",
    "norm": "|(w, b / sqrt c)|",
    "log_loss": "ln of the mean loss",
    "angle_forecast": "what theory predicts of angle, rad; nan where it says nothing",
    "margin_gap_forecast": "what theory predicts of margin_gap",
    "log_loss_forecast": "what theory predicts of log_loss; nan where that is the clock itself",
}
"""What is recorded over (run, log1p_t)."""
NUMBERS = {
    "gamma": "margin of the exact SVM in the method's norm",
    "relative_gap": "by which the certificate's bounds of gamma differ",
    "floor": "angle that the certificate leaves, rad; nan off l2",
    "support": "number of support vectors",
    "svm_theta": "smallest margin off the support, in units of gamma",
    "svm_lambda_min": "smallest eigenvalue of M = sum alpha z z^T on the span of the support",
    "kappa": "remainders decay like t^-kappa: min(svm_lambda_min, svm_theta - 1)",
    "entropy": "H of the maximum-entropy duals, nats",
    "min_entropy": "H_inf of them, nats",
    "svm_spanning": "1 if the support vectors span the rows, so that forecasts measure nothing",
    "degenerate": "1 if a row touches the margin with zero dual: forecasts are nan then",
    "final_log1p_time": "ln(1 + t) at the end of the run, which may lie between two of log1p_t",
    "final_angle": "angle there, rad",
    "final_margin_gap": "margin_gap there",
    "final_log_loss": "log_loss there",
    "scaled_gap": "|w| gamma - margin at the end of the run",
    "scaled_gap_limit": "what it tends to: H - H_inf",
    "loss_constant": "L rate t at the end of the run",
    "loss_constant_limit": "what it tends to: 1 / gamma^2",
}
"""What is recorded over run; nan where it does not apply."""
TIMES = {
    "step": "steps taken; -1 where no step was taken since the time before",
    "log1p_time": "ln(1 + t) of that step: at most a step's length before log1p_t",
}
WELL = "ok"


@dataclass
class Solved:
    """A data set with the exact SVM of each norm that is asked for, or why there is none."""

    choice: Choice
    problem: Problem | None = None
    svms: dict[Geometry, MaxMargin] = field(default_factory=dict)
    limit: Constants | None = None
    trouble: dict[Geometry, tuple[str, str]] = field(default_factory=dict)

    def has(self, geometry: Geometry) -> bool:
        """Whether runs that maximise this margin have something to be compared with."""
        return geometry in self.svms


def solve(choice: Choice, geometries: Sequence[Geometry]) -> Solved:
    """Draw the data set and solve it; what goes wrong is kept, not raised."""
    found = Solved(choice)
    try:
        found.problem = choice.problem()
    except DataError as error:
        found.trouble = dict.fromkeys(geometries, ("unusable", str(error)))
        return found
    bias = cast(Bias, choice.bias)
    for geometry in geometries:
        try:
            found.svms[geometry] = max_margin(
                found.problem, bias=bias, bias_scale=choice.bias_scale, geometry=geometry
            )
        except NotSeparableError as error:
            found.trouble[geometry] = ("not separable", str(error))
        except CertificateError as error:
            found.trouble[geometry] = ("not certified", str(error))
        except DataError as error:
            found.trouble[geometry] = ("unusable", str(error))
    if "l2" in found.svms:
        try:
            found.limit = constants(found.problem, found.svms["l2"])
        except SvmconvError:
            found.limit = None  # its numbers stay nan; the run itself is measured all the same
    return found


def compute(grid: Grid, part: Part) -> dict[str, np.ndarray]:
    """Every column of the runs of a part, method running fastest."""
    geometries: Sequence[Geometry] = list(dict.fromkeys(_geometry(m) for m in grid.methods))
    solved = [solve(choice, geometries) for choice in part.choices(grid)]
    times = clock.axis(grid)
    columns = _empty(len(solved), len(grid.methods), len(times))
    for place, method in enumerate(grid.methods):
        view = {name: column[:, place] for name, column in columns.items()}
        geometry = _geometry(method)
        good = np.array([one.has(geometry) for one in solved])
        for index in np.flatnonzero(~good):
            view["status"][index], view["reason"][index] = solved[index].trouble[geometry]
        if good.any():
            well = [one for one, is_good in zip(solved, good, strict=True) if is_good]
            try:
                _compare(grid, method, well, np.flatnonzero(good), times, view, part.width)
            except DataError as error:  # batches that do not fit the rows, say
                view["status"][good], view["reason"][good] = "unusable", str(error)
    return {name: column.reshape(-1, *column.shape[2:]) for name, column in columns.items()}


def _empty(count: int, methods: int, points: int) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {
        **{name: np.full((count, methods, points), np.nan) for name in (*CURVES, "log1p_time")},
        **{name: np.full((count, methods), np.nan) for name in NUMBERS},
    }
    columns["step"] = np.full((count, methods, points), -1)
    columns["status"] = np.full((count, methods), WELL, dtype=object)
    columns["reason"] = np.full((count, methods), "", dtype=object)
    return columns


def _compare(
    grid: Grid,
    method: Optimizer | None,
    solved: Sequence[Solved],
    rows: Int64[np.ndarray, " run"],
    times: Float64[np.ndarray, " t"],
    view: dict[str, np.ndarray],
    width: int,
) -> None:
    """Train on every data set by one method, and fill in the rows of its columns."""
    if method is None:
        kept, exact = np.arange(len(times)), times
        runs = _flows(grid, solved, times)
    else:
        stops = clock.stops(method, grid.steps or 1, times)
        kept = np.flatnonzero(stops > 0)
        seen = np.union1d(stops[kept], [grid.steps or 1])  # the end need not be on the axis
        exact = np.log1p([method.elapsed(int(k)) for k in seen])
        runs = _descents(grid, method, solved, seen, width)
        view["step"][rows] = stops
        view["log1p_time"][np.ix_(rows, kept)] = exact[: len(kept)]
    for row, one, *run in zip(rows, solved, *runs, strict=True):
        finite = np.isfinite(run[2])
        if not finite.all():
            at = exact[np.argmin(finite)]
            view["status"][row] = "diverged" if method else "stalled"
            view["reason"][row] = (
                f"left the finite numbers by ln(1 + t) = {at:.6g}: lower its rate"
                if method
                else f"the integrator gave up before ln(1 + t) = {at:.6g}: ask for a smaller log_t"
            )
            continue
        curves, numbers = measured(one, method, Ensemble(*run), exact)
        for name, value in curves.items():
            view[name][row, kept] = value[: len(kept)]
        for name, value in numbers.items():
            view[name][row] = value


def _flows(grid: Grid, solved: Sequence[Solved], times: Float64[np.ndarray, " t"]) -> Ensemble:
    svms = [one.svms["l2"] for one in solved]
    runs = flows(_problems(solved), svms, np.append(0.0, times), loss=grid.loss)
    return Ensemble(*(column[:, 1:] for column in runs))


def _descents(
    grid: Grid,
    method: Optimizer,
    solved: Sequence[Solved],
    stops: Int64[np.ndarray, " k"],
    width: int,
) -> Ensemble:
    """Padded to one width, by repeating the first, so that a run's bits do not depend on others."""
    padded = [*solved, *[solved[0]] * (width - len(solved))]
    optimizers = [
        replace(method, seed=one.choice.seed) if isinstance(method, SGD) else method
        for one in padded
    ]
    runs = descents(
        _problems(padded), optimizers, stops, loss=grid.loss,
        bias=cast(Bias, solved[0].choice.bias),
        bias_scales=[one.choice.bias_scale for one in padded],
    )  # fmt: skip
    return Ensemble(*(column[: len(solved)] for column in runs))


def _problems(solved: Sequence[Solved]) -> list[Problem]:
    return [cast(Problem, one.problem) for one in solved]


def measured(
    one: Solved, method: Optimizer | None, run: Ensemble, exact: Float64[np.ndarray, " t"]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Curves and numbers of a run (arrays without the run axis), beside what theory predicts."""
    geometry = _geometry(method)
    svm, limit = one.svms[geometry], one.limit
    w_and_b = split(run.weights, svm.bias, svm.bias_scale)
    curves = gap_arrays(*w_and_b, run.margin, svm) | {"log_loss": run.log_loss}
    curves.setdefault("angle_w", curves["angle"])
    bias_gap = curves["bias_gap"]
    curves["bias_gap"] = bias_gap if bias_gap.ndim == 1 else np.linalg.norm(bias_gap, axis=1)
    numbers: dict[str, float] = {
        "gamma": svm.margin,
        "relative_gap": svm.certificate.relative_gap,
        "floor": svm.certificate.angle_bound,
        "support": len(svm.support),
        "final_log1p_time": float(exact[-1]),
        **{
            f"final_{name}": float(curves[name][-1]) for name in ("angle", "margin_gap", "log_loss")
        },
    }
    if geometry != "l2" or limit is None:
        return curves, numbers
    for name in (
        "theta",
        "lambda_min",
        "kappa",
        "entropy",
        "min_entropy",
        "spanning",
        "degenerate",
    ):
        # A data set may have a parameter of the same name: what was asked for, not what came out.
        numbers[f"svm_{name}" if name in OF_DATA else name] = float(getattr(limit, name))
    if isinstance(method, Adam) or limit.degenerate:
        return curves, numbers
    by_time = method is None or not method.on_log_loss
    s = log_time(exact) if by_time else -run.log_loss - 2.0 * np.log(limit.gamma)
    expected = forecast_weights(s, limit) + out(run.weights, limit, s)
    w_and_b = split(expected, svm.bias, svm.bias_scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        gaps = gap_arrays(*w_and_b, forecast_margin(s, limit), svm)
    curves["angle_forecast"] = gaps["angle"]
    curves["margin_gap_forecast"] = gaps["margin_gap"]
    numbers["scaled_gap"] = float(curves["norm"][-1]) * limit.gamma - float(run.margin[-1])
    numbers["scaled_gap_limit"] = limit.entropy - limit.min_entropy
    if by_time:
        curves["log_loss_forecast"] = forecast_log_loss(s, limit)
        numbers["loss_constant"] = float(np.exp(run.log_loss[-1] + s[-1]))
        numbers["loss_constant_limit"] = limit.gamma**-2
    return curves, numbers


def _geometry(method: Optimizer | None) -> Geometry:
    return "l2" if method is None else method.geometry


def describe(choice: Choice, method: Optimizer | None, grid: Grid) -> dict[str, Any]:
    """The coordinates of a run: its configuration and the id that is a hash of it."""
    return {"id": choice.run_id(method, grid), **choice.config(method, grid)}
