"""A densely connected network on CIFAR-10 0 against 2: its last layer beside the exact SVM.

The network and settings of Li, Ding, Gao, arXiv 1808.05385: airplanes and birds of values 0..255,
DenseNet(40, 12), batches of 256, momentum .9, rate 1e-3; loss 9.2e-5 at epoch 501, test accuracy
.9255. Beside the published relu, runs with two leaky units cannot collapse a class to a point.

    python -m simulations.cifar_densenet --preset smoke

writes runs/cifar_densenet-smoke/RUN/ for every run, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from simulations import densenet, images
from svmconv import data
from svmconv.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Config(densenet.Config):
    """One network on classes 0 and 2."""

    shape = (32, 32, 3)
    n_classes = 2
    largest: float = 255.0
    """Of the inputs; published: raw bytes."""

    def problem(self, split: str) -> Problem:
        """Airplanes and birds."""
        pixels = data.cifar10((0, 2), split, self.rows if split == "train" else None)
        return Problem(self.largest * pixels.x, pixels.y, f"{self.largest:g} {pixels.name}")


PRESETS = {
    "smoke": (
        Config(
            penultimate="leaky_relu", rate=1e-2, batch=50, epochs=10, late_steps=15, rows=150,
            depth=13, growth=3,
        ),
    ),
    "cpu": (
        Config(
            penultimate="leaky_relu", rate=1e-2, batch=50, epochs=20, late_steps=15, rows=1_000,
            depth=13, growth=3,
        ),
    ),
    "paper": tuple(
        Config(
            penultimate=activation, rate=1e-3, batch=256, epochs=501, stop_log_loss=-12.0,
            late_steps=20_000, seed=seed,
        )
        for activation in ("relu", "leaky_relu")
        for seed in (0, 1)
    ),
}  # fmt: skip
run = images.run

if __name__ == "__main__":
    sys.exit(images.main("cifar_densenet", PRESETS, __doc__))
