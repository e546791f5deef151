"""Is the penultimate layer a regular simplex? Its plane, and neural collapse over training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from figures.saved import saved
from svmconv.plots.style import color, marker, styled

PRESETS = ("paper", "cpu", "smoke")
MEASURES = {
    "nc1": "NC1\nwithin / between",
    "nc2_norm": "NC2, lengths\nstd / mean",
    "nc2_angle": "NC2, angles\n|cos + 1/(K-1)|",
    "nc3": "NC3\nweights to means",
    "nc4": "NC4\nnot nearest mean",
    "cdnv": "CDNV\nvar. / distance$^2$",
}
LOGARITHMIC = ("nc1", "nc3", "cdnv")
"""Measures that fall over decades; the others are drawn as they are."""
ROWS = {"train": "training rows", "test": "test rows"}


@styled
def planes(results: Path) -> Figure:
    """The layer of three classes on the plane of its means, by setting. DataError without."""
    found = saved(results, "simplex_symmetry", PRESETS)
    settings = found.setting.to_numpy()
    figure = Figure(figsize=(9.6, 3.3 * -(-len(settings) // 3) + 0.7))
    grid = figure.subplots(-(-len(settings) // 3), 3, squeeze=False).ravel()
    for ax, setting in zip(grid, settings, strict=False):
        _plane(ax, found.sel(setting=setting))
    for ax in grid[len(settings) :]:
        ax.set_axis_off()
    for ax in grid[-3:]:
        ax.set_xlabel("first direction (units of the features)")
    for ax in grid[::3]:
        ax.set_ylabel("second direction")
    figure.legend(handles=_plane_handles(found), loc="outside lower center", ncols=4)
    return figure


def _plane(ax: Axes, one: xr.Dataset) -> None:
    """Rows, class means and the simplex they should be."""
    for name in ("test", "train"):
        points, label = (one[v].sel(rows=name).to_numpy() for v in ("projected", "label"))
        for k in range(one.sizes["class"]):
            own = points[label == k]
            test = name == "test"
            ax.scatter(
                *own.T, s=11 if test else 9, marker=marker(k), linewidths=0.6,
                facecolors="none" if test else color(k), edgecolors=color(k) if test else "none",
                alpha=0.8 if test else 0.6,
            )  # fmt: skip
    corners = one.simplex.to_numpy()
    ax.plot(*np.vstack([corners, corners[:1]]).T, color="black", linestyle="--", linewidth=1.0)
    ax.scatter(*one.means.to_numpy().T, marker="P", s=70, color="black", edgecolors="white")
    share = 100.0 * one.in_plane
    ax.set_title(
        f"{one.setting.item()}\n{float(share.sel(rows='train')):.0f} % of the variance is in the "
        f"plane (test: {float(share.sel(rows='test')):.0f} %)",
        fontsize=8,
    )
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.08)


def _plane_handles(found: xr.Dataset) -> list[Line2D]:
    none = {"linestyle": "none", "markersize": 5}
    classes = [
        Line2D([], [], color=color(k), marker=marker(k), label=f"digit {k}", **none)
        for k in range(found.sizes["class"])
    ]
    hollow = {"marker": "o", "markerfacecolor": "none", "color": "0.3"}
    return [
        *classes,
        Line2D([], [], color="0.3", marker="o", label="filled: training rows", **none),
        Line2D([], [], label="hollow: test rows", **hollow, **none),
        Line2D([], [], color="black", marker="P", label="class means, training rows", **none),
        Line2D([], [], color="black", linestyle="--", label="regular simplex closest to them"),
    ]


@styled
def curves(results: Path) -> Figure:
    """A row per measure, a column per number of classes and kind of rows. DataError without."""
    found = saved(results, "simplex_symmetry", PRESETS)
    columns = [(k, rows) for k in found.classes.to_numpy() for rows in ROWS]
    figure = Figure(figsize=(2.4 * len(columns) + 0.8, 9.6))
    grid = figure.subplots(len(MEASURES), len(columns), sharex=True, sharey="row")
    for line, name in zip(grid, MEASURES, strict=True):
        for ax, (k, rows) in zip(line, columns, strict=True):
            _curves(ax, found[name].sel(classes=k, rows=rows))
            if name in ("nc2_norm", "nc2_angle"):
                ax.axhline(found.attrs["reached"], color="0.3", linestyle=":")
            if name in LOGARITHMIC:
                ax.set_yscale("log")
            else:
                ax.set_ylim(bottom=0.0)
        line[0].set_ylabel(MEASURES[name])
    for ax, (k, rows) in zip(grid[0], columns, strict=True):
        ax.set_title(f"{k} classes, {ROWS[rows]}")
    for ax in grid[-1]:
        ax.set_xscale("symlog", linthresh=1)
        ax.set(xlabel="epoch", xlim=(0, 1.1 * int(found.epoch[-1])))
        ax.xaxis.set_major_formatter("{x:g}")
    seeds = found.sizes["seed"]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, label=setting)
        for n, setting in enumerate(found.setting.to_numpy())
    ]
    handles += [
        Patch(color="0.5", alpha=0.3, linewidth=0, label=f"range of {seeds} seeds"),
        Line2D([], [], color="0.3", linestyle=":", label="below, of all seeds: reached"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(columns))
    return figure


def _curves(ax: Axes, measure: xr.DataArray) -> None:
    """Mean and range over seeds of every setting."""
    epoch = measure.epoch.to_numpy()
    for number, setting in enumerate(measure.setting.to_numpy()):
        one = measure.sel(setting=setting)
        look = color(number)
        ax.fill_between(epoch, one.min("seed"), one.max("seed"), color=look, alpha=0.2, linewidth=0)
        ax.plot(
            epoch, one.mean("seed"), color=look, marker=marker(number), markersize=3.5,
            markevery=(number % 3, 3),
        )  # fmt: skip
