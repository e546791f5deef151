"""By how many error bars right and wrong hypotheses miss the measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.saved import saved
from svmconv.plots.style import color, marker, styled

WORDS = ("holds", "undecided", "contradicted")
EXACT = 1e-4
"""Misses below this are drawn here: some are zero."""


@styled
def power(results: Path) -> Figure:
    """A row per kind, right ones above, a mark per hypothesis; DataError without a result."""
    found = saved(results, "power")
    right, kind = found.right.to_numpy(), found.kind.to_numpy()
    rows = [*dict.fromkeys(kind[right]), *dict.fromkeys(kind[~right])]
    figure = Figure(figsize=(8.0, 4.6))
    ax = figure.subplots()
    rng = np.random.default_rng(0)
    for place, word in enumerate(WORDS):
        chosen = found.verdict.to_numpy() == word
        height = np.array([rows.index(name) for name in kind[chosen]], dtype=float)
        height += rng.uniform(-0.25, 0.25, height.size)
        miss = np.maximum(found.miss.to_numpy()[chosen], EXACT)
        ax.plot(miss, height, linestyle="none", marker=marker(place), color=color(place), alpha=0.7)
    ax.axvline(1.0, color="0.3", linestyle="--")
    ax.axhline(len(set(kind[right])) - 0.5, color="0.7")
    ax.set(xscale="log", xlabel="|measured - predicted| / error bar (largest of its quantities)")
    ax.set_yticks(range(len(rows)), [f"{name} ({int((kind == name).sum())})" for name in rows])
    ax.invert_yaxis()
    ax.set_title("right hypotheses (above the line) and wrong ones (below)")
    handles = [
        Line2D([], [], linestyle="none", marker=marker(n), color=color(n), label=word)
        for n, word in enumerate(WORDS)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
