"""The simulated sets of Li, Ding, Gao: the input plane and that of two penultimate features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.saved import saved
from svmconv.plots.style import color, marker, styled

PRESETS = ("paper-adam", "smoke")
"""The first that is there is drawn."""
COLUMNS = 2
"""Data sets beside one another; each has two panels."""


@styled
def li2018_simulated(results: Path) -> Figure:
    """Every data set, networks with squares under the cross-entropy: where they ended.

    The exact SVM is the augmented one of the features shown. DataError without a result.
    """
    runs = saved(results, "li2018_simulated", PRESETS)
    published = (runs.activation == "square") & (runs.loss == "cross_entropy")
    runs = runs.isel(run=np.flatnonzero(published))
    rows = -(-(runs.sizes["run"] + 1) // COLUMNS)  # one place is left for the legend
    figure = Figure(figsize=(5.6 * COLUMNS, 2.95 * rows))
    panels = figure.subplots(rows, 2 * COLUMNS).reshape(-1, 2)
    for place, (left, right) in enumerate(panels):
        if place < runs.sizes["run"]:
            one = runs.isel(run=place)
            _input(left, one)
            _penultimate(right, one)
        else:
            left.axis("off")
            right.axis("off")
    words = "left: input; right: penultimate features\nnear the support vectors\n"
    legend = panels[-1, 0].legend(
        handles=_handles(), loc="center left", fontsize=9, alignment="left",
        title=words + _settings(runs),
    )  # fmt: skip
    legend.set_in_layout(False)  # wider than its panel: it must not push the others aside
    return figure


def _settings(runs: xr.Dataset) -> str:
    """Those of the runs, which need not be the published ones."""
    first = {name: runs[name].values[0] for name in ("hidden", "n", "optimizer", "rate", "steps")}
    return "{hidden} units, {n:,} rows,\n{optimizer} {rate:g}, {steps:,} steps".format(**first)


def _input(ax: Axes, run: xr.Dataset) -> None:
    """Rows of the plane and where the network's two logits are equal."""
    x1, x2, score = run.x1.values, run.x2.values, run.score.values
    _square(ax, x1[[0, -1]], x2[[0, -1]])
    _rows(ax, run.x.values, run.label.values)
    if score.min() < 0 < score.max():
        ax.contourf(x1, x2, score > 0, levels=[-0.5, 0.5, 1.5], colors=_tints(), zorder=0)
        ax.contour(x1, x2, score, levels=[0.0], colors=color(3), linestyles="--")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    ax.set_title(f"{run.data_set.item()}\ntest accuracy {run.test_accuracy.item():.1%}")


def _penultimate(ax: Axes, run: xr.Dataset) -> None:
    """Penultimate features near the support vectors, the last layer's threshold, the exact SVM."""
    z, end = run.feature.values, run.isel(record=run.records.item() - 1).sel(against="augmented")
    held = end.support_vector.values
    near = z[held] if held.any() else z
    low, high = near.min(axis=0), near.max(axis=0)
    half = (1.5 if held.any() else 0.58) * float((high - low).max()) or 1.0
    _square(ax, *(np.array([c - half, c + half]) for c in (low + high) / 2))
    _rows(ax, z, run.label.values)
    ax.plot(
        *z[held].T, linestyle="none", marker="o", markersize=9,
        markerfacecolor="none", markeredgecolor="black",
    )  # fmt: skip
    if end.separable:
        _line(ax, end.svm_w.values, float(end.svm_b), 0.0, "black", "-")
        for level in (-1.0, 1.0):
            _line(ax, end.svm_w.values, float(end.svm_b), level, "black", ":")
    w, b = (np.diff(own.values, axis=0)[0] for own in (run.weight, run.bias))
    _line(ax, w, b, 0.0, color(3), "--")
    ax.set(xlabel="unit 1", ylabel="unit 2")
    ax.set_title(_verdict(end))


def _verdict(end: xr.Dataset) -> str:
    """Two lines above a plane of features."""
    if not end.separable:
        return f"not separable\n{end.conflicting.item()} rows in conflict"
    collapsed = ", a class is one point" if end.collapsed else ""
    angle, alone = np.degrees([end.angle.item(), end.angle_w.item()])
    return (
        f"$(w, b)$ {angle:.2g}°, $w$ {alone:.2g}° off the SVM's\n"
        f"margin {1 - end.margin_gap.item():.3g} of the SVM's{collapsed}"
    )


def _rows(ax: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    for k, label in enumerate((-1, 1)):
        ax.plot(
            *points[labels == label].T, color=color(k), marker=marker(k), linestyle="none",
            markersize=3, markeredgewidth=0, alpha=0.7,
        )  # fmt: skip


def _line(ax: Axes, w: np.ndarray, b: float, level: float, look: str, style: str) -> None:
    """Where w.z + b = level, inside the limits of the axes."""
    x1, x2 = np.array(ax.get_xlim()), np.array(ax.get_ylim())
    value = w[0] * x1[None, :] + w[1] * x2[:, None] + b - level
    if value.min() < 0 < value.max():
        ax.contour(x1, x2, value, levels=[0.0], colors=look, linestyles=style)


def _square(ax: Axes, x1: np.ndarray, x2: np.ndarray) -> None:
    ax.grid(False)
    ax.set(xlim=x1, ylim=x2, aspect="equal")


def _tints() -> list[tuple[float, ...]]:
    """The classes' colours, almost white."""
    return [tuple(1 - 0.15 * (1 - c) for c in to_rgb(color(k))) for k in range(2)]


def _handles() -> list[Line2D]:
    """What a legend says."""
    rows = [
        Line2D([], [], color=color(k), marker=marker(k), linestyle="none", label=f"class {label}")
        for k, label in enumerate(("-1", "+1"))
    ]
    ring = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgecolor": "black"}
    return [
        *rows,
        Line2D([], [], color=color(3), linestyle="--", label="network's boundary"),
        Line2D([], [], color="black", label="exact SVM of these features (augmented)"),
        Line2D([], [], color="black", linestyle=":", label="its margins"),
        Line2D([], [], linestyle="none", **ring, label="its support vectors"),
    ]
