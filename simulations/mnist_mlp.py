"""An MLP on pairs of MNIST digits, trained as a whole to log L = -1000.

The last layer beside the exact SVM of its current features while every layer goes on: the angle
falls like a power of |log L|, the margin comes within a thousandth of the best.

    python -m simulations.mnist_mlp --preset smoke --out results

writes results/mnist_mlp/RUN/ for every run, which `python -m figures` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

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


PRESETS = {
    "smoke": (Config(classes=(3, 8), epochs=10, late_steps=1_500, rows=500),),
    # On 2,000 rows of 3 and 8 the late phase ends at a kink, at log L = -7.8: "rounding".
    "cpu": tuple(
        Config(classes=classes, epochs=20, late_steps=20_000, rows=rows)
        for classes, rows in (((0, 1), None), ((3, 8), 500), ((4, 9), 2_000))
    ),
}
run = images.run

if __name__ == "__main__":
    sys.exit(images.main("mnist_mlp", PRESETS, __doc__))
