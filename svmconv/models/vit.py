"""Vision transformers (Dosovitskiy et al., ICLR 2021)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

from svmconv.errors import DataError
from svmconv.models.activations import ACTIVATIONS
from svmconv.models.image_network import ImageNetwork, check_shape
from svmconv.models.initial import lecun_normal
from svmconv.models.layers import Layer, Layers, scaled
from svmconv.problem import check_choice, check_counts

NORMS = ("layer", "none")
POSITION = 0.02
"""Standard deviation of the initial positions, as Dosovitskiy et al. draw them."""

Tokens = Float[Array, "n h w c"]


class ViT(ImageNetwork):
    """Patches of `patch` x `patch` pixels, embedded; `depth` pre-norm encoder blocks; their mean.

    Patches and learned positions are vectors of `dim` numbers, blocks have `heads` heads of
    dim / heads and an MLP of `mlp` units. There is no class token: features are the mean over the
    tokens after a last norm, which does as well (Beyer, Zhai and Kolesnikov, arXiv 2205.01580);
    and no dropout. Patch 4, 512 x 6, 8 heads, 512 units are usual on CIFAR. `norm` is "layer" or
    "none", `width` multiplies `dim` and `mlp`, tokens stay on their grid: hidden activations are
    (n, h / patch, w / patch, dim). All else as for ResNet.eighteen. Nothing here is a convolution.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        classes: int,
        patch: int = 4,
        dim: int = 512,
        depth: int = 6,
        heads: int = 8,
        mlp: int = 512,
        penultimate: int | None = None,
        width: float = 1.0,
        activation: str = "gelu",
        penultimate_activation: str = "relu",
        norm: str = "layer",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> None:
        check_counts(1, patch=patch, dim=dim, depth=depth, heads=heads, mlp=mlp)
        check_shape(shape)
        check_choice("norm", norm, NORMS)
        make = Layers(activation, "none", np.dtype(dtype), rngs)
        dim, mlp = scaled((dim, mlp), width)
        if dim % heads:
            raise DataError(f"dim times width must be a multiple of heads={heads}, got {dim}")
        if shape[0] % patch or shape[1] % patch:
            raise DataError(
                f"patches of {patch} x {patch} do not cut images of shape {shape}: pad their "
                f"height and width to multiples of {patch}"
            )
        stages: dict[str, Layer] = {"embedding": Embedding(make, shape, patch, dim)}
        for number in range(1, depth + 1):
            stages[f"block_{number}"] = EncoderBlock(make, norm, dim, heads, mlp)
        stages["last_norm"] = _normalisation(make, norm, dim)
        super().__init__(
            shape,
            classes,
            stages,
            features=dim,
            pool=None,
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )


class Embedding(nnx.Module):
    """A linear map of each patch, and a learned vector for its place."""

    def __init__(self, make: Layers, shape: tuple[int, ...], patch: int, dim: int) -> None:
        height, width, channels = shape
        places = height // patch, width // patch
        self.patch = patch
        self.projection = make.dense(patch * patch * channels, dim)
        with jax.enable_x64(True):
            drawn = lecun_normal(make.rngs.params(), (1, math.prod(places) * dim), make.dtype)
            self.positions = nnx.Param(POSITION * drawn.reshape(*places, dim))  # fan-in 1: normal

    def __call__(
        self, x: Float[Array, "n h w c"]
    ) -> Float[Array, "n h//{self.patch} w//{self.patch} _"]:
        """(n, h, w, c) -> (n, h / patch, w / patch, dim)."""
        return self.projection(patches(x, self.patch)) + self.positions[...][None]


def patches(x: Float[Array, "n h w c"], size: int) -> Float[Array, "n h//{size} w//{size} _"]:
    """size x size squares of pixels, each flattened: row by row, channels last."""
    n, height, width, channels = x.shape
    cut = x.reshape(n, height // size, size, width // size, size, channels)
    return cut.swapaxes(2, 3).reshape(n, height // size, width // size, -1)


class EncoderBlock(nnx.Module):
    """x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(self, make: Layers, norm: str, dim: int, heads: int, mlp: int) -> None:
        self.attention = nnx.Sequential(
            _normalisation(make, norm, dim), Attention(make, dim, heads)
        )
        self.mlp = nnx.Sequential(
            _normalisation(make, norm, dim),
            make.dense(dim, mlp),
            ACTIVATIONS[make.activation],
            make.dense(mlp, dim),
        )

    def __call__(self, x: Tokens) -> Tokens:
        """(n, h, w, dim) -> (n, h, w, dim)."""
        x = x + self.attention(x)
        return x + self.mlp(x)


class Attention(nnx.Module):
    """softmax(q k^T / sqrt(dim / heads)) v in each head (Vaswani et al., NIPS 2017)."""

    def __init__(self, make: Layers, dim: int, heads: int) -> None:
        self.heads = heads
        self.query_key_value = make.dense(dim, 3 * dim)
        self.out = make.dense(dim, dim)

    def __call__(self, x: Tokens) -> Tokens:
        """(n, h, w, dim) -> (n, h, w, dim): every token sees all tokens of its image."""
        n, dim = len(x), x.shape[-1]
        size = dim // self.heads
        split = self.query_key_value(x).reshape(n, -1, 3, self.heads, size)
        query, key, value = split.transpose(2, 0, 3, 1, 4)  # (n, heads, tokens, size) each
        weights = jax.nn.softmax(query @ key.swapaxes(-1, -2) / math.sqrt(size), axis=-1)
        return self.out((weights @ value).swapaxes(1, 2).reshape(x.shape))


def _normalisation(make: Layers, norm: str, dim: int) -> Layer:
    if norm == "none":
        return ACTIVATIONS["linear"]
    with jax.enable_x64(True):
        # The fast variance, E x^2 - (E x)^2, cancels in float32 where the mean is large.
        return nnx.LayerNorm(
            dim,
            use_fast_variance=False,
            dtype=make.dtype,
            param_dtype=make.dtype,
            rngs=make.rngs,
        )
