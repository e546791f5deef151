"""All hidden layers of a network at once: separability, collapse and what a probe reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Float64
from scipy.linalg.lapack import dpstrf

from svmconv.errors import DataError
from svmconv.measures.class_pairs import class_separability
from svmconv.measures.layer import read
from svmconv.measures.neural_collapse import (
    discrimination,
    neural_collapse,
    spread_ratio,
)
from svmconv.measures.probe import linear_probe
from svmconv.problem import readable

ORDERS = (0, 1, 2)
OF_LAST = ("nc3", "nc4")
"""What needs the linear layer that reads the features."""


def layer_report(activations: Any, labels: Any, weight: Any = None, bias: Any = None) -> xr.Dataset:
    """Every measure of every layer, over `layer`, in the order of `activations`.

    activations: arrays (n, ...) by name, as svmconv.training.evaluate.activations or a Tracker of
    hidden layers gives them; all but the first axis are flattened to d units. labels (n,). weight
    (K, d), bias (K,): the layer that reads the last of them, where it is to be measured too.

    units                d
    ls_0, ls_1, ls_2     linear separability, mean over pairs of classes (class_separability)
    means_ls_0, means_ls_1, means_ls_2  the same along the differences of class means alone
    ls_0_least           ls_0 of the pair which is the hardest to tell apart
    separable            share of pairs that a direction was found to separate strictly
    nc1, nc2_norm, nc2_angle, nc2_gram, cdnv    as in neural_collapse
    nc3, nc4             the same of the last layer, nan for the others
    spread_ratio, discrimination    C_l and D_l of Wang et al. (JMLR 2025)
    probe_accuracy, probe_log_loss  of linear_probe, on these rows

    and, with a weight, of the network itself on these rows: accuracy (ties count as wrong) and
    rows_log_loss, ln of its mean softmax cross-entropy. Memory: a few arrays as large as one layer
    in float64. Raises DataError, which names the layer.

    >>> x = np.array([[0.0], [1.0], [1.0], [3.0]])
    >>> found = layer_report({"first": x, "second": x**2}, [0, 0, 1, 1])
    >>> found.ls_0.values.tolist()  # of 4 differences, 1-0, 1-1, 3-0, 3-1, three are positive
    [0.75, 0.75]
    >>> found.ls_1.values.tolist()
    [1.0, 1.0]
    """
    if not isinstance(activations, Mapping) or not activations:
        raise DataError(
            "activations must be arrays (n, ...) by the name of their layer, at least one (a "
            f"Tracker hands them over with hidden=1000, say), got a {type(activations).__name__}"
        )
    names = list(activations)
    rows = {}
    for name in names:
        last = name == names[-1]
        try:
            flat = _flat(activations[name], len(labels))
            rows[name] = _one_layer(flat, labels, *((weight, bias) if last else (None, None)))
        except DataError as error:
            raise DataError(f"layer {name!r}: {error}") from None
    columns = {
        measure: ("layer", np.array([rows[name][measure] for name in names]))
        for measure in rows[names[0]]
    }
    found = xr.Dataset(columns, {"layer": names})
    if weight is None:
        return found
    last_layer = read(_flat(activations[names[-1]], len(labels)), labels, weight, bias)
    right = len(labels) - last_layer.errors
    return found.assign(accuracy=right / len(labels), rows_log_loss=last_layer.log_loss)


def _flat(given: Any, n: int) -> Float[np.ndarray, "n d"]:
    array = readable("activations", given)
    if array.ndim < 2 or len(array) != n or not array.size:
        raise DataError(
            f"activations of {n} rows must be an array ({n}, ...) with rows and units, got "
            f"{array.shape}"
        )
    return array.reshape(n, -1)


def rotated(x: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n n"]:
    """The same rows in n coordinates, for n < d: their own span, centred, through orthogonal axes.

    What is measured of them is invariant under rotation and shift, and n x n matrices do for d x d.
    Of layers in float32 or less from inner products, at a quarter of the time: that is right to
    1e-8 of the longest row, where the entries themselves are to 6e-8.
    """
    if not np.isfinite(x).all():
        raise DataError("activations have NaN or infinite values: training has diverged")
    rows = x.astype(np.float64)
    rows -= rows.mean(axis=0)
    if x.dtype == np.float64:
        return np.asarray(np.linalg.qr(rows.T, mode="r")).T
    factor, pivots, rank, _ = dpstrf(rows @ rows.T, lower=1)
    inside = np.zeros_like(factor)
    inside[pivots - 1] = np.tril(factor)
    inside[:, rank:] = 0.0
    return inside


def _one_layer(x: Float[np.ndarray, "n d"], labels: Any, weight: Any, bias: Any) -> dict[str, Any]:
    units, apart = x.shape[1], discrimination(x, labels)  # of the means as they are
    if weight is None and units > len(x):
        x = rotated(x)
    pairs = class_separability(x, labels)
    values, along_means = pairs.separability.to_numpy(), pairs.along_means.to_numpy()
    collapse = neural_collapse(x, labels, weight, bias)
    probe = linear_probe(x, labels)
    return {
        "units": units,
        **{f"ls_{order}": values[order].mean() for order in ORDERS},
        **{f"means_ls_{order}": along_means[order].mean() for order in ORDERS},
        "ls_0_least": values[0].min(),
        "separable": pairs.separable.to_numpy().mean(),
        **{name: getattr(collapse, name) for name in ("nc1", "nc2_norm", "nc2_angle", "nc2_gram")},
        "cdnv": collapse.cdnv,
        **{name: getattr(collapse, name) for name in OF_LAST},
        "spread_ratio": spread_ratio(x, labels),
        "discrimination": apart,
        "probe_accuracy": probe.accuracy,
        "probe_log_loss": probe.log_loss,
    }
