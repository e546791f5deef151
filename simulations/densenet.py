"""The DenseNet that Li, Ding and Gao trained on two image sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flax import nnx

from simulations import images
from svmconv.models import DenseNet


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    """One DenseNet(depth, growth); a data set gives its shape, its classes and `problem`."""

    shape: ClassVar[tuple[int, int, int]]
    n_classes: ClassVar[int]
    depth: int = 40
    growth: int = 12

    def network(self) -> DenseNet:
        """The published network, in float32."""
        return DenseNet.published(
            self.shape,
            classes=self.n_classes,
            depth=self.depth,
            growth=self.growth,
            penultimate_activation=self.penultimate,
            rngs=nnx.Rngs(self.seed),
        )
