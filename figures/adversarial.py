"""A network's own last layer and the exact SVM in its place, under attack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.digit_pairs import mean_and_spread, paired, paired_handles
from figures.saved import saved
from svmconv.plots.style import color, marker, styled

LABELS = {"network": "the network's own last layer", "svm": "the exact SVM in its place"}
KINDS = {"attacked": "-", "noisy": ":"}


@styled
def adversarial(results: Path) -> Figure:
    """Accuracy under attack and noise, what the SVM changes, distances of test rows. DataError."""
    found = saved(results, "adversarial")
    figure = Figure(figsize=(9.6, 4.0))
    accuracy, difference, distance = figure.subplots(1, 3)
    eps = found.eps.to_numpy()
    for number, head in enumerate(LABELS):
        for kind, line in KINDS.items():
            mean_and_spread(accuracy, eps, found[kind].sel(head=head), number, line)
        for one in found.distance.sel(head=head).to_numpy():
            share = np.arange(1, len(one) + 1) / len(one)
            look = {"color": color(number), "alpha": 0.5, "linewidth": 2.0 - number}
            distance.step(np.sort(one), share, where="post", **look)
    attacked = found.attacked
    paired(difference, eps, attacked.sel(head="svm") - attacked.sel(head="network"))
    accuracy.set(title="test rows under attack", ylabel="share right", ylim=(-0.02, 1.02))
    difference.set(title="under attack: SVM minus network", ylabel="difference of shares")
    for ax in (accuracy, difference):
        ax.set_xlabel(r"largest change of a pixel $\epsilon$ (white is 1)")
    distance.axvline(0.0, color="0.5", linewidth=0.8)
    distance.set(
        title="test rows near the boundary", yscale="log", ylabel="share of rows below",
        xlabel="signed distance / spread of the features",
    )  # fmt: skip
    figure.legend(handles=_handles(found.sizes["seed"]), loc="outside lower center", ncols=3)
    return figure


def _handles(seeds: int) -> list[Line2D]:
    """What the legend says."""
    return [
        *(
            Line2D([], [], color=color(n), marker=marker(n), markersize=4, label=label)
            for n, label in enumerate(LABELS.values())
        ),
        Line2D([], [], color="0.3", linestyle="-", label="projected gradient descent"),
        Line2D([], [], color="0.3", linestyle=":", label="random signs of that size"),
        Line2D([], [], linestyle="none", label=f"bars: standard deviation of {seeds} seeds"),
        *paired_handles(),
    ]
