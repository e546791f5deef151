"""Convolutions, norms and pooling, as every image network makes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from svmconv.errors import DataError
from svmconv.models.activations import ACTIVATIONS
from svmconv.models.initial import he_normal, lecun_normal
from svmconv.problem import check_choice

Layer = Callable[[Array], Array]

NORMS = ("batch", "group", "none")
GROUPS = 8
"""Most groups of a group norm; fewer where they would not divide the channels."""
MOMENTUM = 0.9
"""Share that the running statistics of a batch norm keep at each step: an epoch can be 13 steps."""


@dataclass(frozen=True)
class Layers:
    """Makes the layers of one network: same activation, norm and dtype, keys from one source.

    Raises DataError on an unknown activation or norm.
    """

    activation: str
    norm: str
    dtype: np.dtype
    rngs: nnx.Rngs

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        check_choice("norm", self.norm, NORMS)

    def convolution(
        self, channels: int, out: int, size: int, *, stride: int = 1, bias: bool | None = None
    ) -> nnx.Conv:
        """A size x size convolution (n, h, w, channels) -> (n, ceil(h/stride), ..., out).

        Weights are He normal before relu and leaky_relu, else LeCun normal; biases, which are
        there by default only without a norm, are zero.
        """
        rectified = self.activation in ("relu", "leaky_relu")
        with jax.enable_x64(True):
            return nnx.Conv(
                channels,
                out,
                (size, size),
                stride,
                use_bias=self.norm == "none" if bias is None else bias,
                kernel_init=he_normal if rectified else lecun_normal,
                conv_general_dilated=_product if size == 1 else jax.lax.conv_general_dilated,
                dtype=self.dtype,
                param_dtype=self.dtype,
                rngs=self.rngs,
            )

    def dense(self, features: int, out: int) -> nnx.Linear:
        """A linear layer of the last axis (..., features) -> (..., out), LeCun normal, biases 0."""
        with jax.enable_x64(True):
            return nnx.Linear(
                features,
                out,
                kernel_init=lecun_normal,
                dot_general=_row_product,
                dtype=self.dtype,
                param_dtype=self.dtype,
                rngs=self.rngs,
            )

    def normalisation(self, channels: int) -> Layer:
        """The norm of `channels` channels; of batches it is frozen by module.eval()."""
        dtype, rngs = self.dtype, self.rngs
        with jax.enable_x64(True):
            if self.norm == "group":
                groups = math.gcd(GROUPS, channels)
                return nnx.GroupNorm(channels, groups, dtype=dtype, param_dtype=dtype, rngs=rngs)
            if self.norm == "none":
                return ACTIVATIONS["linear"]
            layer = nnx.BatchNorm(
                channels, momentum=MOMENTUM, dtype=dtype, param_dtype=dtype, rngs=rngs
            )
            # Flax keeps running statistics in float32 whatever it is told.
            layer.mean = nnx.BatchStat(jnp.zeros(channels, dtype))
            layer.var = nnx.BatchStat(jnp.ones(channels, dtype))
            return layer

    def norm_then_activation(self, channels: int) -> tuple[Layer, Layer]:
        """The two that open a pre-activation convolution (He et al., arXiv 1603.05027)."""
        return self.normalisation(channels), ACTIVATIONS[self.activation]


def _product(
    x: Float[Array, "n h w c"], kernel: Float[Array, "1 1 c k"], strides: Any, *_: Any, **__: Any
) -> Float[Array, "n h2 w2 k"]:
    """A 1 x 1 convolution as a product of two matrices: its gradient takes half the time on CPU.

    The barrier has the gradient of the result written down once. Without it XLA computes it again,
    column by column, for the gradient of the kernel.
    """
    kept = x[:, :: strides[0], :: strides[1]]
    flat = kept.reshape(-1, kept.shape[-1]) @ kernel[0, 0]
    return jax.lax.optimization_barrier(flat.reshape(*kept.shape[:-1], flat.shape[-1]))


def _row_product(
    x: Float[Array, "*n c"], kernel: Float[Array, "c k"], *_: Any, **__: Any
) -> Float[Array, "*n k"]:
    """A product of two matrices, whatever the axes: a step of a transformer is a fifth faster."""
    flat = x.reshape(-1, x.shape[-1]) @ kernel
    return flat.reshape(*x.shape[:-1], kernel.shape[-1])


def average_pool(x: Float[Array, "n h w c"], size: int) -> Float[Array, "n h//{size} w//{size} c"]:
    """Means over size x size squares; rows and columns that fill no square are left out."""
    return nnx.avg_pool(x, (size, size), (size, size))


def halve(x: Float[Array, "n h w c"]) -> Float[Array, "n h//2 w//2 c"]:
    """Means over 2 x 2 squares."""
    return average_pool(x, 2)


@dataclass(frozen=True)
class MaxPool:
    """Maxima over size x size squares, `stride` apart; the border cuts those that cross it.

    So every image, down to one of 1 x 1, has its maxima: sides are halved rounding up. Squares are
    taken along one side, then the other, and as maxima of shifted images: on CPU the gradient of
    XLA's own windows takes 4 to 15 times as long. Equal maxima share their gradient equally. Two of
    the same size are equal, so that networks of one architecture share what was compiled.
    """

    size: int
    stride: int

    def __call__(
        self, x: Float[Array, "n h w c"]
    ) -> Float[Array, "n -(-h//{self.stride}) -(-w//{self.stride}) c"]:
        """(n, h, w, c) -> (n, ceil(h / stride), ceil(w / stride), c)."""
        for axis in (1, 2):
            last = (-(-x.shape[axis] // self.stride) - 1) * self.stride
            beyond = max(last + self.size - x.shape[axis], 0)
            border = [(0, 0)] * 4
            border[axis] = beyond // 2, beyond - beyond // 2
            padded = jnp.pad(x, border, constant_values=-jnp.inf)
            shifted = (
                jax.lax.slice_in_dim(padded, i, i + last + 1, self.stride, axis)
                for i in range(self.size)
            )
            x = reduce(jnp.maximum, shifted)
        return x


def scaled(widths: Sequence[int], width: float) -> list[int]:
    """The widths times `width`, at least one each. Raises DataError unless width is positive."""
    if not 0 < width < math.inf:
        raise DataError(f"width must be a positive number, got {width!r}")
    return [max(1, round(width * count)) for count in widths]
