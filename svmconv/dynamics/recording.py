"""What both dynamics share: when to record, the labelled trajectory, interruption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float64, Int

from svmconv.errors import DataError
from svmconv.geometry import length
from svmconv.problem import Bias, Problem, check_choice

POINTS = 192
"""Recordings of one run, log-spaced, the start not counted."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run. `trajectory` holds what was finished; pass it back as `resume=`."""

    def __init__(self, trajectory: xr.Dataset) -> None:
        reached = float(trajectory.log1p_t[-1])
        super().__init__(
            f"interrupted at ln(1 + t) = {reached:.6g}: `.trajectory` of this exception holds the "
            "finished part, pass it as resume= to continue"
        )
        self.trajectory = trajectory


def log_spaced_times(end: float) -> Float64[np.ndarray, " points"]:
    """Values of ln(1 + t) up to `end`: POINTS of them, log-spaced from 0.01 (or below)."""
    return np.geomspace(min(0.01, end / 100), end, POINTS)


def log_spaced_steps(end: int) -> Int[np.ndarray, " points"]:
    """Distinct step counts up to `end`, log-spaced from 1."""
    return np.unique(np.geomspace(1, end, POINTS).round().astype(np.int64))


def log_time(log1p_t: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, " t"]:
    """ln t of every ln(1 + t); -inf at the start."""
    with np.errstate(divide="ignore"):
        return log1p_t + np.log(-np.expm1(-log1p_t))


def check_bias(bias: Bias) -> None:
    """DataError for a bias no descent reaches."""
    check_choice("bias", bias, ("none", "augmented", "free"))
    if bias == "free":
        raise DataError(
            'no descent reaches bias="free", the classical SVM: descent on (w, b) reaches '
            'bias="augmented" (ask max_margin for "free" to compare)'
        )


def initial_weights(
    problem: Problem, bias: Bias, bias_scale: float, init: Any
) -> Float64[np.ndarray, "*w"]:
    """The start as one array in the space of (w, b / sqrt c); zero when `init` is None.

    `init` is w, (d,) or (K, d), or the pair (w, b) when the bias is augmented.
    """
    k = () if problem.binary else (problem.n_classes,)
    w, b = init if isinstance(init, tuple) else (init, None)
    try:
        w = np.zeros((*k, problem.d)) if w is None else np.asarray(w, dtype=np.float64)
        b = np.zeros(k) if b is None else np.asarray(b, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"init must hold real numbers ({error})") from None
    if w.shape != (*k, problem.d) or b.shape != k:
        raise DataError(
            f"init must have shape {(*k, problem.d)}, or be a pair (w, b) with b of shape {k}; "
            f"got {w.shape} and {b.shape}"
        )
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise DataError("init has NaN or infinite values: start from finite weights")
    if bias == "augmented":
        return np.concatenate([w, b[..., None] / np.sqrt(bias_scale)], axis=-1)
    if np.any(b):
        raise DataError('init has a bias: ask for bias="augmented" to train it')
    return w


class Record(NamedTuple):
    """Some recordings of one run and the state its continuation starts from."""

    log1p_t: Float64[np.ndarray, " t"]
    weights: Float64[np.ndarray, "t *w"]
    """In the space of (w, b / sqrt c)."""
    margin: Float64[np.ndarray, " t"]
    log_loss: Float64[np.ndarray, " t"]
    state: Mapping[str, np.ndarray]
    """Each entry is stored as `state_<name>`."""
    step: int | None = None


class Ensemble(NamedTuple):
    """Recordings of many runs; nan from where a run left the finite numbers."""

    weights: Float64[np.ndarray, "run t *w"]
    """In the space of (w, b / sqrt c)."""
    margin: Float64[np.ndarray, "run t"]
    log_loss: Float64[np.ndarray, "run t"]


class Recorder:
    """Collects a run's recordings and labels them: a trajectory, finished or interrupted.

    `attrs` identify the run. `earlier`, a trajectory to continue, must have the same ones: else
    DataError.
    """

    def __init__(
        self, problem: Problem, attrs: Mapping[str, Any], earlier: xr.Dataset | None
    ) -> None:
        self.problem = problem
        self.attrs = {**attrs, "problem_id": problem.id}
        self.earlier = earlier
        self.records: list[Record] = []
        if earlier is not None:
            for key, value in self.attrs.items():
                if earlier.attrs.get(key) != value:
                    raise DataError(
                        f"resume= holds another run: its {key} is {earlier.attrs.get(key)!r}, "
                        f"this run's is {value!r}"
                    )

    def dataset(self) -> xr.Dataset:
        """dims log1p_t [, class], feature; w, b, margin, log_loss, norm; the state of the end.

        `norm` is that of (w, b / sqrt c).
        """
        if not self.records:
            assert self.earlier is not None
            return self.earlier
        later = self._labelled()
        if self.earlier is None:
            return later
        moving = [name for name, var in later.items() if "log1p_t" in var.dims]
        both = xr.concat([self.earlier[moving], later[moving]], dim="log1p_t")
        merged = xr.merge([both, later.drop_dims("log1p_t")])
        merged.attrs = dict(self.attrs)  # not what a file has added to the earlier part
        return merged

    def _labelled(self) -> xr.Dataset:
        log1p_t, weights, margin, log_loss = (
            np.concatenate([getattr(record, name) for record in self.records])
            for name in ("log1p_t", "weights", "margin", "log_loss")
        )
        w, b = split(weights, self.attrs["bias"], self.attrs["bias_scale"])
        outer = ("log1p_t",) if self.problem.binary else ("log1p_t", "class")
        last = self.records[-1]
        variables: dict[str, Any] = {
            "w": ((*outer, "feature"), w),
            "b": (outer, b),
            "margin": ("log1p_t", margin),
            "log_loss": ("log1p_t", log_loss),
            "norm": ("log1p_t", length(weights.reshape(len(weights), -1))),
        }
        for name, value in last.state.items():
            dims = tuple(f"{name}_{axis}" for axis in range(np.ndim(value)))
            variables[f"state_{name}"] = (dims, value)
        coords: dict[str, Any] = {"log1p_t": log1p_t, "feature": np.arange(self.problem.d)}
        if not self.problem.binary:
            coords["class"] = self.problem.classes
        if last.step is not None:
            coords["step"] = ("log1p_t", np.array([record.step for record in self.records]))
        return xr.Dataset(variables, coords, self.attrs)


def split(
    weights: Float64[np.ndarray, "*t u"], bias: str, bias_scale: float
) -> tuple[Float64[np.ndarray, "*t d"], Float64[np.ndarray, "*t"]]:
    """w and b of weights in the space of (w, b / sqrt c); b is 0 for other bias kinds."""
    if bias == "augmented":
        return weights[..., :-1], weights[..., -1] * np.sqrt(bias_scale)
    return weights, np.zeros(weights.shape[:-1])


def stacked(trajectory: xr.Dataset) -> Float64[np.ndarray, "t *w"]:
    """The weights of a trajectory in the space of (w, b / sqrt c); just w for other bias kinds."""
    w, b = trajectory.w.values, trajectory.b.values
    if trajectory.attrs["bias"] != "augmented":
        return w
    return np.concatenate([w, b[..., None] / np.sqrt(trajectory.attrs["bias_scale"])], axis=-1)
