"""Networks trained as a whole, for the claims about their last layer.

A network of D layers without biases is homogeneous of degree D. Plain descent on log L keeps the
squared norms of its layers apart by constants (Du, Hu, Lee, NeurIPS 2018), and the smallest margin
grows like |log L|, so that every layer grows like |log L|^(1/D). The part w_out of the last layer
outside the span of its support vectors gets no push from them. It stays, or shrinks where the
features turn: the angle to the exact SVM is at most |w_out| / |w|, which falls like |log L|^(-1/D)
and not like 1 / |log L|, the law of frozen features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from flax import nnx
from jaxtyping import Bool, Float, Float64, Shaped
from scipy.optimize import nnls

from svmconv import data
from svmconv.geometry import angle
from svmconv.measures.last_layer import last_layer_gaps, midpoint
from svmconv.measures.layer import read
from svmconv.models.last_layer import last_layer
from svmconv.models.mlp import MLP
from svmconv.problem import Problem
from svmconv.theory import tolerances
from svmconv.theory.claim import Control, Measurement, Quantity
from svmconv.training.fit import features
from svmconv.training.late import LatePhase, late_phase
from svmconv.training.tracker import Tracker

WIDTHS = {2: (16,), 3: (32, 16), 4: (32, 16, 16)}
"""Hidden units by number of layers."""
EPS = float(np.finfo(np.float64).eps)
LOG_LOSS = -400.0
BIASED_LOG_LOSS = -200.0


@dataclass(frozen=True, eq=False)
class Joint:
    """One homogeneous network from its start to log L = LOG_LOSS, all layers trained."""

    depth: int
    final: Problem
    records: xr.Dataset
    """What `_record` measures over log-spaced losses, against bias "none"."""
    phase: LatePhase

    @cached_property
    def depth_reached(self) -> Float64[np.ndarray, " t"]:
        """-log L of every record."""
        return -self.records.log_loss.values

    def window(self, first: float, last: float) -> Bool[np.ndarray, " t"]:
        """The records whose -log L lies between two parts of the last one."""
        end = self.depth_reached[-1]
        return (self.depth_reached >= first * end) & (self.depth_reached <= last * end)

    def at(self, name: str) -> Float64[np.ndarray, " t"]:
        """A number of every record; those of the exact SVM are against bias "none"."""
        found = self.records[name]
        return (found.sel(against="none") if "against" in found.dims else found).values

    @property
    def log_t(self) -> tuple[float, float]:
        """The range of -log L that is compared, which is ln t to leading order."""
        end = float(self.depth_reached[-1])
        return end / 4, end


@cache
def joint(depth: int, classes: tuple[int, int], seed: int = 0) -> Joint:
    """Train one, by plain descent on log L."""
    digits = data.digits(classes=classes)
    module = MLP((64, *WIDTHS[depth], 2), use_bias=False, rngs=nnx.Rngs(seed))
    initial = features(module, digits)
    tracker = Tracker(partial(_record, initial=initial))
    phase = late_phase(module, digits, log_loss=LOG_LOSS, momentum=0.0, tracker=tracker)
    final = Problem(phase.final.features, digits.y, f"MLP features of {digits.name}")
    return Joint(depth, final, tracker.dataset, phase)


def _record(
    x: Float[np.ndarray, "n d"],
    y: Shaped[np.ndarray, " n"],
    weight: Float[np.ndarray, "2 d"],
    bias: None,
    initial: Problem,
) -> xr.Dataset:
    """What last_layer_gaps measures, and of w its angles and distances from cones.

    cone: of the rows closest to the threshold; cone_initial: of the two class means of the initial
    features, which no layer through the origin separates; angle_initial: from their difference.
    """
    w, problem = weight[1] - weight[0], Problem(x, y)
    z = problem.signs[:, None] * problem.x
    margins = z @ w
    # e^-q is a row's weight in the gradient: 2 ln N more than the closest, and it does not count
    close = margins <= margins.min() + 2.0 * np.log(problem.n)
    means = np.stack([sign * initial.x[initial.signs == sign].mean(axis=0) for sign in (-1, 1)])
    return last_layer_gaps(x, y, weight).assign(
        angle_initial=angle(w, means.sum(axis=0)),
        cone=_from_cone(w, z[close]),
        cone_initial=_from_cone(w, means),
    )


def _from_cone(w: Float64[np.ndarray, " d"], rows: Float64[np.ndarray, "m d"]) -> float:
    """Distance of w / |w| from the nonnegative combinations of the rows."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return float(nnls(unit.T, w / np.linalg.norm(w))[1])


class Biased(NamedTuple):
    """A network with biases, at log L = BIASED_LOG_LOSS."""

    position: float
    """Where its threshold cuts the gap between the classes."""
    between_means: float
    """Where a threshold halfway between the class means would."""
    final: Problem


@cache
def with_biases(classes: tuple[int, int], seed: int) -> Biased:
    """Train one, all layers."""
    digits = data.digits(classes=classes)
    module = MLP((64, *WIDTHS[3], 2), rngs=nnx.Rngs(seed))
    phase = late_phase(module, digits, log_loss=BIASED_LOG_LOSS)
    layer = read(phase.final.features, digits.y, *last_layer(module))
    return Biased(midpoint(layer), between_means(layer.problem, layer.w), layer.problem)


def between_means(problem: Problem, w: Float64[np.ndarray, " d"]) -> float:
    """Where a threshold halfway between the class means cuts the gap along w."""
    means = [problem.x[problem.index == k].mean(axis=0) for k in range(2)]
    return midpoint(read(problem.x, problem.y, w, -float(w @ (means[0] + means[1])) / 2))


def bound_outside(run: Joint) -> float:
    """Largest |w_out| at the end, as a length, from what was seen up to a quarter of the way.

    |w| sin(angle) at a quarter, and thrice the most by which it moved between a sixteenth and a
    quarter, as long a stretch of ln |log L| as the one that follows (3 as in equation (11a)). As
    the features turn, what was outside their span comes inside: w_out may well shrink.
    """
    outside = (run.at("norm") * np.sin(run.at("angle")))[run.window(1 / 16, 1 / 4)]
    return float(outside[-1] + 3.0 * np.abs(outside - outside[-1]).max())


def growth_outside(run: Joint, what: str, part: Float64[np.ndarray, " t"]) -> Quantity:
    """Exponent of |w| part in |log L|, `part` being the share of w that should vanish.

    It may shrink as fast as it likes, but not grow; a share that stays grows like |w|, with 1 / D,
    which is at least three error bars away.
    """
    exponent, _ = slope(run, run.at("norm") * np.maximum(part, EPS))
    return Quantity(
        f"growth of |w| {what}", 0.0, max(exponent, 0.0), tolerances.EXPONENT, tolerances.EXPONENT
    )  # fmt: skip


def slope(run: Joint, values: Float64[np.ndarray, " t"]) -> tuple[float, float]:
    """d ln values / d ln |log L| from a quarter to the end, and how much it still changes."""

    def between(first: float, last: float) -> float:
        window = run.window(first, last)
        x, y = np.log(run.depth_reached[window]), np.log(values[window])
        return float((y[-1] - y[0]) / (x[-1] - x[0]))

    late, earlier = between(1 / 4, 1), between(1 / 16, 1 / 4)
    return late, 3.0 * abs(late - earlier)


def measured(run: Joint, found: tuple[Quantity, ...], control: Control) -> Measurement:
    """The measurement of one network."""
    curves = xr.Dataset(
        {
            "angle": ("log1p_t", run.at("angle")),
            "margin_gap": ("log1p_t", run.at("margin_gap")),
            "floor": ("log1p_t", run.at("floor")),
            "log_loss": ("log1p_t", run.records.log_loss.values),
        },
        {"log1p_t": np.maximum.accumulate(run.depth_reached)},
        {"geometry": "l2", "time": "1/L, the largest so far  (axis: logarithm of ln 1/L)"},
    )
    return Measurement(
        problem=run.final.name,
        bias="none",
        method=f"{run.depth} layers trained on log L",
        log_t=run.log_t,
        kappa=1.0 / run.depth,
        quantities=found,
        control=control,
        clock="1 / L",
        curves=curves,
    )
