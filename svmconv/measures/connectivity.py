"""What a network's layers do to a change of their weights, and how far from affine they are.

Layerwise linear feature connectivity (Zhou et al., NeurIPS 2023): the features of the mean of two
networks' weights beside the mean of their features. Affine replacement: what is lost where one
layer gives way to the best affine map.

Networks are called as they are: (logits, named hidden activations) = module(x), all rows at once,
in their own dtype; what is computed of their activations is float64.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from flax import nnx
from jaxtyping import Float64

from svmconv.errors import DataError
from svmconv.geometry import unit
from svmconv.measures.batches import read_features, read_labels
from svmconv.models.activations import ACTIVATIONS
from svmconv.models.mlp import MLP

RIDGE = 1e-10
"""Times the mean variance of a layer's units: makes up for units that are never on, not more."""


def layerwise_connectivity(first: nnx.Module, second: nnx.Module, x: Any) -> xr.Dataset:
    """Do the features of the mean weights point where the mean features do? Over `layer`.

    first, second: networks of one shape, in evaluation mode, left as they are; x (n, d). Layers are
    the named hidden activations, flattened, then "logits":

    gap        1 - mean over rows of cos(f(mean of the weights), mean of f); 0 where connected
    apart      1 - mean cos(f of first, f of second): where this is 0, gap says nothing
    length     mean over rows of |f(mean of the weights)| / |mean of f|: cosines do not see it

    A row where both vectors are zero counts as cos = 1 and length 1, one of them as cos = 0; the
    length of a row is infinite where only the mean of f is zero.
    All of the state is averaged, running statistics of a batch norm too. Raises DataError on
    networks of different shape and on activations that are not finite.
    """
    with jax.enable_x64(True):
        features = jnp.asarray(read_features(x))
        graph, one = nnx.split(first)
        other = nnx.split(second)[1]
        if _shapes(one) != _shapes(other):
            raise DataError("the networks differ in shape: give two trained from one architecture")
        between = nnx.merge(graph, jax.tree.map(_mean, one, other))
        a, b, m = (_activations(module, features) for module in (first, second, between))
    found = {
        name: (
            _apart(m[name], (a[name] + b[name]) / 2.0),
            _apart(a[name], b[name]),
            _relative_length(m[name], (a[name] + b[name]) / 2.0),
        )
        for name in a
    }
    columns = zip(("gap", "apart", "length"), zip(*found.values(), strict=True), strict=True)
    return xr.Dataset({name: ("layer", list(v)) for name, v in columns}, {"layer": list(found)})


def affine_residual(before: Any, after: Any, ridge: float = RIDGE) -> float:
    """Share of the variance of `after` (n, p) that no affine map of `before` (n, d) explains.

    |after - fit|^2 / |after - its mean|^2 of the map fitted by ridge regression on the same rows:
    0 for an affine layer, 1 where nothing is explained, nan where `after` is constant. ridge is in
    units of the mean variance of the units of `before`. Raises DataError unless n > d + 1: any
    layer is affine on as few rows.

    On x = -1, 0, 1 nothing of |x| is affine; relu is (x + |x|) / 2, so its residual is that of
    |x| / 2, 1/4 times 2/3, and it varies by 2/3.

    >>> x = [[-1.0], [0.0], [1.0]]
    >>> round(affine_residual(x, [[1.0], [0.0], [1.0]]), 6)  # |x|
    1.0
    >>> round(affine_residual(x, [[0.0], [0.0], [1.0]]), 6)  # relu
    0.25
    """
    x, y = _finite("before", before), _finite("after", after)
    if len(x) != len(y):
        raise DataError(f"{len(x)} rows before the layer, {len(y)} after it: they must match")
    off = y - y.mean(axis=0)
    size = float(np.sum(off**2))
    return float(np.sum((y - _affine(x, y, ridge)) ** 2)) / size if size else float("nan")


def affine_replacement_error(
    module: nnx.Module, x: Any, labels: Any, ridge: float = RIDGE
) -> xr.Dataset:
    """What an MLP loses where one layer becomes the affine map nearest to it. Over `layer`.

    x (n, d) rows, labels (n,) the number 0..K-1 of each row's logit. Layer l + 1, its activation
    included, is replaced by the ridge regression of its outputs on those of layer l, fitted on
    these rows (closed form, ridge as in affine_residual); the layers after it stay. Layers are the
    named hidden activations:

    drop      accuracy of the network less that with the layer replaced; ties to the first class
    residual  affine_residual of the layer; nan where it is constant

    Attribute accuracy: that of the network. Raises DataError without a hidden layer,
    on fewer rows than units + 2, labels that are no logit's number.
    """
    if not isinstance(module, MLP) or not len(module.body):
        raise DataError("affine_replacement_error takes an MLP with a hidden layer")
    rows, index = _finite("x", x), read_labels(labels)
    classes = module.head.kernel[...].shape[1]
    if (
        len(index) != len(rows)
        or index.dtype.kind not in "biuf"
        or not np.isin(index, np.arange(classes)).all()
    ):
        raise DataError(f"labels must be {len(rows)} numbers from 0 to {classes - 1}, one per row")
    with jax.enable_x64(True):
        values = _activations(module, jnp.asarray(rows))
        accuracy = _accuracy(values.pop("logits"), index)
        before, drops, residuals = rows, [], []
        for number, after in enumerate(values.values(), 1):
            fitted = _affine(before, after, ridge)
            drops.append(accuracy - _accuracy(_from_layer(module, number, fitted), index))
            residuals.append(affine_residual(before, after, ridge))
            before = after
    found = {"drop": ("layer", np.array(drops)), "residual": ("layer", np.array(residuals))}
    return xr.Dataset(found, {"layer": list(values)}, {"accuracy": accuracy})


def _affine(
    x: Float64[np.ndarray, "n d"], y: Float64[np.ndarray, "n p"], ridge: float
) -> Float64[np.ndarray, "n p"]:
    """The values of the affine map that minimises |y - fit|^2 + penalty |slope|^2.

    By least squares on the rows and sqrt(penalty) times the unit vectors below them, which does not
    square the condition number as the normal equations would.
    """
    n, d = x.shape
    if n <= d + 1:
        raise DataError(f"every map of {d} units is affine on {n} rows: give at least {d + 2}")
    if not ridge >= 0.0:
        raise DataError(f"ridge must be a number of at least 0, got {ridge!r}")
    off, centre = x - x.mean(axis=0), y.mean(axis=0)
    penalty = np.sqrt(ridge * np.sum(off**2) / d) * np.eye(d)
    targets = np.vstack([y - centre, np.zeros((d, y.shape[1]))])
    slope = np.linalg.lstsq(np.vstack([off, penalty]), targets, rcond=None)[0]
    return centre + off @ slope


def _activations(module: nnx.Module, x: jax.Array) -> dict[str, Float64[np.ndarray, "n _"]]:
    """Named hidden activations, flattened, and "logits"."""
    logits, hidden = module(x)
    named = {**hidden, "logits": logits}
    return {
        name: _finite(name, np.asarray(value).reshape(len(value), -1))
        for name, value in named.items()
    }


def _from_layer(
    module: MLP, number: int, values: Float64[np.ndarray, "n d"]
) -> Float64[np.ndarray, "n k"]:
    """Logits, from the outputs of hidden layer `number` (1 the first) on."""
    x = jnp.asarray(values)
    for position in range(number, len(module.body)):
        last = position == len(module.body) - 1
        name = module.penultimate_activation if last else module.activation
        x = ACTIVATIONS[name](module.body[position](x))
    return np.asarray(module.head(x), dtype=np.float64)


def _apart(u: Float64[np.ndarray, "n p"], v: Float64[np.ndarray, "n p"]) -> float:
    """Mean over rows of 1 - cos, as |u' - v'|^2 / 2 of unit vectors."""
    gaps = np.sum((unit(u) - unit(v)) ** 2, axis=1) / 2.0
    lost, gone = ~u.any(axis=1), ~v.any(axis=1)
    gaps = np.where(lost | gone, np.where(lost & gone, 0.0, 1.0), gaps)
    return float(gaps.mean())


def _relative_length(u: Float64[np.ndarray, "n p"], v: Float64[np.ndarray, "n p"]) -> float:
    """Mean over rows of |u| / |v|."""
    above, below = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((above == 0.0) & (below == 0.0), 1.0, above / below)
    return float(ratio.mean())


def _accuracy(logits: Float64[np.ndarray, "n k"], index: np.ndarray) -> float:
    return float(np.mean(logits.argmax(axis=1) == index))


def _mean(a: jax.Array, b: jax.Array) -> jax.Array:
    """Numbers are averaged, anything else (counters, random keys) is the first network's."""
    return (a + b) / 2 if jnp.issubdtype(a.dtype, jnp.inexact) else a


def _shapes(state: Any) -> tuple[Any, list[Any]]:
    leaves, structure = jax.tree.flatten(state)
    return structure, [leaf.shape for leaf in leaves]


def _finite(name: str, given: Any) -> Float64[np.ndarray, "n _"]:
    array = read_features(given).astype(np.float64)
    if not np.isfinite(array).all():
        raise DataError(f"{name} has NaN or infinite values: stop before training diverges")
    return array
