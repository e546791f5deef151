"""A residual network on MNIST 0 against 1: its last layer beside the exact SVM of its features.

The network and batches of Li, Ding, Gao, arXiv 1808.05385: bottlenecks, 200 units, 2 penultimate
units, 3000 epochs of 13 steps, test accuracy .9983. Beside the published relu, which can collapse a
class to a point, runs with two leaky units, which cannot. Rates are ours: none was published.

    python -m simulations.mnist_resnet --preset smoke

writes runs/mnist_resnet-smoke/RUN/ for every run, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from flax import nnx

from simulations import images
from svmconv import data
from svmconv.models import ResNet
from svmconv.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    """One network on MNIST 0 against 1."""

    width: float = 1.0
    """Factor of all channels."""
    halved: bool = False
    """Inner 24 x 24 pixels, where the digits are, averaged over 2 x 2: a fifth of the time."""

    def problem(self, split: str) -> Problem:
        """The digits 0 and 1."""
        digits = data.mnist((0, 1), split, self.rows if split == "train" else None)
        if not self.halved:
            return digits
        inner = digits.x.reshape(-1, 28, 28)[:, 2:26, 2:26].reshape(-1, 12, 2, 12, 2)
        means = inner.mean(axis=(2, 4)).reshape(digits.n, 144)
        return Problem(means, digits.y, f"{digits.name}, halved")

    def network(self) -> ResNet:
        """The published network, in float32."""
        return ResNet.published(
            (12, 12, 1) if self.halved else (28, 28, 1),
            classes=2,
            width=self.width,
            penultimate_activation=self.penultimate,
            rngs=nnx.Rngs(self.seed),
        )


RATES = {"sgd": 1e-2, "momentum": 1e-3, "adam": 1e-3}
_SMALL = Config(
    penultimate="leaky_relu", rate=1e-2, epochs=16, late_steps=200, width=0.25, halved=True
)
_THOUSAND = replace(_SMALL, rows=1_000, batch=100)
PRESETS = {
    "smoke": (replace(_SMALL, rows=200, batch=25),),
    "cpu": (
        *(replace(_THOUSAND, late_steps=3_000, settling=0.8, seed=seed) for seed in (0, 1)),
        replace(_THOUSAND, penultimate="relu", late_steps=20),
        replace(_SMALL, optimizer="adam", rate=1e-3, batch=128, late_steps=20),
    ),
    "paper": tuple(
        Config(
            optimizer=optimizer, penultimate=activation, rate=rate, batch=1024, epochs=3_000,
            stop_log_loss=-12.0, late_steps=20_000, settling=0.8, seed=seed,
        )
        for optimizer, rate in RATES.items()
        for activation in ("relu", "leaky_relu")
        for seed in (0, 1)
    ),
}  # fmt: skip
run = images.run

if __name__ == "__main__":
    sys.exit(images.main("mnist_resnet", PRESETS, __doc__))
