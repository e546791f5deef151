"""A densely connected network on MNIST {0, 1, 2}: its last layer beside the exact SVM.

The network and settings of Li, Ding, Gao, arXiv 1808.05385: DenseNet(40, 12), batches of 1024,
momentum .9, rate 1e-3, 1000 epochs; test accuracy .9955. Beside the published relu runs with two
leaky units, which cannot collapse a class to a point.

    python -m simulations.mnist_densenet --preset smoke

writes runs/mnist_densenet-smoke/RUN/ for every run, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from simulations import densenet, images
from svmconv import data
from svmconv.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Config(densenet.Config):
    """One network on three digits."""

    shape = (28, 28, 1)
    n_classes = 3

    def problem(self, split: str) -> Problem:
        """The digits 0, 1 and 2."""
        return data.mnist((0, 1, 2), split, self.rows if split == "train" else None)


PRESETS = {
    "smoke": (
        Config(
            penultimate="leaky_relu", rate=1e-2, batch=50, epochs=10, late_steps=15, rows=200,
            depth=13, growth=3,
        ),
    ),
    "cpu": (
        Config(
            penultimate="leaky_relu", rate=1e-2, batch=50, epochs=15, late_steps=15, rows=2_000,
            depth=13, growth=3,
        ),
    ),
    "paper": tuple(
        Config(
            penultimate=activation, rate=1e-3, batch=1024, epochs=1_000, stop_log_loss=-12.0,
            late_steps=20_000, seed=seed,
        )
        for activation in ("relu", "leaky_relu")
        for seed in (0, 1)
    ),
}  # fmt: skip
run = images.run

if __name__ == "__main__":
    sys.exit(images.main("mnist_densenet", PRESETS, __doc__))
