"""The angle times ln t: a support vector of zero dual, and neighbours that come free of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.saved import saved
from svmconv.plots.curves import tick_powers_of_ten
from svmconv.plots.style import color, marker, styled

LATE = 6.0
"""ln t from which the leading order is drawn."""


@styled
def degenerate(results: Path) -> Figure:
    """Left: angle against t. Right: angle x ln t, which is bounded but where delta is 0."""
    found = saved(results, "degenerate")
    found = found.isel(log1p_t=(found.log1p_t > np.log(2.0)).to_numpy())
    s = found.log1p_t.to_numpy()
    figure = Figure(figsize=(8.6, 3.9))
    panels = figure.subplots(1, 2)
    handles = []
    for number, delta in enumerate(found.delta.to_numpy()):
        one, look = found.sel(delta=delta), color(number)
        for ax, factor in zip(panels, (1.0, s), strict=True):
            ax.plot(
                s, one.angle * factor, color=look, marker=marker(number), markersize=4,
                markevery=(5 * number, 20),
            )  # fmt: skip
            ax.plot(
                s, (one.angle_forecast * factor).where(one.log1p_t > LATE), color="black",
                linestyle="--", linewidth=0.8,
            )  # fmt: skip
        words = "0: zero dual" if delta == 0 else f"{delta:g}"
        handles.append(
            Line2D(
                [],
                [],
                color=look,
                marker=marker(number),
                markersize=4,
                label=rf"$\delta$ = {words}",
            )
        )
    panels[0].set(yscale="log", ylabel="angle to the exact SVM (rad)")
    panels[1].set(ylabel="angle (rad) x ln t")
    for ax in panels:
        ax.set(xscale="log", xlabel="time t (axis: logarithm of ln t)")
        tick_powers_of_ten(ax, 1)
    handles.append(
        Line2D(
            [], [], color="black", linestyle="--", linewidth=0.8, label="leading order, not fitted"
        )
    )
    figure.suptitle(r"rows $z = (1, 0)$ and $(1 + \delta, 1)$, gradient flow")
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure
