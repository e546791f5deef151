"""Accuracies of an old and a new task against the number of rehearsed rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.digit_pairs import mean_and_spread, paired, paired_handles
from figures.saved import saved
from svmconv.plots.style import color, marker, styled

LABELS = {"svm": "rows closest to the SVM", "random": "random rows"}


@styled
def forgetting(results: Path) -> Figure:
    """Old task, the difference that the choice of its rows makes, new task. DataError without."""
    found = saved(results, "forgetting")
    figure = Figure(figsize=(9.6, 4.0))
    old, difference, new = figure.subplots(1, 3, sharex=True)
    _accuracy(old, found, "old")
    old.axhline(float(found.old_before.mean()), color="0.3", linestyle="--")
    old.set(title="the old task, once the new one is learnt", ylabel="test accuracy")
    paired(difference, _m(found), found.old.sel(choice="svm") - found.old.sel(choice="random"))
    difference.set(title="old task: chosen minus random rows", ylabel="difference of test accuracy")
    _accuracy(new, found, "new")
    new.set(title="the new task", ylabel="test accuracy")
    old.set_xscale("log", base=2)
    old.xaxis.set_major_formatter("{x:g}")
    for ax in (old, difference, new):
        ax.set_xlabel("rehearsed rows m of the old task")
    figure.legend(handles=_handles(found), loc="outside lower center", ncols=3)
    return figure


def _m(found: xr.Dataset) -> Float64[np.ndarray, " m"]:
    """Rehearsed rows of each budget; of support vectors, which differ, the mean."""
    return found.m.mean("seed").to_numpy()


def _accuracy(ax: Axes, found: xr.Dataset, task: str) -> None:
    """Lines over the budgets, rings for the support vectors, and what no rehearsal leaves."""
    for number, choice in enumerate(LABELS):
        accuracy = found[task].sel(choice=choice)
        mean_and_spread(ax, _m(found)[1:], accuracy.isel(budget=slice(1, None)), number)
        mean_and_spread(ax, _m(found)[:1], accuracy.isel(budget=[0]), number, "none")
        ax.plot(
            _m(found)[:1], accuracy.mean("seed")[:1], linestyle="none", marker="o", markersize=14,
            markerfacecolor="none", color=color(number),
        )  # fmt: skip
    without = found[f"{task}_without"]
    low, high = (float(without.mean() + s * without.std(ddof=1)) for s in (-1, 1))
    ax.axhspan(low, high, color="0.85", linewidth=0)
    ax.axhline(float(without.mean()), color="0.3", linestyle=":")


def _handles(found: xr.Dataset) -> list[Line2D]:
    """What the legend says."""
    seeds = found.sizes["seed"]
    rows = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, label=label)
        for n, label in enumerate(LABELS.values())
    ]
    ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": "0.3"}
    return [
        *rows,
        Line2D([], [], linestyle="none", **ring, label="all support vectors; as many at random"),
        Line2D([], [], color="0.3", linestyle="--", label="before the new task"),
        Line2D([], [], color="0.3", linestyle=":", label="nothing rehearsed"),
        Line2D([], [], linestyle="none", label=f"bars, band: standard deviation of {seeds} seeds"),
        *paired_handles(),
    ]
