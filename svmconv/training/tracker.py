"""Measure the layers of a network while anybody's own loop trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr
from jaxtyping import Int64

from svmconv.errors import DataError
from svmconv.problem import check_counts, readable

GROWTH = 1.125
"""at="log": a run to a log-loss of -1000, or of a million steps, leaves about a hundred records."""

Measure = Callable[..., Mapping[Any, Any]]
"""(features, labels, weight, bias) -> scalars or small arrays by name; an xarray.Dataset is one."""


class Tracker:
    """Records of a training run, kept where they are due.

        tracker = sc.Tracker(sc.measures.last_layer_gaps)
        ...  # in the loop, as often as you like
        tracker.update(step, log_loss, lambda: penultimate(params), labels, weight, bias)
        ...
        sc.results.save(tracker.dataset, "run.nc")

    `at` says when a record is due: "log", where 1 + step, or 1 - log_loss beyond the lowest one
    recorded, has grown by an eighth; a number m, every m steps; or the steps themselves. Where
    `update` is called less often, at the first call after that. The first call of "log" and of m is
    due. Arrays go to `measure` as they are given, but as numpy arrays and in their own dtype.

    With `hidden`, the training loops of this package hand over the activations of every layer by
    name, of so many rows spread evenly over the data, in place of the last layer's input of all:

        tracker = sc.Tracker(sc.measures.layer_report, hidden=1000)

    and so may any other loop: `features` is then a dict of arrays (m, ...), labels are of the same
    rows, for which rows = tracker.rows(n) is one choice. Fewer rows than classes are too few.

    A killed run goes on with the records of `tracker.dataset`, or of the file it was saved in:
    Tracker(measure, at, records=sc.results.load("run.nc")). Steps up to the last recorded one, gone
    through again since an older checkpoint, are not recorded twice.
    """

    def __init__(
        self,
        measure: Measure,
        at: Any = "log",
        records: xr.Dataset | None = None,
        hidden: Any = None,
    ) -> None:
        if not callable(measure):
            raise DataError(f"measure must be a function of a last layer, got {measure!r}")
        if hidden is not None:
            check_counts(2, hidden=hidden)
        self.measure = measure
        self.hidden: int | None = hidden
        self.at: Literal["log"] | int | tuple[int, ...] = _checked(at)
        self._parts: list[xr.Dataset] = []
        self._last = -1
        self._deepest = 0.0
        """Of all records: largest -log_loss, and 0."""
        if records is not None and _steps(records):
            self._append(_bare(records))

    def update(
        self, step: int, log_loss: Any, features: Any, labels: Any, weight: Any, bias: Any
    ) -> bool:
        """Measure if a record is due at this step; whether it was.

        log_loss: natural log of the training loss, a number. features (n, d): the last layer's
        current input, or the activations of several layers by name; or a function of no arguments
        that computes them, which is called only where a record is due. labels (n,), weight (K, d),
        bias (K,) or None: whatever `measure` takes. At "log" every call reads log_loss, and so
        waits for the device. Raises DataError on records that do not fit the earlier ones.
        """
        if not self.due(step, log_loss):
            return False
        self.record(step, log_loss, features, labels, weight, bias)
        return True

    def due(self, step: int, log_loss: Any) -> bool:
        """Whether `update` would measure."""
        if step <= self._last:
            return False
        if isinstance(self.at, int):
            return not self._parts or step // self.at > self._last // self.at
        if self.at != "log":
            return any(self._last < s <= step for s in self.at)
        deep = 1.0 - _number(log_loss) >= GROWTH * (1.0 + self._deepest)
        return not self._parts or deep or 1 + step >= GROWTH * (1 + self._last)

    def record(
        self, step: int, log_loss: Any, features: Any, labels: Any, weight: Any, bias: Any
    ) -> None:
        """Measure now, due or not: the last step of a run, say. As `update`."""
        check_counts(0, step=step)
        if step <= self._last:
            raise DataError(
                f"step {step} was recorded before (the last record is of step {self._last}): "
                "number the steps of a run in increasing order"
            )
        given = features() if callable(features) else features
        if isinstance(given, Mapping):
            x = {name: readable(f"layer {name!r}", v) for name, v in given.items()}
        else:
            x = readable("features", given)
        layer = (None if v is None else readable("the last layer", v) for v in (weight, bias))
        found = self.measure(x, readable("labels", labels), *layer)
        if not isinstance(found, Mapping):
            raise DataError(f"measure returned a {type(found).__name__}: a dict or xarray Dataset")
        self._append(_one_record(int(step), _number(log_loss), found))

    def rows(self, n: int) -> Int64[np.ndarray, " m"]:
        """Which of n rows the activations of hidden layers are taken of."""
        return np.linspace(0, n - 1, min(self.hidden or n, n)).round().astype(np.int64)

    @property
    def dataset(self) -> xr.Dataset:
        """All records over `step`: log_loss and everything that was measured."""
        if not self._parts:
            return xr.Dataset({"log_loss": ("step", np.zeros(0))}, {"step": np.zeros(0, np.int64)})
        if len(self._parts) > 1:
            self._parts = [
                xr.concat(
                    self._parts, "step", data_vars="minimal", coords="minimal", compat="override",
                    join="exact", combine_attrs="drop",
                )
            ]  # fmt: skip
        return self._parts[0].copy()

    def _append(self, part: xr.Dataset) -> None:
        if self._parts:
            _check_alike(self._parts[0], part)
        self._parts.append(part)
        self._last = _steps(part)[-1]
        self._deepest = max(self._deepest, -float(part.log_loss.min()))


def check_tracker(tracker: object) -> None:
    """DataError unless it is a Tracker or None."""
    if not isinstance(tracker, Tracker | None):
        raise DataError(f"tracker must be a Tracker: sc.Tracker(measure), got {tracker!r}")


def _number(log_loss: Any) -> float:
    try:
        return float(log_loss)
    except (TypeError, ValueError):
        raise DataError(f"log_loss must be a number, got {log_loss!r}") from None


def _checked(at: Any) -> Literal["log"] | int | tuple[int, ...]:
    if isinstance(at, str) and at == "log":
        return "log"
    try:
        if np.ndim(at) == 1:
            return tuple(int(step) for step in at)
        every = int(at)
        if every != at or every <= 0:
            raise ValueError
        return every
    except (TypeError, ValueError):
        raise DataError(
            f'at must be "log", a positive number of steps, or a sequence of steps, got {at!r}'
        ) from None


def _one_record(step: int, log_loss: float, found: Mapping[Any, Any]) -> xr.Dataset:
    """One record over `step`; arrays get dimensions of their own unless they come with some."""
    taken = sorted({"step", "log_loss"} & set(found))
    if taken:
        raise DataError(f"measure returns {', '.join(taken)}, which the tracker keeps: rename it")
    variables: dict[Any, Any] = {"log_loss": ("step", [log_loss])}
    for name, value in found.items():
        if isinstance(value, xr.DataArray):
            variables[name] = (("step", *value.dims), value.values[None])
        else:
            array = np.asarray(value)[None]
            axes = [f"{name}_{i}" for i in range(array.ndim - 1)]
            variables[name] = (("step", *axes), array)
    coords = dict(found.coords) if isinstance(found, xr.Dataset) else {}
    return xr.Dataset(variables, {**coords, "step": [step]})


def _bare(dataset: xr.Dataset) -> xr.Dataset:
    """Without attributes: a schema number or a problem's hash is not that of all records."""
    bare = dataset.copy()
    bare.attrs = {}
    return bare


def _check_alike(first: xr.Dataset, part: xr.Dataset) -> None:
    """DataError unless both hold the same variables of the same shapes."""
    shapes, other = (
        {name: (v.dims[1:], v.shape[1:]) for name, v in d.data_vars.items()} for d in (first, part)
    )
    changed = sorted(map(str, {k for k in shapes | other if shapes.get(k) != other.get(k)}))
    if changed:
        raise DataError(
            f"records differ in the shape of {', '.join(changed)}: measure must return the same "
            "names and shapes at every step"
        )


def _steps(records: xr.Dataset) -> list[int]:
    """The recorded steps; DataError on anything but records."""
    held = {"step", "log_loss"} & set(records.variables if isinstance(records, xr.Dataset) else ())
    if len(held) < 2:
        raise DataError("records has no step and log_loss: pass the dataset of an earlier Tracker")
    return records.step.values.tolist()
