"""Hidden layers over training: where classes come apart, and what moves with accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from figures.saved import read
from svmconv.errors import DataError
from svmconv.plots.style import color, marker, styled

PRESETS = ("paper", "cpu", "smoke")
NETWORKS = ("MLP", "CNN", "DBN", "ResNet", "VGGNet", "AlexNet", "ViT", "GoogLeNet")
MEASURE = "means_ls_0"
SMALLEST = 1e-4
"""1 - LS_0 below which all is one colour: a pair in ten thousand."""
COLLAPSE = {
    "nc1": r"NC1: tr$(S_W S_B^+)/K$",
    "nc2_angle": r"NC2: mean $|\cos + 1/(K-1)|$",
    "nc3": "NC3: weights less class means",
    "cdnv": "CDNV",
}


def runs(results: Path, data: str) -> dict[str, xr.Dataset]:
    """The networks of the first preset that has results of this data set. DataError if none has."""
    for preset in PRESETS:
        folder = results / f"synchronicity-{preset}"
        files = {name: folder / f"{data}-{name}.nc" for name in NETWORKS}
        found = {name: read(file) for name, file in files.items() if file.exists()}
        if found:
            return found
    raise DataError(f"{results / 'synchronicity-smoke'}: no results: run a simulation first")


@styled
def layers_over_training(results: Path) -> Figure:
    """1 - LS_0 along differences of class means, layer by step, for every network. DataError."""
    found = runs(results, "digits")
    figure = Figure(figsize=(9.6, 5.2))
    axes = figure.subplots(2, 4, sharex=True).ravel()
    missing = {name: 1.0 - one[MEASURE].mean("seed") for name, one in found.items()}
    scale = LogNorm(SMALLEST, max(float(one.max()) for one in missing.values()), clip=True)
    images = []
    for ax, (name, one) in zip(axes, missing.items(), strict=False):
        images.append(_heat_map(ax, one, scale))
        ax.set_title(name)
    for ax in axes[len(found) :]:
        ax.set_visible(False)
    figure.supxlabel("training step (records evenly spaced)")
    figure.supylabel("layer, the first below")
    figure.colorbar(
        images[0], ax=axes.tolist(), extend="min",
        label=r"$1 - $LS$_0$ along differences of class means, mean over pairs and seeds",
    )  # fmt: skip
    return figure


def _heat_map(ax: Axes, missing: xr.DataArray, scale: LogNorm) -> AxesImage:
    values = missing.transpose("layer", "step").to_numpy()
    image = ax.imshow(values, origin="lower", aspect="auto", norm=scale, cmap="viridis_r")
    steps = missing.step.to_numpy()
    shown = np.linspace(0, len(steps) - 1, 4).round().astype(int)
    ax.set_xticks(shown, [f"{steps[i]:g}" for i in shown])
    ax.set_yticks(range(len(values)), [_short(name) for name in missing.layer.to_numpy()])
    ax.tick_params(axis="y", labelsize=6)
    ax.grid(visible=False)
    return image


def _short(name: str) -> str:
    return name.replace("penultimate", "last").replace("inception_", "inc. ").replace("_", " ")


@styled
def synchronicity(results: Path) -> Figure:
    """Rank correlation with accuracy of every layer: levels above, increments below. DataError."""
    sets = {}
    for data in ("digits", "mnist", "cifar10"):
        try:
            sets[data] = runs(results, data)
        except DataError:
            continue
    if not sets:
        raise DataError(f"{results / 'synchronicity-smoke'}: no results: run a simulation first")
    figure = Figure(figsize=(9.6, 4.6))
    axes = figure.subplots(2, 8, sharex=True, sharey=True)
    for row, statistic in zip(axes, ("spearman", "spearman_increments"), strict=True):
        for number, found in enumerate(sets.values()):
            for ax, name in zip(row, NETWORKS, strict=True):
                if name in found:
                    _by_layer(ax, found[name], statistic, number)
        row[0].set_ylabel("of levels" if statistic == "spearman" else "of increments")
        for ax in row:
            ax.axhline(0.0, color="0.5", linewidth=0.8)
    for ax, name in zip(axes[0], NETWORKS, strict=True):
        ax.set_title(name)
    axes[0, 0].set(ylim=(-1.05, 1.05), xticks=[0.0, 1.0])
    axes[0, 0].set_xticklabels(["first", "last"])
    figure.supylabel(r"rank correlation of LS$_0$ with accuracy")
    handles = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, label=data)
        for n, data in enumerate(sets)
    ]
    handles.append(Line2D([], [], linestyle="none", label="bars: 95 % intervals over seeds"))
    for ax in axes[1, [1, 6]]:
        ax.set_xlabel("hidden layer")
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _by_layer(ax: Axes, one: xr.Dataset, statistic: str, number: int) -> None:
    told = one.correlation.sel(measure=MEASURE, progress="accuracy", statistic=statistic)
    mean, low, high = (told.sel(of_interval=part).to_numpy() for part in ("mean", "low", "high"))
    place = np.linspace(0.0, 1.0, len(mean)) + 0.02 * number
    ax.errorbar(
        place, mean, [mean - low, high - mean], color=color(number), marker=marker(number),
        markersize=3, linewidth=1.0,
    )  # fmt: skip


@styled
def collapse_curves(results: Path) -> Figure:
    """Neural collapse of the last layer of every network over training. DataError."""
    found = runs(results, "digits")
    figure = Figure(figsize=(9.6, 3.6))
    axes = figure.subplots(1, len(COLLAPSE))
    for ax, (name, title) in zip(axes, COLLAPSE.items(), strict=True):
        for number, one in enumerate(found.values()):
            values = one[name].isel(layer=-1).mean("seed")
            ax.plot(
                1 + one.step.to_numpy(), values, color=color(number), marker=marker(number),
                markersize=3,
            )  # fmt: skip
        ax.set(title=title, xscale="log", yscale="log", xlabel="1 + training step")
    handles = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, label=name)
        for n, name in enumerate(found)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=8)
    return figure
