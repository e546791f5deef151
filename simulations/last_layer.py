"""The last layer of small networks trained on embedded digits, beside its exact SVM.

Li, Ding, Gao, arXiv 1808.05385, say that the last layer becomes the SVM of its own features. Here
the features are frozen after training and the layer goes on by gradient flow in log time, so that
angle, margin gap and residual have forecasts with nothing fitted (docs/theory.md). A second network
has two penultimate units and is shown as trained, its boundary beside that of the augmented SVM.

    python -m simulations.last_layer --preset smoke

writes runs/convergence/*.nc and runs/plane/, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optax
import xarray as xr
from flax import nnx
from jaxtyping import Array, Float, Float64

from simulations import command
from svmconv import data, plots
from svmconv.measures.audit import audit
from svmconv.models import MLP, last_layer
from svmconv.problem import Problem
from svmconv.results import save
from svmconv.svm.result import MaxMargin
from svmconv.theory import quantities as q
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Flow, Setting
from svmconv.training.fit import features, fit

FOLDERS = ("convergence", "plane")


@dataclass(frozen=True)
class Config:
    """One network (64, hidden, bottleneck, K) on digits, and how long it is trained."""

    classes: tuple[int, ...]
    hidden: int = 32
    bottleneck: int = 11
    """Penultimate units, of a linear layer; the SVM has one coordinate more, for the bias."""
    steps: int = 1_000
    """Full batch, momentum 0.9: its geometry is that of the SVM, which Adam's is not. Chosen after
    comparing angles of the plane network on digits 3, 8 with Adam 1e-2 (README)."""
    rate: float = 0.1
    log_t: float = 1e6
    """Natural log of the time up to which the last layer is followed on the frozen features."""
    seed: int = 0
    """Of the initial weights."""

    @property
    def name(self) -> str:
        """digits-3-8."""
        return "-".join(map(str, ("digits", *self.classes)))


class Preset(NamedTuple):
    """What one call of the command runs."""

    convergence: tuple[Config, ...]
    plane: Config


SETS = ((3, 8), (4, 9), (1, 7), (3, 5, 8))
PRESETS = {
    "smoke": Preset(
        tuple(Config(classes) for classes in SETS),
        Config((3, 8), bottleneck=2, steps=5_000),
    ),
    "paper": Preset(
        tuple(Config(classes, hidden=128, bottleneck=23, steps=10_000) for classes in SETS),
        Config((3, 8), hidden=128, bottleneck=2, steps=50_000),
    ),
}


class Network(nnx.Module):
    """An MLP with a linear bottleneck, which cannot collapse a class, and a linear head."""

    def __init__(self, config: Config) -> None:
        rngs = nnx.Rngs(config.seed)
        self.body = MLP((64, config.hidden, config.bottleneck), rngs=rngs)
        # An MLP without hidden layers is one Linear layer, in float64.
        self.head = MLP((config.bottleneck, len(config.classes)), rngs=rngs).head

    def __call__(
        self, x: Float[Array, "n 64"]
    ) -> tuple[Float[Array, "n k"], dict[str, Float[Array, "n _"]]]:
        """Logits (n, K) and the hidden activations; "penultimate" is the linear bottleneck."""
        penultimate, hidden = self.body(x)
        return self.head(penultimate), {
            "hidden": hidden["penultimate"],
            "penultimate": penultimate,
        }


class Trained(NamedTuple):
    """The last layer of a trained network, and the problem that it sees."""

    problem: Problem
    weight: Float64[np.ndarray, "k d"]
    bias: Float64[np.ndarray, " k"]

    def logits(self, points: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m k"]:
        """The network's logits at penultimate features."""
        return points @ self.weight.T + self.bias


@cache
def trained(config: Config) -> Trained:
    """Train the network; equal configurations share it."""
    digits = data.digits(classes=config.classes)
    network = Network(config)
    fit(network, digits, optax.sgd(config.rate, momentum=0.9), config.steps)
    return Trained(features(network, digits), *last_layer(network))


def frozen_features(config: Config) -> Problem:
    """What the last layer sees once training has ended."""
    return trained(config).problem


def run(config: Config) -> xr.Dataset:
    """Gaps of the last layer to the augmented SVM over log1p_t, their forecasts, the residual.

    The layer starts again from zero and follows the gradient flow of the mean loss on the frozen
    features. `residual` is |P_S (w - forecast)| in units of 1 / gamma. Raises NotSeparableError
    where training left rows that no last layer can separate.
    """
    c = compare(Setting(partial(frozen_features, config), Flow(config.log_t), "augmented"))
    curves = q.measured_case(c, (q.direction(c), q.residual(c)), q.class_means(c)).curves
    assert curves is not None
    digits = ", ".join(map(str, config.classes))
    return curves.assign_attrs(
        title=f"digits {digits}: {config.bottleneck} features, {len(c.svm.support)} support vectors"
    )


def plane(config: Config) -> tuple[Problem, MaxMargin, xr.Dataset]:
    """Two penultimate features, their augmented SVM, and the network's logits on a grid.

    The dataset also holds the gaps of the network's own last layer, as it was trained, to that SVM.
    """
    found = trained(config)
    report = audit(found.problem.x, found.problem.y, found.weight, found.bias)
    gaps = report.gaps.sel(against="augmented", drop=True)
    logits = plots.grid(found.problem, found.logits, resolution=100)
    return found.problem, report.svms["augmented"], gaps.assign(logits=logits)


def simulate(preset: Preset, out: Path) -> None:
    """Run a preset and write out/convergence/*.nc and out/plane/. DataError if either exists."""
    with command.all_or_nothing(out, FOLDERS) as aside:
        for config in preset.convergence:
            save(run(config), aside / "convergence" / f"{config.name}.nc", asdict(config))
        problem, svm, logits = plane(preset.plane)
        folder = aside / "plane"
        np.savez_compressed(folder / "problem.npz", x=problem.x, y=problem.y, name=problem.name)
        svm.save(folder / "svm.npz")
        save(logits, folder / "logits.nc", asdict(preset.plane))


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the results are written, 2 with one sentence on standard error when not."""
    chosen = command.arguments("last_layer", PRESETS, __doc__).parse_args(argv)

    def work() -> None:
        simulate(PRESETS[chosen.preset], chosen.out)
        for name in FOLDERS:
            print(chosen.out / name)

    return command.finished(work)


if __name__ == "__main__":
    sys.exit(main())
