"""What every network on images is: stages of convolutions, pooled, then an MLP."""

from __future__ import annotations

import math
from collections.abc import Mapping

from flax import nnx
from jaxtyping import Array, Float

from svmconv.errors import DataError
from svmconv.models.initial import lecun_normal
from svmconv.models.layers import Layer, Layers, average_pool
from svmconv.models.mlp import MLP


class ImageNetwork(nnx.Module):
    """Named stages of convolutions, then average pooling, then dense layers and a head.

    `pool` is the side of the squares averaged before flattening to `features` numbers: 1 keeps
    every position, None averages over all. Dense layers are those of `dense` widths and one of
    `penultimate` units; with None for that, the features are what comes before it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        stages: Mapping[str, Layer],
        *,
        features: int,
        pool: int | None,
        dense: tuple[int, ...] = (),
        penultimate: int | None,
        penultimate_activation: str,
        make: Layers,
    ) -> None:
        bottleneck = () if penultimate is None else (penultimate,)
        self.shape = shape
        self.pool = pool
        self.names = tuple(stages)
        self.stages = nnx.List(stages.values())
        self.dense = MLP(
            (features, *dense, *bottleneck, classes),
            activation=make.activation,
            penultimate_activation=penultimate_activation,
            kernel_init=lecun_normal,
            dtype=make.dtype,
            rngs=make.rngs,
        )

    @property
    def head(self) -> nnx.Linear:
        """The last layer, from penultimate features to logits."""
        return self.dense.head

    def __call__(
        self, x: Float[Array, "n d"] | Float[Array, "n h w c"]
    ) -> tuple[Float[Array, "n k"], dict[str, Float[Array, "n ..."]]]:
        """Logits (n, K), and the hidden activations by name, in order, the last "penultimate".

        Takes images (n, h, w, c) or their flattened rows (n, h w c). Stages give (n, h', w', c'),
        "pooled" and all after it rows. Raises DataError on images of another shape.
        """
        x = as_images(x, self.shape)
        hidden: dict[str, Array] = {}
        for name, stage in zip(self.names, self.stages, strict=True):
            hidden[name] = x = stage(x)
        x = x.mean(axis=(1, 2)) if self.pool is None else average_pool(x, self.pool)
        hidden["pooled"] = x = x.reshape(len(x), -1)
        logits, dense = self.dense(x)
        return logits, hidden | dense


def as_images(
    x: Float[Array, "n d"] | Float[Array, "n h w c"], shape: tuple[int, ...]
) -> Float[Array, "n h w c"]:
    """Images of `shape`, given as they are or as flattened rows; DataError on any other."""
    pixels = math.prod(shape)
    if x.shape[1:] not in (shape, (pixels,)):
        raise DataError(
            f"this network takes images of shape {shape} or rows of {pixels} pixels, got an array "
            f"of shape {x.shape}"
        )
    return x.reshape(-1, *shape)


def check_shape(shape: tuple[int, ...], *, multiple: int = 1) -> None:
    """DataError unless it is (height, width, channels), both sides multiples of `multiple`."""
    if not isinstance(shape, tuple | list) or len(shape) != 3 or min(shape) < 1:
        raise DataError(f"shape must be (height, width, channels) of one image, got {shape}")
    if any(length % multiple for length in shape[:2]):
        raise DataError(
            f"this network halves its images: pad their height and width to multiples of "
            f"{multiple}, got shape {shape}"
        )
