"""What the simulations on pairs of MNIST digits share: the network and its training.

A simulation is a `Config`, `run(config) -> xr.Dataset` over `seed`, and presets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import optax
from flax import nnx

from svmconv import data
from svmconv.models import CNN
from svmconv.problem import Problem
from svmconv.training.train import train

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Config:
    """A small convolutional network in float32, and how long it learns a pair of digits."""

    shape: ClassVar[tuple[int, int, int]] = (28, 28, 1)
    seeds: int = 5
    """Networks, each of other initial weights, order of rows, and random choices."""
    rows: int | None = None
    """Training rows of a pair, the first of the file; None for all."""
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels after each convolution, which halves the image."""
    penultimate: int = 16
    """Leaky units before the last layer: no class can become a point, as under a relu, and up to 17
    support vectors are possible where two units would have three."""
    rate: float = 0.05
    """Of momentum .9, whose geometry is that of the SVM, which Adam's is not. Among .02, .05 and .1
    chosen by the training loss, on seeds that are not reported."""
    batch: int = 50
    epochs: int

    def problem(self, pair: Pair, split: str) -> Problem:
        """The "train" or "test" rows of two digits, labelled 0 and 1."""
        digits = data.mnist(pair, split, self.rows if split == "train" else None)
        return Problem(digits.x, digits.index, digits.name)

    def network(self, seed: int) -> CNN:
        """Before training."""
        return CNN(
            self.shape,
            classes=2,
            widths=self.widths,
            penultimate=self.penultimate,
            penultimate_activation="leaky_relu",
            rngs=nnx.Rngs(seed),
        )

    def learn(self, network: nnx.Module, problem: Problem, seed: int) -> None:
        """Train the network, in place, on all rows of a problem."""
        optimizer = _momentum(self.rate)
        train(network, problem, optimizer, epochs=self.epochs, batch=self.batch, seed=seed)


@cache  # programs are compiled for one optimizer: seeds share it
def _momentum(rate: float) -> optax.GradientTransformation:
    return optax.sgd(rate, momentum=0.9)
