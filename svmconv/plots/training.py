"""A last layer beside the exact SVM of its current features, while the network is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from svmconv.errors import DataError
from svmconv.plots.curves import tick_powers_of_ten
from svmconv.plots.style import color, marker, styled
from svmconv.problem import Bias

_PANELS = {
    "angle": "angle of (w, b) [rad]",
    "angle_w": "angle of w [rad]",
    "margin_gap": r"margin gap $1 - \rho$",
    "bias_gap": "|bias gap| / margin",
}
_SHALLOWEST = 0.1
"""Losses above e^-0.1 are not shown."""


@styled
def training(
    curves: Mapping[str, xr.Dataset], against: Bias = "augmented", title: str = ""
) -> Figure:
    """Angles, margin gap and bias gap against the loss, one colour per labelled run.

    `curves` are records of a Tracker of `last_layer_gaps`; `rho` is the margin as a share of the
    exact SVM's. The bias gap, a length in the space of features, which grows with the network, is
    shown in units of the exact margin; of K classes the largest. Lines connect records of ever
    lower loss. Records where a class has become a point have no marker. If they say which ones are
    of the late phase (`late`), a ring shows where it begins. Raises DataError if no run has
    anything to show.
    """
    shown = {label: _shown(c.sel(against=against)) for label, c in curves.items()}
    if not any(c.sizes["step"] for c in shown.values()):
        raise DataError("no record is of separable features and a loss below 0.9: nothing to draw")
    figure = Figure(figsize=(7.2, 0.9 + 1.7 * len(_PANELS) + 0.17 * len(curves)))
    axes = figure.subplots(len(_PANELS), 1, sharex=True)
    for (name, label), ax in zip(_PANELS.items(), axes, strict=True):
        ax.set(xscale="log", yscale="log", ylabel=label)
        for number, curve in enumerate(shown.values()):
            _draw(ax, curve, name, number)
        _fit(ax)
    figure.suptitle(title)
    tick_powers_of_ten(axes[-1], -1)
    axes[-1].set_xlabel("mean loss L  (axis: logarithm of ln 1/L)")
    figure.legend(handles=_legend(shown), loc="outside lower left", ncols=1)
    return figure


def _shown(curve: xr.Dataset) -> xr.Dataset:
    """Records of separable features, with a bias gap that is one positive number."""
    gap = np.abs(curve.bias_gap) / curve.svm_margin
    gap = gap.max("class") if "class" in gap.dims else gap
    kept = curve.separable.values.astype(bool) & (curve.log_loss.values <= -_SHALLOWEST)
    return curve.assign(bias_gap=gap).isel(step=np.flatnonzero(kept))


def _draw(ax: Axes, curve: xr.Dataset, name: str, number: int) -> None:
    x, y = -curve.log_loss.to_numpy(), curve[name].to_numpy()
    lowest = x >= np.maximum.accumulate(x)
    ax.plot(x[lowest], y[lowest], color=color(number), alpha=0.5)
    proper = ~curve.collapsed.to_numpy().astype(bool)
    ax.plot(
        x[proper], y[proper], color=color(number), linestyle="none", marker=marker(number),
        markersize=3,
    )  # fmt: skip
    begin = _begin(curve)
    ax.plot(
        x[begin], y[begin], color=color(number), linestyle="none", marker="o",
        markersize=10, markerfacecolor="none",
    )  # fmt: skip


def _fit(ax: Axes) -> None:
    """A decade at least, so that a flat curve looks flat, and labels at powers of ten only."""
    low, high = ax.get_ylim()
    wider = max(1.0, math.sqrt(10.0 * low / high))
    ax.set_ylim(low / wider, high * wider)
    ax.yaxis.set_minor_formatter(NullFormatter())


def _begin(curve: xr.Dataset) -> slice:
    """The first record of the late phase, if there is one."""
    late = np.flatnonzero(curve.late.values) if "late" in curve else np.zeros(0, np.int64)
    return slice(late[0], late[0] + 1) if late.size else slice(0, 0)


def _legend(shown: Mapping[str, xr.Dataset]) -> list[Line2D]:

    def missing(curve: xr.Dataset) -> str:
        return "" if curve.sizes["step"] else ": never separable"

    handles = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=3, label=label + missing(curve))
        for n, (label, curve) in enumerate(shown.items())
    ]
    if any("late" in c for c in shown.values()):
        words = "late phase begins: whole network on log L, normalisation frozen"
        ring = {"marker": "o", "markersize": 10, "markerfacecolor": "none"}
        handles.append(Line2D([], [], color="0.3", linestyle="none", label=words, **ring))
    if any(c.collapsed.values.any() for c in shown.values()):
        words = "no marker: a class has become a point, and its SVM is that of a single row"
        handles.append(Line2D([], [], color="0.3", alpha=0.5, label=words))
    return handles
