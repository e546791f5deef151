"""A small convolutional network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import DTypeLike

from svmconv.errors import DataError
from svmconv.models.image_network import ImageNetwork, check_shape
from svmconv.models.layers import Layers


class CNN(ImageNetwork):
    """3 x 3 convolutions of stride 2, flattened, then a penultimate layer and a head.

    `shape` is (height, width, channels) of an image, `widths` the channels after each convolution,
    which a norm ("batch" | "group" | "none") and the activation follow. The penultimate layer has
    `penultimate` units; None leaves it out, and the flattened features are the penultimate ones.
    Its activation "relu" can collapse a class to a point, "leaky_relu" and "linear" cannot.
    Convolutions start He normal (LeCun normal unless the activation is relu or leaky_relu), dense
    layers LeCun normal, biases zero. Parameters, running statistics and arithmetic are of `dtype`;
    call a float64 network under `jax.enable_x64(True)`. Raises DataError on an unknown name or an
    impossible shape or width.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        penultimate: int | None = 2,
        widths: Sequence[int] = (16, 32, 64),
        activation: str = "relu",
        penultimate_activation: str = "relu",
        norm: str = "none",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        check_shape(shape)
        if not widths or min(widths) < 1:
            raise DataError(f"widths must be one or more positive integers, got {tuple(widths)}")
        make = Layers(activation, norm, np.dtype(dtype), rngs)
        height, width, channels = shape
        stages = {
            f"conv_{number}": nnx.Sequential(
                make.convolution(before, after, 3, stride=2), *make.norm_then_activation(after)
            )
            for number, (before, after) in enumerate(itertools.pairwise((channels, *widths)), 1)
        }
        halved = 2 ** len(widths)
        super().__init__(
            shape,
            classes,
            stages,
            features=widths[-1] * -(-height // halved) * -(-width // halved),
            pool=1,
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )
