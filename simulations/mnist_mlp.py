"""An MLP on pairs of MNIST digits, trained as a whole to log L = -1000.

The last layer beside the exact SVM of its current features while every layer goes on.

    python -m simulations.mnist_mlp --preset smoke

writes runs/mnist_mlp-smoke/RUN/ for every run, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from flax import nnx

from simulations import images
from svmconv import data
from svmconv.models import MLP
from svmconv.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    """One network 784 - 32 - 2 - 2 on two digits."""

    classes: tuple[int, int]
    hidden: int = 32
    optimizer: str = "adam"
    penultimate: str = "leaky_relu"
    rate: float = 1e-3
    batch: int | None = 256

    @property
    def name(self) -> str:
        """0-1-adam-leaky_relu-seed-0."""
        return f"{self.classes[0]}-{self.classes[1]}-{super().name}"

    def problem(self, split: str) -> Problem:
        """The two digits."""
        return data.mnist(self.classes, split, self.rows if split == "train" else None)

    def network(self) -> MLP:
        """In float64: at log L = -1000 the rounding of float32 is a tenth of a nat."""
        return MLP(
            (784, self.hidden, 2, 2),
            activation="relu",
            penultimate_activation=self.penultimate,
            rngs=nnx.Rngs(self.seed),
        )


_WHOLE = Config(classes=(0, 1), epochs=20, late_steps=25_000)
PRESETS = {
    "smoke": (Config(classes=(3, 8), epochs=10, late_steps=1_500, rows=500),),
    "cpu": (
        _WHOLE,
        # Chosen because its relu units leave one class at one point.
        replace(_WHOLE, penultimate="relu", rows=1_000, seed=1),
        *(replace(_WHOLE, classes=classes, rows=2_000) for classes in ((3, 8), (4, 9))),
    ),
}
run = images.run

if __name__ == "__main__":
    sys.exit(images.main("mnist_mlp", PRESETS, __doc__))
