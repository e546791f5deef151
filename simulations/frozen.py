"""The features of trained networks, frozen: what theory says of a last layer on them.

    python -m simulations.frozen runs/mnist_resnet-smoke/*

Of every run that simulations.images has kept, wherever its features are separable: a layer from
zero goes by gradient flow to ln t = 1e6, every constant beside its forecast; a layer from new
weights goes until its loss is the network's own. Writes frozen.nc into the folder of the run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from simulations import command
from simulations.images import STAGES
from svmconv.dynamics.flow import gradient_flow
from svmconv.errors import DataError, SvmconvError
from svmconv.measures.last_layer import last_layer_gaps
from svmconv.problem import Problem
from svmconv.results import check_writable, load, save
from svmconv.theory.comparison import compare
from svmconv.theory.li2018 import constants_of
from svmconv.theory.setting import Flow, Setting

LOG_T = 1e6
"""Natural log of the time to which a layer from zero goes."""


def run(folder: Path) -> xr.Dataset:
    """Both layers, of every stage of a run whose features are separable.

    Over (stage, quantity): predicted, measured, error and verdict of each constant at ln t = 1e6.
    Over stage: the retrained layer's w (class, feature), b (class), log_loss and everything of
    last_layer_gaps. Stages whose SVM has no constants (a dual of zero) are left out. Raises
    DataError if the folder holds no run, or nothing is left of it.
    """
    curves = load(folder / "curves.nc")
    stages = [stage for stage in STAGES if (folder / f"{stage}.svm.npz").exists()]
    if not stages:
        raise DataError(f"{folder}: no features of this run were separable, nothing to follow")
    found, degenerate = {}, DataError()
    for stage in stages:
        with np.load(folder / f"{stage}.npz", allow_pickle=False) as kept:
            problem = Problem(kept["x"].astype(np.float64), kept["y"], f"{folder.name} {stage}")
        log_loss = float(curves.log_loss_left.sel(stage=stage))
        try:
            found[stage] = from_zero(problem).merge(from_new_weights(problem, log_loss))
        except SvmconvError as error:
            degenerate = DataError(f"{folder}: {error}")
    if not found:
        raise degenerate
    return xr.concat(found.values(), "stage").assign_coords(stage=list(found))


def from_zero(problem: Problem, log_t: float = LOG_T) -> xr.Dataset:
    """Every constant of a layer that starts at zero, beside its forecast."""
    quantities = constants_of(compare(Setting(lambda: problem, Flow(log_t), "augmented")))
    columns = ("predicted", "measured", "error", "verdict")
    return xr.Dataset(
        {name: ("quantity", [getattr(q, name) for q in quantities]) for name in columns},
        {"quantity": [q.name for q in quantities]},
    )


def from_new_weights(problem: Problem, log_loss: float, seed: int = 0) -> xr.Dataset:
    """A layer from weights N(0, 1/d) and no bias, at the first recorded loss at most `log_loss`."""
    rng, k = np.random.default_rng(seed), problem.n_classes
    w = rng.standard_normal((k, problem.d)) / np.sqrt(problem.d)
    start = (w[1] - w[0], 0.0) if problem.binary else (w, np.zeros(k))
    log_t = 64.0 - 2.0 * log_loss
    while True:
        path = gradient_flow(problem, log_t, bias="augmented", init=start)
        there = np.flatnonzero(path.log_loss.values <= log_loss)
        if there.size:
            break
        log_t *= 2.0
    end = path.isel(log1p_t=there[0])
    w, b = end.w.values, np.asarray(end.b.values)
    if problem.binary:
        w, b = np.stack([-w, w]) / 2.0, np.stack([-b, b]) / 2.0
    gaps = last_layer_gaps(problem.x, problem.y, w, b)
    return gaps.assign(w=(("class", "feature"), w), b=("class", b), log_loss=float(end.log_loss))


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all is written, else one sentence on standard error: 2, or 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(
        "python -m simulations.frozen", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, nargs="+", help="of a run: runs/SIMULATION-PRESET/RUN")
    folders = parser.parse_args(argv).folder

    def work() -> None:
        for target in (folder / "frozen.nc" for folder in folders):
            check_writable(target)
        failed = []
        for folder in folders:
            try:
                found = run(folder)
            except DataError as error:
                failed.append(str(error))
                continue
            save(found, folder / "frozen.nc", {"log_t": LOG_T})
            print(summary(folder, found), flush=True)
        if failed:
            raise DataError("; ".join(failed))

    return command.finished(work)


def summary(folder: Path, found: xr.Dataset) -> str:
    """A line for every stage."""
    off = np.abs(found.measured - found.predicted) / np.maximum(np.abs(found.predicted), 1.0)
    return "\n".join(
        f"{folder} {stage}: {', '.join(sorted(set(found.verdict.sel(stage=stage).values)))}; "
        f"farthest from its forecast by {float(off.sel(stage=stage).max()):.1e}"
        for stage in found.stage.values
    )


if __name__ == "__main__":
    sys.exit(main())
