"""Every figure from a saved result: one function each, which reads and draws and never trains.

`python -m figures` (or `make figures`) draws all whose results are there, as PNG and PDF, each with
its provenance as JSON. A result folder holds
`convergence/*.nc` (gaps saved by svmconv.results.save) and `plane/problem.npz` (arrays x, y, name),
`plane/svm.npz` (MaxMargin.save) and, if a network was trained, `plane/logits.nc` (plots.grid); for
networks on images see figures.images.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from figures import images, simplex_symmetry
from figures.adam_hand_over import adam_hand_over
from figures.adversarial import adversarial
from figures.bias_scale import bias_scale
from figures.degenerate import degenerate
from figures.forgetting import forgetting
from figures.hardness import hardness
from figures.hidden_layers import collapse_curves, layers_over_training, synchronicity
from figures.li2018_simulated import li2018_simulated
from figures.linear_regions import linear_regions
from figures.power import power
from figures.rates_by_optimizer import rates_by_optimizer
from figures.saved import noted, read
from figures.synthetic_sweep import synthetic_sweep
from svmconv import plots
from svmconv.errors import DataError
from svmconv.problem import Problem
from svmconv.svm.result import MaxMargin


def convergence(results: Path) -> Figure:
    """Angle, margin gap and residual of every saved run, against time and against loss."""
    files = sorted((results / "convergence").glob("*.nc"))
    if not files:
        raise DataError(f"{results / 'convergence'} holds no .nc result: run a simulation first")
    curves = {file.stem: read(file) for file in files}
    return plots.convergence({c.attrs.get("title", stem): c for stem, c in curves.items()})


def plane(results: Path) -> Figure:
    """Rows in the plane with the exact SVM and, if saved, a network's boundary."""
    folder = results / "plane"
    if not (folder / "problem.npz").exists():
        raise DataError(f"{folder / 'problem.npz'}: no such file: run a simulation first")
    with np.load(noted(folder / "problem.npz"), allow_pickle=False) as arrays:
        problem = Problem(arrays["x"], arrays["y"], str(arrays.get("name", "problem")))
    svm = MaxMargin.load(noted(folder / "svm.npz"))
    logits = folder / "logits.nc"
    return plots.plane(problem, svm, read(logits)["logits"] if logits.exists() else None)


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "convergence": convergence,
    "plane": plane,
    "li2018_simulated": li2018_simulated,
    "forgetting": forgetting,
    "adversarial": adversarial,
    "power": power,
    "adam_hand_over": adam_hand_over,
    "rates_by_optimizer": rates_by_optimizer,
    "hardness": hardness,
    "bias_scale": bias_scale,
    "degenerate": degenerate,
    "synthetic_sweep": synthetic_sweep,
    "simplex_symmetry_planes": simplex_symmetry.planes,
    "simplex_symmetry_curves": simplex_symmetry.curves,
    "linear_regions": linear_regions,
    "layers_over_training": layers_over_training,
    "synchronicity": synchronicity,
    "collapse_curves": collapse_curves,
    **images.FIGURES,
}
