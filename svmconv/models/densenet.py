"""Densely connected networks (Huang et al., CVPR 2017)."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

from svmconv.errors import DataError
from svmconv.models.image_network import ImageNetwork, check_shape
from svmconv.models.layers import Layer, Layers, halve

BLOCKS = 3


class DenseNet(ImageNetwork):
    """DenseNet(L, k): three dense blocks of (L - 4)/3 layers that add k channels each.

    A layer is norm, activation, 3 x 3 convolution, its output put beside its input; between blocks
    a norm, activation, 1 x 1 convolution and 2 x 2 average; no bottleneck, no compression, 16
    channels to begin with. L = `depth` = 40, k = `growth` = 12 is the published one. After the last
    block come a norm and activation, averages over `pool` x `pool` squares (None: over the whole
    image, as Huang et al. do), a penultimate layer of `penultimate` units (None: no such layer,
    the pooled features are the penultimate ones) and a head. All else as for CNN.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        penultimate: int | None = 2,
        depth: int = 40,
        growth: int = 12,
        pool: int | None = None,
        activation: str = "relu",
        penultimate_activation: str = "relu",
        norm: str = "batch",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        check_shape(shape)
        layers, rest = divmod(depth - 4, BLOCKS)
        if layers < 1 or rest or growth < 1:
            raise DataError(
                f"depth must be 3 m + 4 for m layers a block and growth positive, got {depth} and "
                f"{growth}"
            )
        make = Layers(activation, norm, np.dtype(dtype), rngs)
        channels = 16
        stages: dict[str, Layer] = {"stem": make.convolution(shape[2], channels, 3)}
        for number in range(1, BLOCKS + 1):
            block: list[Layer] = [
                DenseLayer(make, channels + growth * i, growth) for i in range(layers)
            ]
            channels += growth * layers
            block += make.norm_then_activation(channels)
            if number < BLOCKS:
                # As published the average comes last; it commutes with a 1 x 1 convolution.
                block += [halve, make.convolution(channels, channels, 1)]
            stages[f"block_{number}"] = nnx.Sequential(*block)
        side = shape[0] // 4, shape[1] // 4
        if min(side) < (pool or 1):
            raise DataError(
                f"images of shape {shape} are too small: {side[0]} x {side[1]} positions are left "
                f"to average over {pool or 1} x {pool or 1}"
            )
        super().__init__(
            shape,
            classes,
            stages,
            features=channels * (math.prod(length // pool for length in side) if pool else 1),
            pool=pool,
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )

    @classmethod
    def published(cls, shape: tuple[int, ...], *, classes: int, **options: Any) -> DenseNet:
        """As Li, Ding and Gao (arXiv 1808.05385) used it: averages over 4 x 4 squares.

        On 28 x 28 images, where 7 x 7 positions are left, that reads the first 4 x 4 alone.
        `options` are those of the class.
        """
        return cls(shape, classes=classes, pool=4, **options)


class DenseLayer(nnx.Module):
    """norm, activation, convolution; what comes in, with what comes out beside it."""

    def __init__(self, make: Layers, channels: int, growth: int) -> None:
        self.layer = nnx.Sequential(
            *make.norm_then_activation(channels), make.convolution(channels, growth, 3)
        )

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w _"]:
        """(n, h, w, c) -> (n, h, w, c + k)."""
        return jnp.concatenate([x, self.layer(x)], axis=-1)
