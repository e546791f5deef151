"""The networks of 3 x 3 convolutions of Simonyan and Zisserman (ICLR 2015)."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import DTypeLike

from svmconv.models.image_network import ImageNetwork, check_shape
from svmconv.models.layers import Layer, Layers, MaxPool, scaled
from svmconv.problem import check_choice

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {
    "11": (1, 1, 2, 2, 2),
    "13": (2, 2, 2, 2, 2),
    "16": (2, 2, 3, 3, 3),
    "19": (2, 2, 4, 4, 4),
}
"""In each stage, by depth: columns A, B, D and E of their table 1."""


class VGG(ImageNetwork):
    """VGG-`depth` (11, 13, 16 or 19) as is usual on CIFAR: no hidden dense layers, no dropout.

    Five stages of 3 x 3 convolutions to 64, 128, 256, 512 and 512 channels, each closed by the
    maxima of 2 x 2 squares, which halve the image rounding up; a norm (published without one) and
    the activation follow every convolution. What is left, 1 x 1 x 512 of a 32-pixel image, is
    flattened. `width` multiplies all channels; all else as for ResNet.eighteen.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        depth: int = 16,
        penultimate: int | None = None,
        width: float = 1.0,
        activation: str = "relu",
        penultimate_activation: str = "relu",
        norm: str = "batch",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        check_shape(shape)
        check_choice("depth", str(depth), tuple(CONVOLUTIONS))
        make = Layers(activation, norm, np.dtype(dtype), rngs)
        height, across, before = shape
        stages: dict[str, Layer] = {}
        counts = CONVOLUTIONS[str(depth)]
        for number, (after, count) in enumerate(
            zip(scaled(CHANNELS, width), counts, strict=True), 1
        ):
            layers: list[Layer] = []
            for _ in range(count):
                layers.append(make.convolution(before, after, 3))
                layers += make.norm_then_activation(after)
                before = after
            stages[f"stage_{number}"] = nnx.Sequential(*layers, MaxPool(2, 2))
        halved = 2 ** len(stages)
        super().__init__(
            shape,
            classes,
            stages,
            features=before * -(-height // halved) * -(-across // halved),
            pool=1,
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )
