"""AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012) for images of 32 pixels."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import DTypeLike

from svmconv.models.image_network import ImageNetwork, check_shape
from svmconv.models.layers import Layer, Layers, MaxPool, scaled

CHANNELS = (64, 192, 384, 256, 256)
POOLED = (1, 2, 5)
"""Convolutions that maxima of 2 x 2 squares follow."""
DENSE = (4096, 4096)


class AlexNet(ImageNetwork):
    """Five convolutions, maxima after three of them, two dense layers of 4096 units, no dropout.

    The channels are those of its form on one GPU (Krizhevsky, arXiv 1404.5997: no response
    normalisation); on CIFAR all convolutions are 3 x 3, the first of stride 2: 23,272,266
    parameters for 32 x 32 x 3 and ten classes. Sides are halved four times, rounding up. The second
    dense layer is the penultimate one, unless one of `penultimate` units follows it. `width`
    multiplies channels and units; all else as for ResNet.eighteen.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        penultimate: int | None = None,
        width: float = 1.0,
        activation: str = "relu",
        penultimate_activation: str = "relu",
        norm: str = "none",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        check_shape(shape)
        make = Layers(activation, norm, np.dtype(dtype), rngs)
        height, across, before = shape
        stages: dict[str, Layer] = {}
        for number, after in enumerate(scaled(CHANNELS, width), 1):
            layers: list[Layer] = [
                make.convolution(before, after, 3, stride=2 if number == 1 else 1),
                *make.norm_then_activation(after),
            ]
            if number in POOLED:
                layers.append(MaxPool(2, 2))
            stages[f"conv_{number}"] = nnx.Sequential(*layers)
            before = after
        halved = 2 ** (1 + len(POOLED))
        super().__init__(
            shape,
            classes,
            stages,
            features=before * -(-height // halved) * -(-across // halved),
            pool=1,
            dense=tuple(scaled(DENSE, width)),
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )
