"""Linear regions between two images over training, and how many are expected before it."""

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

TITLES = {
    "same class": "between rows of one class",
    "different classes": "between rows of two classes",
    "line": "on the whole line through them",
}


@styled
def linear_regions(results: Path) -> Figure:
    """A row per number of hidden units, a column per kind of segment. DataError without."""
    found = saved(results, "linear_regions", ("paper", "cpu", "smoke"))
    units = np.unique(found.units)
    figure = Figure(figsize=(9.6, 2.9 * len(units) + 0.8))
    grid = figure.subplots(len(units), len(TITLES), sharex=True, squeeze=False)
    handles = []
    for row, total in zip(grid, units, strict=True):
        same = found.isel(network=(found.units == total).to_numpy())
        for ax, kind in zip(row, TITLES, strict=True):
            for number in range(same.sizes["network"]):
                _curve(ax, same.regions.sel(kind=kind).isel(network=number), number)
            expected = float(same.expected.sel(kind=kind).mean())
            ax.axhline(expected, color="0.3", linestyle="--", linewidth=1.0, zorder=3)
            ax.set_ylim(bottom=0.0)
        row[0].set_ylabel(f"linear regions, {total} hidden units")
        # Depths in the order of the file, alike in every row.
        handles = handles or [_depth(n, name) for n, name in enumerate(same.network.to_numpy())]
    for ax, kind in zip(grid[0], TITLES, strict=True):
        ax.set_title(TITLES[kind])
    for ax in grid[-1]:
        ax.set_xscale("symlog", linthresh=1)
        ax.set(xlabel="epoch", xlim=(0, 1.1 * int(found.epoch[-1])))
        ax.xaxis.set_major_formatter("{x:g}")
    handles += [
        Patch(color="0.5", alpha=0.3, linewidth=0, label=f"range of {found.sizes['seed']} seeds"),
        Line2D([], [], color="0.3", linestyle="--", label="expected before training"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _curve(ax: Axes, regions: xr.DataArray, number: int) -> None:
    """Mean over segments and seeds, and the range of seeds."""
    epoch, look = regions.epoch.to_numpy(), color(number)
    ax.fill_between(
        epoch, regions.min("seed"), regions.max("seed"), color=look, alpha=0.2, linewidth=0
    )
    ax.plot(epoch, regions.mean("seed"), color=look, marker=marker(number), markersize=3.5)


def _depth(number: int, network: str) -> Line2D:
    layers = network.count("-") + 1
    label = f"{layers} hidden layer{'s' * (layers > 1)}"
    return Line2D([], [], color=color(number), marker=marker(number), markersize=4, label=label)
