"""How far forecasts are off, one parameter at a time, and the clock that they all obey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from figures.saved import saved
from svmconv.plots.style import color, marker, styled

WORDS = ("holds", "undecided", "contradicted")
LABELS = {
    "theta": r"$\theta - 1$",
    "lambda_min": r"$\lambda_{min}$",
    "margin": r"$\gamma$",
    "n": "rows n, planted",
    "d": "dimensions d",
    "n of Gaussian rows": "rows n, Gaussian",
}
COUNTED = ("n", "d", "n of Gaussian rows")
EXACT = 1e-15
"""Differences below this are drawn here: float64 has no smaller ones, and some are zero."""


@styled
def hardness(results: Path) -> Figure:
    """Gap and forecast above, their difference below; last, all against kappa ln t."""
    found = saved(results, "hardness")
    varied = [name for name in LABELS if (found.varied == name).any()]
    figure = Figure(figsize=(1.75 * len(varied) + 0.6, 8.4))
    halves = figure.add_gridspec(2, 1, height_ratios=(1.25, 1.0))
    top, bottom = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    panels = top.subplots(2, len(varied), sharex="col", sharey="row", squeeze=False)
    for name, (gap, miss) in zip(varied, panels.T, strict=True):
        one = found.isel(problem=np.flatnonzero(found.varied == name))
        _forecast(gap, one)
        for ax, value in ((gap, one.gap.to_numpy()), (miss, off_by(one))):
            _marks(ax, one, across(one), value)
            ax.set(xscale="log", yscale="log")
            ax.yaxis.set_minor_formatter(NullFormatter())
            if name in COUNTED:
                ax.set_xticks(np.unique(one.value)[::2], minor=False)
                ax.xaxis.set_major_formatter("{x:g}")
                ax.xaxis.set_minor_formatter(NullFormatter())
        miss.axhline(_tolerance(found), color="0.3", linestyle="--")
        miss.set_xlabel(LABELS[name])
    panels[0, 0].set_ylabel("relative margin gap")
    panels[1, 0].set_ylabel("|gap / forecast - 1|")
    decades = found.attrs["log_t"] / np.log(10.0)
    top.suptitle(f"margin gap of the flow at t = $10^{{{decades:.0f}}}$, one parameter at a time")
    _collapse(bottom.subplots(), found)
    bottom.legend(handles=_handles(found), loc="outside lower center", ncols=5)
    return figure


def across(one: xr.Dataset) -> np.ndarray:
    """What the panel of a parameter has on its axis."""
    value = one.value.to_numpy()
    return value - 1.0 if one.varied.values[0] == "theta" else value


def off_by(one: xr.Dataset) -> np.ndarray:
    """|gap / forecast - 1|, EXACT or more."""
    return np.maximum(np.abs(one.gap / one.gap_forecast - 1.0).to_numpy(), EXACT)


def _forecast(ax: Axes, one: xr.Dataset) -> None:
    """A line per seed."""
    for seed in np.unique(one.seed):
        each = one.isel(problem=np.flatnonzero(one.seed == seed))
        ax.plot(across(each), each.gap_forecast, color="0.5", linewidth=0.8, zorder=1)


def _marks(ax: Axes, one: xr.Dataset, x: np.ndarray, y: np.ndarray) -> None:
    for number, word in enumerate(WORDS):
        chosen = (one.verdict == word).to_numpy()
        ax.plot(
            x[chosen], y[chosen], linestyle="none", marker=marker(number),
            markersize=4, color=color(number), alpha=0.7,
        )  # fmt: skip


def _collapse(ax: Axes, found: xr.Dataset) -> None:
    """Every problem against the one number that decides."""
    clock = (found.kappa * found.log_tau).to_numpy()
    _marks(ax, found, clock, off_by(found))
    line = np.array([0.0, -np.log(EXACT)])
    ax.plot(line, np.exp(-line), color="0.5", zorder=1)
    ax.axhline(_tolerance(found), color="0.3", linestyle="--")
    ax.set(
        yscale="log", ylabel="|gap / forecast - 1|",
        xlabel=r"$\kappa \, \ln(\gamma^2 t)$, with $\kappa = \min(\lambda_{min}, \theta - 1)$",
        title=r"all of the above: the remainder is $t^{-\kappa}$",
    )  # fmt: skip


def _tolerance(found: xr.Dataset) -> float:
    """Relative: what the error bar must stay below."""
    return float((found.tolerance / found.gap_forecast).max())


def _handles(found: xr.Dataset) -> list[Line2D]:
    marks = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marker(n),
            color=color(n),
            label=f"{word} ({int((found.verdict == word).sum())})",
        )
        for n, word in enumerate(WORDS)
    ]
    return [
        *marks,
        Line2D([], [], color="0.5", label=r"forecast (top); $e^{-x}$ (last)"),
        Line2D([], [], color="0.3", linestyle="--", label="tolerance of the error bar"),
    ]
