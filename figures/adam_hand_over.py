"""Angles between Adam and the SVMs of two norms, against its loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.saved import saved
from svmconv.plots.style import color, styled

NORMS = {"linf": "l_inf", "l2": "l2"}
DEEPEST = 40.0
"""Nats of -ln L that are drawn: without eps Adam goes on for ever."""


@styled
def adam_hand_over(results: Path) -> Figure:
    """A panel per norm, a line per eps, a dot where the loss is eps. DataError without a result."""
    found = saved(results, "adam_hand_over")
    figure = Figure(figsize=(8.6, 3.8))
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    handles = []
    for number, eps in enumerate(found.eps.to_numpy()):
        one = found.sel(eps=eps)
        one = one.isel(step=(one.log_loss > -DEEPEST).to_numpy())
        for ax, name in zip(panels, NORMS, strict=True):
            ax.plot(-one.log_loss, one[f"angle_{name}"], color=color(number))
            if eps:
                at = one.isel(step=int(np.abs(one.log_loss.to_numpy() - np.log(eps)).argmin()))
                ax.plot(-at.log_loss, at[f"angle_{name}"], marker="o", color=color(number))
        handles.append(Line2D([], [], color=color(number), label=f"eps = {eps:g}"))
    for ax, title in zip(panels, NORMS.values(), strict=True):
        ax.axhline(float(found.between), color="0.3", linestyle=":")
        ax.set(title=f"to the {title} SVM", xlabel="-ln L", yscale="log")
    panels[0].set_ylabel("angle (rad)")
    handles += [
        Line2D([], [], linestyle="none", marker="o", color="0.3", label="L = eps"),
        Line2D([], [], linestyle=":", color="0.3", label="angle between the two SVMs"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
