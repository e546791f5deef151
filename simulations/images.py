"""What the simulations on images share: train, go on to small losses, keep the last layer.

A simulation is a `Config` with its data and network, presets of such configurations, and `main`.
Every run trains with a published optimizer, then lowers log L in evaluation mode (the late phase);
its last layer is compared with the exact SVM of its current features all along, and kept twice.

    SIMULATION-PRESET/RUN/curves.nc         gaps and everything else measured, over step
    SIMULATION-PRESET/RUN/trained.npz       x, y, w, b after training: `svmconv audit` reads it
    SIMULATION-PRESET/RUN/trained.svm.npz   the augmented SVM of x, y, if they are separable
    SIMULATION-PRESET/RUN/late.npz, late.svm.npz   the same after the late phase
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import xarray as xr
from flax import nnx
from jaxtyping import Float64

from simulations import command
from svmconv.errors import CertificateError, DataError, NotSeparableError
from svmconv.measures.last_layer import last_layer_gaps
from svmconv.models import last_layer
from svmconv.problem import Problem
from svmconv.results import load, save
from svmconv.svm.solve import max_margin
from svmconv.training.evaluate import CHUNK, Evaluation, evaluate
from svmconv.training.late import late_phase
from svmconv.training.tracker import Tracker
from svmconv.training.train import train

LATE_MOMENTUM = 0.97
"""Of the late phase; with more it is faster, but the last layer swings about its SVM."""
CACHED = 128
"""Rows whose activations stay in a processor's cache."""
STAGES = ("trained", "late")
LAYER = ("x", "y", "w", "b")
OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "adam": optax.adam,
}


@dataclass(frozen=True, kw_only=True)
class Config(ABC):
    """One run: how a network is trained, and how far it goes on afterwards."""

    optimizer: str = "momentum"
    """One of OPTIMIZERS."""
    penultimate: str = "relu"
    """Activation of the two penultimate units; "relu" as published can collapse a class to a point,
    "leaky_relu" and "linear" cannot."""
    rate: float = 1e-3
    batch: int | None = None
    epochs: int
    stop_log_loss: float = -np.inf
    """Training ends after an epoch whose mean log-loss is at most this."""
    late_log_loss: float = -1_000.0
    late_steps: int
    """The late phase ends at that log-loss, or after so many steps."""
    rows: int | None = None
    """Training rows, the first of the file; None for all."""
    seed: int = 0
    """Of the initial weights and the order of the rows."""

    @property
    def name(self) -> str:
        """momentum-relu-seed-0."""
        return f"{self.optimizer}-{self.penultimate}-seed-{self.seed}"

    @abstractmethod
    def problem(self, split: str) -> Problem:
        """The "train" or "test" rows."""

    @abstractmethod
    def network(self) -> nnx.Module:
        """The network before training, with two penultimate units."""


Presets = Mapping[str, Sequence[Config]]


def run(config: Config, checkpoints: Path | None = None) -> xr.Dataset:
    """Train, go through the late phase, and return what was measured and what was left.

    Over `step`: everything that last_layer_gaps measures, log_loss, and `late`, whether the record
    is of the late phase, whose steps count on from those of training. Over `stage` ("trained",
    "late"): the penultimate features x (row, feature) in the network's dtype, the last layer w
    (class, feature), b (class), and log_loss_left, train_accuracy, test_accuracy in evaluation
    mode; y (row) are the labels, `late_stopped` says why the late phase ended ("log_loss", "steps",
    or "rounding": no step lowers log L any more). With a folder `checkpoints` a killed run goes on
    where it was.
    """
    problem, test, network = config.problem("train"), config.problem("test"), config.network()
    early, late = Tracker(last_layer_gaps), Tracker(last_layer_gaps)
    trained = train(
        network,
        problem,
        _optimizer(config.optimizer, config.rate),
        epochs=config.epochs,
        batch=config.batch,
        stop_log_loss=config.stop_log_loss,
        seed=config.seed,
        tracker=early,
        checkpoints=checkpoints and checkpoints / "train",
    )
    stages = [_stage(network, trained.final, test)]
    lowered = late_phase(
        network,
        problem,
        log_loss=config.late_log_loss,
        steps=config.late_steps,
        momentum=LATE_MOMENTUM,
        chunk=CACHED if jax.default_backend() == "cpu" else CHUNK,
        tracker=late,
        checkpoints=checkpoints and checkpoints / "late",
    )
    stages.append(_stage(network, lowered.final, test))
    steps = len(trained.log_loss) * -(-problem.n // (config.batch or problem.n))
    return xr.merge(
        [_joined(early.dataset, late.dataset, steps), xr.concat(stages, "stage")],
        combine_attrs="drop",
    ).assign(stage=list(STAGES), y=("row", problem.y), late_stopped=lowered.stopped)


@cache  # programs are compiled for one optimizer: seeds share it
def _optimizer(name: str, rate: float) -> optax.GradientTransformation:
    return OPTIMIZERS[name](rate)


def _stage(network: nnx.Module, found: Evaluation, test: Problem) -> xr.Dataset:
    """The features, the last layer, and how good the network is."""
    weight, bias = last_layer(network)
    return xr.Dataset(
        {
            "x": (("row", "feature"), found.features.astype(weight.dtype)),
            "w": (("class", "feature"), weight),
            "b": ("class", bias),
            "log_loss_left": found.log_loss,
            "train_accuracy": found.accuracy,
            "test_accuracy": evaluate(network, test).accuracy,
        }
    )


def _joined(early: xr.Dataset, late: xr.Dataset, steps: int) -> xr.Dataset:
    """Records of training, then of the late phase, whose first is of the end of training."""
    early = early.isel(step=early.step.values < steps)
    late = late.assign_coords(step=late.step + steps)
    phases = [d.assign(late=("step", np.full(d.sizes["step"], d is late))) for d in (early, late)]
    return xr.concat(phases, "step", data_vars="minimal")


def simulate(
    configs: Sequence[Config], out: Path, checkpoints: Path | None = None
) -> Iterator[Path]:
    """Run one configuration after another; yields the folder out/NAME of each as it is written.

    Raises DataError, before anything is run, where one of them exists.
    """
    command.check_new(out, [config.name for config in configs])
    for config in configs:
        with command.all_or_nothing(out, (config.name,)) as aside:
            found = run(config, checkpoints and checkpoints / config.name)
            write(found, aside / config.name, asdict(config))
        yield out / config.name


def write(found: xr.Dataset, folder: Path, config: Mapping[str, Any]) -> None:
    """What `run` returned, as the files at the top of this module; the folder must exist."""
    save(found.drop_vars(LAYER), folder / "curves.nc", config)
    for stage in STAGES:
        layer = {name: found[name] for name in LAYER}
        arrays = {k: v.sel(stage=stage) if "stage" in v.dims else v for k, v in layer.items()}
        x, y, w, b = (arrays[name].to_numpy() for name in LAYER)
        np.savez_compressed(folder / f"{stage}.npz", x=x, y=y, w=w, b=b)
        try:
            svm = max_margin(Problem(x, y), bias="augmented")
        except (NotSeparableError, CertificateError):
            continue
        svm.save(folder / f"{stage}.svm.npz")


def summary(curves: xr.Dataset) -> str:
    """What came out, in three lines: gaps scatter, hence their range over the last e-folds."""
    train, test = (curves[f"{split}_accuracy"].to_numpy() for split in ("train", "test"))
    lines = [
        f"  {stage}: ln L = {float(curves.log_loss_left[i]):.6g}, accuracy on training rows "
        f"{train[i]:.4f}, on test rows {test[i]:.4f}"
        for i, stage in enumerate(STAGES)
    ]
    depth = -curves.log_loss.to_numpy()
    separable = curves.separable.to_numpy().astype(bool)
    shown = np.flatnonzero(separable & (depth >= depth[-1] / 2))
    last = curves.isel(step=shown).sel(against="augmented")
    if not separable[-1]:
        return "\n".join([*lines, "  features not separable at the end: no exact SVM"])
    rho, angle = 1.0 - last.margin_gap.to_numpy(), last.angle.to_numpy()
    return "\n".join(
        [
            *lines,
            f"  over the last half of ln L: margin {_range(rho)} of the augmented SVM's, angle of "
            f"(w, b) {_range(angle)} rad" + ", a class is one point" * bool(last.collapsed[-1]),
        ]
    )


def _range(values: Float64[np.ndarray, " m"]) -> str:
    return f"{np.median(values):.4g} [{values.min():.4g}, {values.max():.4g}]"


def main(name: str, presets: Presets, doc: str | None, argv: Sequence[str] | None = None) -> int:
    """0 when the results are written, else one sentence on standard error: 2, or 130 on Ctrl-C."""
    parser = command.arguments(name, presets, doc)
    runs = sorted({config.name for configs in presets.values() for config in configs})
    parser.add_argument("--run", choices=runs, help="one run of the preset instead of all")
    parser.add_argument(
        "--checkpoints", type=Path, metavar="FOLDER", help="where a killed run finds itself again"
    )
    chosen = parser.parse_args(argv)
    configs = [c for c in presets[chosen.preset] if chosen.run in (None, c.name)]

    def work() -> None:
        if not configs:
            raise DataError(
                f"preset {chosen.preset} has no run {chosen.run}: choose another preset"
            )
        for folder in simulate(configs, chosen.out / f"{name}-{chosen.preset}", chosen.checkpoints):
            print(folder)
            print(summary(load(folder / "curves.nc")), flush=True)

    return command.finished(work)
