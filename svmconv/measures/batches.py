"""Rows of features from anywhere: arrays, or batches too many for memory, in blocks of float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import numpy as np
from jaxtyping import Float64

from svmconv.errors import DataError
from svmconv.problem import LARGEST, readable

Batches = Callable[[], Iterable[tuple[Any, Any]]]
"""Returns (features (m, d), labels (m,)) batch after batch, the same rows at every call."""

NUMBERS = 2**18
"""Numbers in a block of rows, 2 MB in float64: within the cache of a core."""

ROWS = 64
"""Fewest rows in a block, however long: every block also costs its K class sums."""


def batches_of(features: Any, labels: Any) -> Batches:
    """Arrays as one batch; a function that returns batches (labels None) as it is."""
    if callable(features):
        if labels is not None:
            raise DataError(
                "features is a function, whose batches bring their labels: pass labels=None"
            )
        return cast(Batches, features)
    if labels is None:
        raise DataError(
            "labels are missing: give one per row of features, or as features a function that "
            "returns an iterator over (features, labels) batches"
        )
    return lambda: [(features, labels)]


def blocks(batches: Batches) -> Iterator[tuple[Float64[np.ndarray, "m d"], np.ndarray]]:
    """Rows in blocks of about NUMBERS numbers, copied to float64, with their labels. DataError."""
    d = None
    for batch in batches():
        try:
            features, labels = batch
        except (TypeError, ValueError):
            raise DataError("every batch must be a pair (features, labels)") from None
        features, labels = read_features(features), read_labels(labels)
        if len(labels) != len(features):
            raise DataError(f"{len(features)} rows have {len(labels)} labels: they must match")
        if d is not None and features.shape[1] != d:
            raise DataError(f"batches have {d} and {features.shape[1]} features: give one layer's")
        d = features.shape[1]
        step = max(ROWS, NUMBERS // d)
        for start in range(0, len(features), step):
            block = np.array(features[start : start + step], dtype=np.float64, order="C")
            largest = max(float(block.max()), -float(block.min()))  # nan if any entry is
            if not largest <= LARGEST:
                raise DataError(
                    "features have NaN or infinite values: drop those rows, or stop before training"
                    " diverges"
                    if not np.isfinite(block).all()
                    else f"features as large as {largest:.0e} have squares beyond float64: rescale"
                )
            yield block, labels[start : start + step]


def read_features(given: Any) -> np.ndarray:
    """As an array (rows, features) of real numbers, dtype kept, finite or not. DataError."""
    try:
        features = readable("features", given)
    except DataError:
        raise
    except ValueError:
        raise DataError("features must be a rectangular array (rows, features)") from None
    if features.dtype.kind not in "biuf" and features.dtype.name != "bfloat16":
        raise DataError(f"features must be real numbers, got an array of dtype {features.dtype}")
    if features.ndim != 2:
        raise DataError(
            f"features must have shape (rows, features), got {features.shape}: flatten each row "
            "with x.reshape(len(x), -1)"
        )
    if 0 in features.shape:
        raise DataError(
            f"features of shape {features.shape} are empty: give at least one row and one unit"
        )
    return features


def read_labels(given: Any) -> np.ndarray:
    """As an array (rows,) of integers, whole floats, booleans or strings. Raises DataError."""
    labels = readable("labels", given)
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)
    if labels.ndim != 1 or labels.dtype.kind not in "biufUS":
        raise DataError(
            "labels must be one integer or string per row, got an array of shape "
            f"{labels.shape}, dtype {labels.dtype}"
        )
    if labels.dtype.kind == "f" and (labels != np.round(labels)).any():  # nan too
        raise DataError("labels have fractional or NaN values: give class labels, not targets")
    return labels
