"""Three Gaussian blobs in the plane: the last layer beside the exact Crammer-Singer SVM.

The data and network of Li, Ding, Gao, arXiv 1808.05385: 5000 points, a tenth of them for testing,
2000 relu units, 2 penultimate units, three classes. They drew a one-against-rest SVM with C = 1.
Beside the published relu a run with two leaky units, which cannot collapse a class to a point.

    python -m simulations.blobs_three_class --preset smoke

writes runs/blobs_three_class-smoke/RUN/ for every run, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from flax import nnx

from simulations import images
from svmconv import data
from svmconv.models import MLP
from svmconv.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    """One network on the three blobs."""

    hidden: int = 2_000
    rows: int | None = 4_500
    optimizer: str = "adam"

    def problem(self, split: str) -> Problem:
        """The first nine tenths of the points, or the last tenth."""
        assert self.rows is not None
        both = data.multiclass_blobs(self.rows * 10 // 9)
        kept = np.arange(both.n) < self.rows
        kept = kept if split == "train" else ~kept
        return Problem(both.x[kept], both.y[kept], f"three blobs ({split})")

    def network(self) -> MLP:
        """The published network, in float64."""
        return MLP(
            (2, self.hidden, 2, 3),
            activation="relu",
            penultimate_activation=self.penultimate,
            rngs=nnx.Rngs(self.seed),
        )


PRESETS = {
    "smoke": tuple(
        Config(
            penultimate=activation, rate=1e-3, epochs=2_000, late_steps=6_000, rows=900,
            hidden=100, seed=seed,
        )
        for activation, seed in (("relu", 0), ("leaky_relu", 0), ("leaky_relu", 1))
    ),
    "paper": tuple(
        Config(
            penultimate=activation, rate=1e-4, epochs=100_001, stop_log_loss=-12.0,
            late_steps=50_000, seed=seed,
        )
        for activation in ("relu", "leaky_relu")
        for seed in (0, 1)
    ),
}  # fmt: skip
run = images.run

if __name__ == "__main__":
    sys.exit(images.main("blobs_three_class", PRESETS, __doc__))
