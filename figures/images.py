"""Networks on images: penultimate planes, and gaps against the loss, of saved runs.

A run is a folder as simulations.images writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float64
from matplotlib.figure import Figure

from figures.saved import noted, read
from svmconv import plots
from svmconv.errors import DataError
from svmconv.problem import Problem
from svmconv.svm.result import MaxMargin

TITLES = {
    "mnist_resnet": "ResNet on MNIST 0 and 1",
    "mnist_mlp": "MLP on pairs of MNIST digits",
    "blobs_three_class": "MLP on three blobs",
    "mnist_densenet": "DenseNet on MNIST 0, 1 and 2",
    "cifar_densenet": "DenseNet on CIFAR-10 airplanes and birds",
}
PRESETS = ("paper", "cpu", "smoke")
STAGES = {"trained": "after training", "late": "after the late phase"}


def planes(name: str, results: Path) -> Figure:
    """Two penultimate features: a column per run, after training above, after late phase below."""
    preset, folders = _runs(results, name)
    panels = [[_panel(folder, stage) for folder in folders] for stage in STAGES]
    return plots.planes(panels, f"{TITLES[name]}, preset {preset}")


def gaps(name: str, results: Path) -> Figure:
    """Angle, margin gap and bias gap of every run against its loss."""
    preset, folders = _runs(results, name)
    curves = {f.name: read(f / "curves.nc") for f in folders}
    return plots.training(curves, title=f"{TITLES[name]}, preset {preset}")


def _runs(results: Path, name: str) -> tuple[str, list[Path]]:
    """The first preset with runs, and their folders."""
    for preset in PRESETS:
        found = sorted((results / f"{name}-{preset}").glob("[!.]*/curves.nc"))
        if found:
            return preset, [path.parent for path in found]
    raise DataError(f"{results / f'{name}-{PRESETS[-1]}'} holds no run: run a simulation first")


def _panel(folder: Path, stage: str) -> plots.Panel:
    log_loss = float(read(folder / "curves.nc").log_loss_left.sel(stage=stage))
    with np.load(noted(folder / f"{stage}.npz"), allow_pickle=False) as kept:
        x, y, w, b = (kept[name].astype(np.float64) for name in ("x", "y", "w", "b"))
    problem = Problem(x, y, folder.name)
    svm = folder / f"{stage}.svm.npz"
    return plots.Panel(
        problem,
        MaxMargin.load(noted(svm)) if svm.exists() else None,
        _logits(problem, w, b),
        _retrained(folder, stage, problem),
        f"{folder.name}, {problem.n:,} rows\n{STAGES[stage]}, ln L = {log_loss:.4g}",
    )


def _retrained(folder: Path, stage: str, problem: Problem) -> xr.DataArray | None:
    """Of the layer that simulations.frozen has trained from new weights, if it has."""
    if not (folder / "frozen.nc").exists():
        return None
    found = read(folder / "frozen.nc")
    if stage not in found.stage:
        return None
    layer = found.sel(stage=stage)
    return _logits(problem, layer.w.to_numpy(), layer.b.to_numpy())


def _logits(
    problem: Problem, w: Float64[np.ndarray, "k 2"], b: Float64[np.ndarray, " k"]
) -> xr.DataArray:
    return plots.grid(problem, lambda points: points @ w.T + b, resolution=400)


FIGURES: dict[str, Callable[[Path], Figure]] = {
    f"{name}_{draw.__name__}": partial(draw, name) for name in TITLES for draw in (planes, gaps)
}
