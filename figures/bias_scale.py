"""Direction, bias and margin against the price of the bias, exact and as training reaches them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.saved import saved
from svmconv.plots.style import color, marker, styled

PANELS = {
    "angle_w": "angle to the classical SVM (rad)",
    "bias": "b / |w|",
    "margin": "margin / that of the classical SVM",
}
SMALL = 1e-4
"""Radians below which the axis of angles is linear: some are zero."""


@styled
def bias_scale(results: Path) -> Figure:
    """A row per problem; angle, bias and margin as functions of c. DataError without a result."""
    found = saved(results, "bias_scale")
    figure = Figure(figsize=(9.6, 6.4))
    grid = figure.subplots(found.sizes["problem"], len(PANELS), sharex=True, squeeze=False)
    for row, problem in zip(grid, found.problem.to_numpy(), strict=True):
        one = found.sel(problem=problem)
        for ax, name in zip(row, PANELS, strict=True):
            for number, by in enumerate(one.by.to_numpy()):
                _line(ax, one[name].sel(by=by), number)
            ax.set(xscale="log", title=problem, ylabel=PANELS[name])
        row[0].set_yscale("symlog", linthresh=SMALL)
        row[0].set_ylim(bottom=0.0)
        row[1].axhline(float(one.free_bias), color="0.3", linestyle=":")
        row[2].axhline(1.0, color="0.3", linestyle=":")
    for ax in grid[-1]:
        ax.set_xlabel("c, step on b over step on w")
    figure.legend(handles=_handles(found), loc="outside lower center", ncols=3)
    return figure


def _line(ax: Axes, values: xr.DataArray, number: int) -> None:
    ax.plot(
        values.bias_scale, values, color=color(number), marker=marker(number), markersize=3.5,
        markevery=(number, 4), linewidth=3.0 if number == 0 else 1.2,
        alpha=0.5 if number == 0 else 1.0,
    )  # fmt: skip


def _handles(found: xr.Dataset) -> list[Line2D]:
    when = {
        by: float(found.log_t.sel(by=by).isel(problem=0, bias_scale=0)) / np.log(10.0)
        for by in ("late", "early")
    }
    steps = int(found.attrs["steps"])
    labels = {
        "exact": "limit: exact SVM with |w|$^2$ + b$^2$/c",
        "late": f"flow at t = $10^{{{when['late']:.0f}}}$",
        "early": f"flow at t = $10^{{{when['early']:.0f}}}$",
        "gd": f"gradient descent, {steps:,} steps of half its limit",
    }
    lines = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, label=labels[by])
        for n, by in enumerate(found.by.to_numpy())
    ]
    return [*lines, Line2D([], [], color="0.3", linestyle=":", label="classical SVM, b free")]
