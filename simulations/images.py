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
from typing import Any, NamedTuple

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
    settling: float = 1.0
    """From this share of late_log_loss on there is no momentum, and the last layer settles."""
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

    Over `step`: everything that last_layer_gaps measures, log_loss, `late`, whether the record is
    of the late phase, whose steps count on from those of training, and `settling`, whether it is of
    the end of that phase, which has no momentum. Over `stage` ("trained", "late"): the penultimate
    features x (row, feature) in the network's dtype, the last layer w (class, feature), b (class),
    and log_loss_left, train_accuracy, test_accuracy in evaluation mode; y (row) are the labels,
    `late_stopped` says why the late phase ended ("log_loss", "steps", or "rounding": no step lowers
    log L any more). With a folder `checkpoints` a killed run goes on where it was.
    """
    problem, test, network = config.problem("train"), config.problem("test"), config.network()
    early = Tracker(last_layer_gaps)
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
    parts = [
        _Part(early.dataset, len(trained.log_loss) * -(-problem.n // (config.batch or problem.n))),
        *_lowered(config, network, problem, checkpoints),
    ]
    stages.append(_stage(network, evaluate(network, problem), test))
    return xr.merge([_joined(parts), xr.concat(stages, "stage")], combine_attrs="drop").assign(
        stage=list(STAGES), y=("row", problem.y), late_stopped=parts[-1].stopped
    )


class _Part(NamedTuple):
    """Records of training, or of one of the two parts of the late phase."""

    records: xr.Dataset
    steps: int
    stopped: str = ""


def _lowered(
    config: Config, network: nnx.Module, problem: Problem, checkpoints: Path | None
) -> Iterator[_Part]:
    """The late phase: with momentum, then without, if the first part comes far enough."""
    left = config.late_steps
    for name, momentum, share in (("late", LATE_MOMENTUM, config.settling), ("settling", 0.0, 1.0)):
        tracker = Tracker(last_layer_gaps)
        lowered = late_phase(
            network,
            problem,
            log_loss=share * config.late_log_loss,
            steps=left,
            momentum=momentum,
            chunk=CACHED if jax.default_backend() == "cpu" else CHUNK,
            tracker=tracker,
            checkpoints=checkpoints and checkpoints / name,
        )
        tried = int(lowered.step[-1])
        left -= tried
        yield _Part(tracker.dataset, tried, lowered.stopped)
        if not left or lowered.stopped != "log_loss" or config.settling == 1.0:
            return


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


def _joined(parts: Sequence[_Part]) -> xr.Dataset:
    """Records of all parts; each counts on from the end of the one before, its own first record."""
    begun, found = 0, list[xr.Dataset]()
    for place, part in enumerate(parts):
        records = part.records
        if part is not parts[-1]:
            records = records.isel(step=records.step.values < part.steps)
        marks = {
            name: ("step", np.full(records.sizes["step"], place >= first))
            for name, first in (("late", 1), ("settling", 2))
        }
        found.append(records.assign_coords(step=records.step + begun).assign(marks))
        begun += part.steps
    return xr.concat(found, "step", data_vars="minimal")


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
    """What came out, in four lines: gaps scatter, hence their range over the last records."""
    train, test = (curves[f"{split}_accuracy"].to_numpy() for split in ("train", "test"))
    lines = [
        f"  {stage}: ln L = {float(curves.log_loss_left[i]):.6g}, accuracy on training rows "
        f"{train[i]:.4f}, on test rows {test[i]:.4f}"
        for i, stage in enumerate(STAGES)
    ]
    separable = curves.separable.to_numpy().astype(bool)
    if not separable[-1]:
        return "\n".join([*lines, "  features not separable at the end: no exact SVM"])
    depth = -curves.log_loss.to_numpy()
    settling, half = curves.settling.to_numpy().astype(bool), depth >= depth[-1] / 2
    shown = curves.isel(step=np.flatnonzero(separable & (settling if settling.any() else half)))
    words = "without momentum" if settling.any() else "over the last half of ln L"
    (own, own_angle), (classical, _) = (
        (_range(1.0 - against.margin_gap.to_numpy()), _range(against.angle.to_numpy()))
        for against in (shown.sel(against=kind) for kind in ("augmented", "free"))
    )
    return "\n".join(
        [
            *lines,
            f"  {words}, from ln L = {float(shown.log_loss[0]):.6g} on:",
            f"  margin {own} of the augmented SVM's, {classical} of the classical one's, angle of "
            f"(w, b) {own_angle} rad" + ", a class is one point" * bool(shown.collapsed[-1]),
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
