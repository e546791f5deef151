"""Margin gap against time: steps on L, steps on ln L, and methods whose norm is another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.saved import saved
from svmconv.plots.curves import tick_powers_of_ten
from svmconv.plots.style import color, marker, styled

PANELS = {
    "steps on L: the law is 1 / ln t": (
        "gradient flow", "gradient descent", "heavy ball", "SGD, batch 1",
    ),
    "steps on ln L: 1 / sqrt t, 1 / t, 1 / t$^2$": (
        "normalized GD, 1/sqrt t", "normalized GD", "dual acceleration",
    ),
    "other norms: 1 / t": (
        "sign descent (l_inf)", "coordinate descent (l_1)", "Adam, eps = 0 (l_inf)",
    ),
}  # fmt: skip
SMALL = 1e-12
"""Gaps below this are not drawn: the certificate leaves as much."""
LATEST = 60.0
"""ln t up to which the flow is drawn: descent gets to 15."""


@styled
def rates_by_optimizer(results: Path) -> Figure:
    """A row per problem, a panel per kind of method. DataError without a result."""
    found = saved(results, "rates_by_optimizer")
    figure = Figure(figsize=(10.4, 6.8))
    grid = figure.subplots(found.sizes["problem"], len(PANELS), squeeze=False)
    for row, problem in zip(grid, found.problem.to_numpy(), strict=True):
        for place, (ax, (title, names)) in enumerate(zip(row, PANELS.items(), strict=True)):
            each = {name: found.sel(problem=problem, optimizer=name) for name in names}
            for number, one in enumerate(each.values()):
                _curve(ax, one, number, by_time=place == 0)
            ax.set(xscale="log", yscale="log", title=title)
            if place == 0:
                ax.set_xlim(left=np.log(2.0))
                tick_powers_of_ten(ax, 1)
            ax.set_xlabel(
                "rate x t (axis: logarithm of its logarithm)" if place == 0 else "steps t"
            )
            ax.legend(handles=_handles(each, forecast=place < 2), loc="lower left")
        row[0].set_ylabel(f"{problem}\nrelative margin gap")
    return figure


def _curve(ax: Axes, one: xr.Dataset, number: int, *, by_time: bool) -> None:
    """Measured, marked now and then, and the forecast as dashes over it."""
    x = (one.log1p_t if by_time else one.step).to_numpy()
    gap, expected = one.margin_gap.to_numpy(), one.margin_gap_forecast.to_numpy()
    shown = gap > SMALL
    if by_time:
        shown &= (x > np.log(2.0)) & (x < LATEST)
    ax.plot(
        x[shown], gap[shown], color=color(number), marker=marker(number), markersize=4,
        markevery=(4 * number, 16), linewidth=3.0, alpha=0.6,
    )  # fmt: skip
    if by_time and number:
        return  # as a function of rate x t the forecast is one
    late = shown & (expected > SMALL) & (expected < 1.0)
    ax.plot(x[late], expected[late], color="black", linestyle="--", linewidth=0.8)


def _handles(each: dict[str, xr.Dataset], *, forecast: bool) -> list[Line2D]:
    lines = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, linewidth=3.0, alpha=0.6,
               label=name if (one.margin_gap[1:] > SMALL).any() else f"{name}: 0 at once")
        for n, (name, one) in enumerate(each.items())
    ]  # fmt: skip
    dashes = Line2D([], [], color="black", linestyle="--", linewidth=0.8, label="forecast")
    return [*lines, dashes] if forecast else lines
