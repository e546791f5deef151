"""Medians and ranges over seeds of a sweep: a panel per data set and optimizer, a line per rate."""

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


@styled
def synthetic_sweep(results: Path) -> Figure:
    """Margin gap against t; DataError without a result."""
    found = saved(results, "synthetic_sweep")
    sets = list(dict.fromkeys(zip(found.data.values, found.d.values, strict=True)))
    names = list(dict.fromkeys(found.optimizer.values))
    rates = list(dict.fromkeys(found.rate.values))
    figure = Figure(figsize=(2.5 * len(names) + 0.6, 2.1 * len(sets) + 1.0))
    grid = figure.subplots(len(sets), len(names), sharex="col", sharey="row", squeeze=False)
    for row, (data, d) in zip(grid, sets, strict=True):
        for ax, name in zip(row, names, strict=True):
            of = (found.data == data) & (found.d == d) & (found.optimizer == name)
            for group in np.flatnonzero(of):
                one = found.isel(group=group)
                _curve(ax, one, rates.index(one.rate.values[()]))
            ax.set(xscale="log", yscale="log")
        row[0].set_ylabel(f"{data}, d = {d}\nrelative margin gap")
    for ax, name in zip(grid[0], names, strict=True):
        ax.set_title(name)
    for ax in grid[-1]:
        ax.set_xlabel("t, total length of the steps")
    total, ok = int(found.runs.sum()), int(found.ok.sum())
    figure.suptitle(f"{total:,} runs, {ok:,} of them finite to the end")
    figure.legend(handles=_handles(rates, found), loc="outside lower center", ncols=len(rates) + 2)
    return figure


def _curve(ax: Axes, one: xr.Dataset, number: int) -> None:
    """Median, the range of nine seeds in ten, and the median of the forecasts."""
    t = np.expm1(one.log1p_t.to_numpy())
    low, median, high = (one.margin_gap.sel(quantile=q).to_numpy() for q in (0.05, 0.5, 0.95))
    shown = np.isfinite(median)
    look = color(number)
    ax.fill_between(t[shown], low[shown], high[shown], color=look, alpha=0.2, linewidth=0)
    ax.plot(
        t[shown], median[shown], color=look, marker=marker(number), markersize=3.5,
        markevery=(2 * number, 8),
    )  # fmt: skip
    expected = one.margin_gap_forecast.sel(quantile=0.5).to_numpy()
    late = shown & (expected > 0.0) & (expected < 1.0)
    ax.plot(t[late], expected[late], color="black", linestyle="--", linewidth=0.8)


def _handles(rates: list[float], found: xr.Dataset) -> list[Line2D | Patch]:
    seeds = int(found.runs.max())
    lines: list[Line2D | Patch] = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, label=f"rate {rate:g}")
        for n, rate in enumerate(rates)
    ]
    return [
        *lines,
        Patch(color="0.5", alpha=0.3, linewidth=0, label=f"5 to 95 % of {seeds} seeds"),
        Line2D([], [], color="black", linestyle="--", linewidth=0.8, label="forecast, median"),
    ]
