"""GoogLeNet, Inception version 1 (Szegedy et al., CVPR 2015), for images of 32 pixels."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

from svmconv.models.image_network import ImageNetwork, check_shape
from svmconv.models.layers import Layer, Layers, MaxPool, scaled

STEM = 192
BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Channels as in their table 1: 1 x 1; before the 3 x 3, and it; before the 5 x 5, and it; pool."""
HALVED = ("4a", "5a")
"""Blocks that begin with maxima of 3 x 3 squares of stride 2."""


class GoogLeNet(ImageNetwork):
    """A 3 x 3 convolution to 192 channels, inception blocks 3a to 5b, the average over the image.

    As is usual on CIFAR the stem is that one convolution, which takes the place of the first two of
    the published network and their pooling, and a norm follows every convolution (published without
    one); blocks are version 1, their widths and 5 x 5 convolutions as published. No auxiliary
    heads, no dropout. Sides are halved twice, rounding up. `width` multiplies all channels; all
    else as for ResNet.eighteen.
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
        norm: str = "batch",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        check_shape(shape)
        make = Layers(activation, norm, np.dtype(dtype), rngs)
        (before,) = scaled((STEM,), width)
        stages: dict[str, Layer] = {
            "stem": nnx.Sequential(*_convolution(make, shape[2], before, 3))
        }
        for name, widths in BLOCKS.items():
            block = Inception(make, before, *scaled(widths, width))
            before = block.channels
            stages[f"inception_{name}"] = (
                nnx.Sequential(MaxPool(3, 2), block) if name in HALVED else block
            )
        super().__init__(
            shape,
            classes,
            stages,
            features=before,
            pool=None,
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )


class Inception(nnx.Module):
    """Four branches side by side: 1 x 1; 1 x 1, 3 x 3; 1 x 1, 5 x 5; maxima of 3 x 3, 1 x 1.

    A norm and the activation follow every convolution.
    """

    def __init__(
        self,
        make: Layers,
        before: int,
        one: int,
        three_inner: int,
        three: int,
        five_inner: int,
        five: int,
        pooled: int,
    ) -> None:
        self.channels = one + three + five + pooled
        self.one = nnx.Sequential(*_convolution(make, before, one, 1))
        self.three = nnx.Sequential(
            *_convolution(make, before, three_inner, 1), *_convolution(make, three_inner, three, 3)
        )
        self.five = nnx.Sequential(
            *_convolution(make, before, five_inner, 1), *_convolution(make, five_inner, five, 5)
        )
        self.pooled = nnx.Sequential(MaxPool(3, 1), *_convolution(make, before, pooled, 1))

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w _"]:
        """(n, h, w, before) -> (n, h, w, channels)."""
        branches = (self.one, self.three, self.five, self.pooled)
        return jnp.concatenate([branch(x) for branch in branches], axis=-1)


def _convolution(make: Layers, before: int, after: int, size: int) -> tuple[Layer, ...]:
    return make.convolution(before, after, size), *make.norm_then_activation(after)
