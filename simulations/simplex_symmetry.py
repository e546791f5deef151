"""Does the penultimate layer become a regular simplex where the proof does not reach?

E and Wojtowytsch (arXiv 2012.05420) prove that bounded features free to take any value collapse to
one point per class, the points a regular simplex. They leave open: random labels, test data,
bounded activations, very unequal classes, Adam. Here a perceptron learns digits in each of these
settings, and neural collapse is measured all along, of training and of test rows.

All settings minimise the same: mean cross-entropy + decay |parameters|^2 / 2. The nearest thing to
chance is K random points in d dimensions, nc2_angle about sqrt(2 / (pi d)) and nc2_norm about
sqrt(1 / (2 d)), .20 and .18 for the d = 16 of the presets: a wide layer would be near a simplex by
chance.

    python -m simulations.simplex_symmetry --preset smoke

writes runs/simplex_symmetry-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import optax
import xarray as xr
from flax import nnx
from jaxtyping import Float, Int

from simulations import command
from simulations.simplex import PICTURED, ROWS, first, picture
from simulations.stages import log_spaced, stages
from svmconv import data
from svmconv.measures.neural_collapse import neural_collapse
from svmconv.models import MLP, last_layer
from svmconv.problem import Problem
from svmconv.training.evaluate import evaluate
from svmconv.training.tracker import Tracker

MEASURES = ("nc1", "nc2_norm", "nc2_angle", "nc3", "nc4", "cdnv")
REACHED = 0.1
"""nc2_angle and nc2_norm of a simplex that counts as reached, by every seed: half of chance."""


class Setting(NamedTuple):
    """In what training differs from plain."""

    penultimate: str = "relu"
    random_labels: bool = False
    unequal: bool = False
    adam: bool = False


SETTINGS = {
    "plain": Setting(),
    "random labels": Setting(random_labels=True),
    "bounded activation: tanh": Setting(penultimate="tanh"),
    "bounded activation: sigmoid": Setting(penultimate="sigmoid"),
    "unequal classes": Setting(unequal=True),
    "adam": Setting(adam=True),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The digits, the network and how long it is trained."""

    data: str = "digits"
    """8 x 8 "digits" or "mnist"."""
    classes: tuple[int, ...]
    """Numbers K of classes, the digits below K; curves are of these."""
    settings: tuple[str, ...] = tuple(SETTINGS)
    seeds: int = 3
    rows: int = 100
    """Training rows of each class; of 8 x 8 digits all others are test rows."""
    fewer: int = 10
    """Unequal classes: the second half of them has so many times fewer training rows."""
    hidden: tuple[int, ...] = (128, 128)
    penultimate: int = 16
    epochs: int = 600
    batch: int = 50
    rate: float = 0.1
    """Of momentum .9; a tenth of it after 60 %, a hundredth after 80 % of the steps."""
    adam_rate: float = 1e-3
    decay: float = 5e-4
    records: int = 14
    """Log-spaced epochs, about, after which collapse is measured."""

    def problems(self, classes: int) -> tuple[Problem, Problem]:
        """Training and test rows, pixels centred and scaled by the training rows."""
        if self.data == "mnist":
            whole, test = (data.mnist(range(classes), split) for split in ROWS)
            train = parted(whole, self.rows)[0]
        else:
            train, test = parted(data.digits(range(classes)), self.rows)
        centre, scale = train.x.mean(axis=0), train.x.std()
        train, test = (Problem((p.x - centre) / scale, p.y, p.name) for p in (train, test))
        return train, test

    def network(self, classes: int, setting: Setting, seed: int, d: int) -> MLP:
        """Before training."""
        return MLP(
            (d, *self.hidden, self.penultimate, classes),
            activation="relu",
            penultimate_activation=setting.penultimate,
            dtype="float32",
            rngs=nnx.Rngs(seed),
        )


PRESETS = {
    "smoke": Config(
        classes=(4,), seeds=2, rows=50, fewer=5, hidden=(64,), epochs=40, batch=10, rate=0.03,
        records=3,
    ),
    "cpu": Config(classes=(4, 10), seeds=5),
    "paper": Config(
        data="mnist", classes=(10,), seeds=5, rows=5000, fewer=100, hidden=(1024, 1024, 512),
        penultimate=64, epochs=350, batch=128, records=20,
    ),
}  # fmt: skip
"""paper: training as Papyan, Han and Donoho (PNAS 2020) have it, momentum and 350 epochs, on a
GPU; not run."""


def run(config: Config) -> xr.Dataset:
    """MEASURES, accuracy, log_loss over (classes, setting, seed, rows, epoch); epoch 0 is before.

    Of the first seed with PICTURED classes, over setting, on the plane of its class means:
    `projected` (rows, row, axis) with `label` (rows, row), nan and -1 where rows are fewer,
    `means` (class, axis) of training rows and the regular `simplex` closest to them; `in_plane`
    (rows) is the share of the features' variance that the plane holds.
    """
    curves = [
        [
            xr.concat([_curves(config, k, SETTINGS[s], n) for n in range(config.seeds)], "seed")
            for s in config.settings
        ]
        for k in config.classes
    ]
    of_settings = [xr.concat(each, "setting", join="exact") for each in curves]
    pictures = [_picture(config, SETTINGS[s]) for s in config.settings]
    return (
        xr.concat(of_settings, "classes", join="exact")
        .merge(xr.concat(pictures, "setting"))
        .assign_coords(
            classes=list(config.classes), setting=list(config.settings), seed=range(config.seeds)
        )
        .assign_attrs(reached=REACHED)
    )


def parted(problem: Problem, rows: int) -> tuple[Problem, Problem]:
    """The first `rows` of each class, and all others."""
    chosen = first(problem.index, rows)
    one, other = (Problem(problem.x[m], problem.y[m], problem.name) for m in (chosen, ~chosen))
    return one, other


def varied(
    train: Problem, test: Problem, setting: Setting, fewer: int, seed: int
) -> tuple[Problem, Problem]:
    """Training and test rows as the setting has them."""
    if setting.random_labels:  # as many of each class as before
        rng = np.random.default_rng(seed)
        train, test = (Problem(p.x, rng.permutation(p.y), f"{p.name}*") for p in (train, test))
    if setting.unequal:
        half, least = (train.n_classes + 1) // 2, int(np.bincount(train.index).min())
        few, _ = parted(train, least // fewer)
        own, others = train.index < half, few.index >= half
        x, y = np.concatenate([train.x[own], few.x[others]]), [*train.y[own], *few.y[others]]
        train = Problem(x, y, f"{train.name}, unequal")
    return train, test


@cache  # programs are compiled for one optimizer: seeds share it
def descent(adam: bool, rate: float, steps: int, decay: float) -> optax.GradientTransformation:
    """Momentum or Adam on the loss with its decay; the rate falls to a hundredth in two steps."""
    falling = optax.piecewise_constant_schedule(rate, {steps * 6 // 10: 0.1, steps * 8 // 10: 0.1})
    taken = optax.adam(falling) if adam else optax.sgd(falling, momentum=0.9)
    return optax.chain(optax.add_decayed_weights(decay), taken)


def measured(
    x: Float[np.ndarray, "n d"],
    y: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, "k d"],
    bias: Float[np.ndarray, " k"],
) -> dict[str, float]:
    """MEASURES and accuracy of the layer, labels 0 to K - 1."""
    found = neural_collapse(x, y, weight, bias)._asdict()
    right = (x @ weight.T + bias).argmax(axis=1) == y
    return {name: found[name] for name in MEASURES} | {"accuracy": float(right.mean())}


def _trained(
    config: Config, classes: int, setting: Setting, seed: int, epochs: tuple[int, ...]
) -> tuple[list[tuple[int, MLP]], tuple[Problem, Problem]]:
    """The network at epoch 0 and after the given ones, its training and test rows."""
    problems = varied(*config.problems(classes), setting, config.fewer, seed)
    train = problems[0]
    steps = config.epochs * -(-train.n // config.batch)
    rate = config.adam_rate if setting.adam else config.rate
    optimizer = descent(setting.adam, rate, steps, config.decay)
    module = config.network(classes, setting, seed, train.d)
    found = stages(module, train, optimizer, epochs, batch=config.batch, seed=seed)
    return list(found), problems  # pyright: ignore[reportReturnType]


def _curves(config: Config, classes: int, setting: Setting, seed: int) -> xr.Dataset:
    """One run: measures over (rows, epoch)."""
    epochs = log_spaced(config.epochs, config.records)
    trained, problems = _trained(config, classes, setting, seed, epochs)
    trackers = [Tracker(measured, at=1) for _ in ROWS]
    for epoch, module in trained:
        for tracker, problem in zip(trackers, problems, strict=True):
            seen = evaluate(module, problem)
            layer = last_layer(module)
            tracker.record(epoch, seen.log_loss, seen.features, problem.y, *layer)
    both = xr.concat([t.dataset for t in trackers], xr.Variable("rows", list(ROWS)))
    return both.rename(step="epoch")


def _picture(config: Config, setting: Setting) -> xr.Dataset:
    """The first seed with PICTURED classes, after its last epoch."""
    trained, problems = _trained(config, PICTURED, setting, 0, (config.epochs,))
    x = [evaluate(trained[-1][1], problem).features for problem in problems]
    return picture(*x, *(problem.index for problem in problems))


def verdict(one: xr.Dataset) -> str:
    """Of the training rows of one setting, over (seed, epoch): whether the simplex is reached."""
    angle, norm = one.nc2_angle, one.nc2_norm
    ends = [m.isel(epoch=-1) for m in (angle, norm)]
    if all((end < REACHED).all() for end in ends):
        return "reached"
    halved = all(
        (end < m.isel(epoch=0) / 2).all() for end, m in zip(ends, (angle, norm), strict=True)
    )
    return "approached" if halved else "not reached"


def summary(found: xr.Dataset) -> str:
    """One sentence for each number of classes and setting: start -> mean of the end [range]."""
    lines = [
        f"reached: nc2_angle and nc2_norm end below {REACHED} in every seed; approached: at half "
        "of their start. Numbers: mean at the start -> at the end [smallest, largest seed]."
    ]
    for k in found.classes.to_numpy():
        for setting in found.setting.to_numpy():
            one = found.sel(classes=k, setting=setting)
            train, test = (one.sel(rows=name) for name in ROWS)
            numbers = ", ".join(_number(train, m) for m in ("nc2_angle", "nc2_norm", "nc1"))
            lines.append(
                f"{k} classes, {setting.replace(': ', ' ')}: simplex of class means "
                f"{verdict(train)}: {numbers}; accuracy {_end(train, 'accuracy')}; of test "
                f"rows {verdict(test)}: "
                f"nc2_angle {_end(test, 'nc2_angle')}, nc1 {_end(test, 'nc1')}, accuracy "
                f"{_end(test, 'accuracy')}."
            )
    return "\n".join(lines)


def _number(one: xr.Dataset, name: str) -> str:
    return f"{name} {float(one[name].isel(epoch=0).mean()):.3g} -> {_end(one, name)}"


def _end(one: xr.Dataset, name: str) -> str:
    """Mean and range over seeds, at the last epoch."""
    end = one[name].isel(epoch=-1)
    return f"{float(end.mean()):.3g} [{float(end.min()):.3g}, {float(end.max()):.3g}]"


if __name__ == "__main__":
    sys.exit(command.main("simplex_symmetry", PRESETS, run, __doc__, summary=summary))
