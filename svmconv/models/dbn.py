"""Deep belief networks (Hinton, Osindero and Teh, Neural Computation 2006), as classifiers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

from svmconv.errors import DataError
from svmconv.models.activations import ACTIVATIONS
from svmconv.models.image_network import as_images, check_shape
from svmconv.models.initial import lecun_normal
from svmconv.models.layers import scaled
from svmconv.models.mlp import MLP
from svmconv.problem import check_choice


class DBN(MLP):
    """Layers of sigmoid units, each the hidden units of an RBM on the layer below, and a head.

    `svmconv.training.pretrain` trains the layers of `widths` as RBMs from the bottom up, and
    `svmconv.training.train` then the whole. 500, 500 and 2000 units are those of Hinton and
    Salakhutdinov (Science 2006) for digits. Hidden activations are the conditional means of the
    hidden units, sigmoid(c + v W), nothing is drawn; no norm, no dropout. A penultimate layer of
    `penultimate` units, with `penultimate_activation`, is not pre-trained; None leaves it out, and
    the last RBM's units are the penultimate ones. `width` multiplies `widths`. Weights start LeCun
    normal, biases zero; all else as for ResNet.eighteen.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        penultimate: int | None = None,
        widths: Sequence[int] = (500, 500, 2000),
        width: float = 1.0,
        penultimate_activation: str = "relu",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        check_shape(shape)
        if not widths or min(widths) < 1:
            raise DataError(f"widths must be one or more positive integers, got {tuple(widths)}")
        check_choice("penultimate_activation", penultimate_activation, tuple(ACTIVATIONS))
        bottleneck = () if penultimate is None else (penultimate,)
        self.shape = shape
        self.depth = len(widths)
        super().__init__(
            (math.prod(shape), *scaled(widths, width), *bottleneck, classes),
            activation="sigmoid",
            penultimate_activation=penultimate_activation if bottleneck else "sigmoid",
            kernel_init=lecun_normal,
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(
        self, x: Float[Array, "n d"] | Float[Array, "n h w c"]
    ) -> tuple[Float[Array, "n k"], dict[str, Float[Array, "n _"]]]:
        """Logits (n, K), and the hidden activations by name, in order, the last "penultimate".

        Takes images (n, h, w, c) or their flattened rows (n, h w c). Raises DataError on images of
        another shape.
        """
        return super().__call__(as_images(x, self.shape).reshape(len(x), -1))
