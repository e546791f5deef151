"""Linear regions of a rectifier network on a segment: counted exactly, layer by layer.

On a segment every pre-activation is a piecewise linear function of the position t in [0, 1], so it
is known from its values at the places where it may bend. A unit that changes sign between two of
them adds a place to all layers after it; places never have to be searched for. Time: O(places times
weights), places ending at the number of regions.

How many to expect [derived]. Weights drawn from a rotation-invariant law, no biases: a unit changes
sign as often as its normal separates neighbouring points of the curve h(t) that the layer before
makes of the segment, on average (length of h / |h| on the sphere) / pi. For a segment that spans
the angle theta at the origin that is theta / pi exactly in the first layer; a rectifier layer
of He's variance keeps lengths on the sphere in the limit of many units, as its angle map has slope
1 at 0. So

    regions -> 1 + (theta / pi) (sum of the hidden widths),

which is the sum of widths + 1 for a whole line, theta = pi; half the sum, plus 1, for two
independent Gaussian points of high dimension, theta = pi / 2. Narrow layers have fewer below them,
as their units may all be off: on a line the second layer has 96 % of its width with 8 units, 70 %
with 4, none with 1; from 16 units on there is no difference in 60 networks [measured].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float64

from svmconv.errors import DataError
from svmconv.models.mlp import MLP
from svmconv.problem import readable

SLOPES = {"relu": 0.0, "leaky_relu": 0.01, "linear": 1.0}
"""Of an activation left of zero (jax.nn's leaky_relu)."""
UNITS = 16.0 * float(np.finfo(np.float64).eps)
"""Relative error of a product: of rounding, its own and that of its parameters, and of sums."""


class Regions(NamedTuple):
    """Activation regions of the hidden units on a segment."""

    regions: int
    """Intervals on which no hidden unit changes sign: len(breaks) + 1."""
    breaks: Float64[np.ndarray, " m"]
    """Where they meet, positions in (0, 1), increasing."""
    by_layer: tuple[int, ...]
    """How many of them each hidden layer added to those before it."""


def linear_regions(module: nnx.Module, start: Any, end: Any) -> Regions:
    """Regions of an MLP of relu, leaky_relu or linear activations on the segment start to end.

    start, end (d,). Within a region the logits are affine; two regions may share their piece, where
    no later layer sees the unit between them. Raises DataError on other activations, on points of
    another dimension, and where start = end.
    """
    if not isinstance(module, MLP):
        raise DataError(
            f"linear_regions takes an MLP, got a {type(module).__name__}: of another network pass "
            "weights and biases to regions_on_segment"
        )
    names = [module.activation] * (len(module.body) - 1) + [module.penultimate_activation]
    names = names[: len(module.body)]
    bent = sorted(set(names) - set(SLOPES))
    if bent:
        raise DataError(f"{bent[0]} is not piecewise linear: use {', '.join(SLOPES)}")
    with jax.enable_x64(True):
        weights = [np.asarray(layer.kernel[...], dtype=np.float64).T for layer in module.body]
        biases = [_bias(layer) for layer in module.body]
    if not weights:
        raise DataError("this MLP has no hidden layer: it is affine, one region everywhere")
    return regions_on_segment(weights, biases, start, end, [SLOPES[name] for name in names])


def regions_on_segment(
    weights: Sequence[Any],
    biases: Sequence[Any],
    start: Any,
    end: Any,
    slopes: float | Sequence[float] = 0.0,
) -> Regions:
    """The same from the hidden layers' weights (out, in) and biases (out,), first layer first.

    slopes left of zero: one number, or one per layer; 0 relu, 1 linear. A unit that only touches
    zero, or is zero on an interval, does not change sign there. Parameters count as known up to
    rounding: a pre-activation z = w h + b is zero where it is within e of it, e^2 = (16 eps)^2 (sum
    (w h)^2 + b^2) + sum (w e_h)^2, e_h that of h; breaks no farther apart than their e / |dz/dt|
    are one. What float64 parameters would mean as exact rationals is not asked.
    Raises DataError on shapes that do not fit, no layer, no units, values that are not finite, or
    whose squares are not.

    Two units make |4 t - 1|, a third compares it with 1/2: it is less between 1/8 and 3/8.

    >>> found = regions_on_segment([[[4.0], [-4.0]], [[2.0, 2.0]]], [[-1.0, 1.0], [-1.0]], [0], [1])
    >>> found.regions, found.breaks.tolist(), found.by_layer
    (4, [0.125, 0.25, 0.375], (1, 2))
    """
    layers = _checked(weights, biases, slopes)
    values = np.stack([_vector("start", start), _vector("end", end)])
    if values.shape[1] != layers[0][0].shape[1]:
        raise DataError(
            f"the segment is in {values.shape[1]} dimensions, the first layer takes "
            f"{layers[0][0].shape[1]}: give points of the network's input"
        )
    if (values[0] == values[1]).all():
        raise DataError("start and end are the same point: give a segment")
    found, by_layer = Pieces(np.array([0.0, 1.0]), values, UNITS * np.abs(values)), []
    for weight, bias, slope in layers:
        before = len(found.places)
        found = _affine(found, weight, bias)
        if slope != 1.0:
            found = _split(found)
        factor = np.where(found.values < 0.0, slope, 1.0)
        found = Pieces(found.places, factor * found.values, found.errors * np.abs(factor))
        by_layer.append(len(found.places) - before)
    return Regions(len(found.places) - 1, found.places[1:-1], tuple(by_layer))


class Pieces(NamedTuple):
    """Piecewise linear functions of t, one per unit: their values where they may bend."""

    places: Float64[np.ndarray, " m"]
    values: Float64[np.ndarray, "m width"]
    errors: Float64[np.ndarray, "m width"]
    """Of the values, by rounding."""


def _affine(
    h: Pieces, weight: Float64[np.ndarray, "out width"], bias: Float64[np.ndarray, " out"]
) -> Pieces:
    with np.errstate(over="ignore", invalid="ignore"):
        squares = weight.T**2
        errors = h.errors**2 @ squares + UNITS**2 * (h.values**2 @ squares + bias**2)
    if not np.isfinite(errors).all():
        raise DataError("pre-activations have squares beyond float64: divide weights and biases")
    return Pieces(h.places, h.values @ weight.T + bias, np.sqrt(errors))


def _split(z: Pieces) -> Pieces:
    """With every place added where a unit changes sign, and the units' values there."""
    places, errors = z.places, z.errors
    values = np.where(np.abs(z.values) <= errors, 0.0, z.values)
    sign = np.sign(values)
    interval, unit = np.nonzero(sign[:-1] * sign[1:] < 0.0)
    length = places[interval + 1] - places[interval]
    left, right = values[interval, unit], values[interval + 1, unit]
    share = left / (left - right)
    new = places[interval] + share * length
    room = np.maximum(errors[interval, unit], errors[interval + 1, unit]) / np.abs(left - right)
    order = np.argsort(new, kind="stable")
    new, interval, unit, share = new[order], interval[order], unit[order], share[order]
    room = (room * length)[order]
    apart = np.ones(len(new), dtype=bool)  # from the one before
    apart[1:] = (np.diff(new) > room[1:] + room[:-1]) | (np.diff(interval) > 0)
    at, share = interval[apart], share[apart, None]
    added = values[at] + share * (values[at + 1] - values[at])
    added[np.cumsum(apart) - 1, unit] = 0.0  # exactly, so that the next layers see no sign of it
    places, first = np.unique(np.concatenate([places, new[apart]]), return_index=True)
    errors = np.concatenate([errors, np.maximum(errors[at], errors[at + 1])])[first]
    return Pieces(places, np.concatenate([values, added])[first], errors)


def _bias(layer: nnx.Linear) -> Float64[np.ndarray, " width"]:
    width = layer.kernel[...].shape[1]
    return np.zeros(width) if layer.bias is None else np.asarray(layer.bias[...], dtype=np.float64)


def _checked(
    weights: Sequence[Any], biases: Sequence[Any], slopes: float | Sequence[float]
) -> list[tuple[Float64[np.ndarray, "out width"], Float64[np.ndarray, " out"], float]]:
    given = [slopes] * len(weights) if isinstance(slopes, int | float) else list(slopes)
    if not len(weights) == len(biases) == len(given) or not len(weights):
        raise DataError(
            f"{len(weights)} weights, {len(biases)} biases and {len(given)} slopes: give one of "
            "each for every hidden layer, and one layer at least"
        )
    layers = []
    for number, (weight, bias, slope) in enumerate(zip(weights, biases, given, strict=True), 1):
        w, b = np.asarray(readable("weights", weight), dtype=np.float64), _vector("biases", bias)
        if w.ndim != 2 or 0 in w.shape or b.shape != w.shape[:1]:
            raise DataError(
                f"layer {number} has weights of shape {w.shape} and biases of {b.shape}: they must "
                "be (out, in) and (out,), with a unit at least"
            )
        if layers and layers[-1][0].shape[0] != w.shape[1]:
            raise DataError(
                f"layer {number} takes {w.shape[1]} units, the one before has "
                f"{layers[-1][0].shape[0]}: give weights as (out, in)"
            )
        if not np.isfinite(w).all():
            raise DataError(f"layer {number} has NaN or infinite weights")
        if not np.isfinite(slope):
            raise DataError(f"slopes must be finite numbers, got {slope!r} for layer {number}")
        layers.append((w, b, float(slope)))
    return layers


def _vector(name: str, given: Any) -> Float64[np.ndarray, " p"]:
    vector = np.asarray(readable(name, given), dtype=np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise DataError(f"{name} must be a vector of finite numbers, got shape {vector.shape}")
    return vector
