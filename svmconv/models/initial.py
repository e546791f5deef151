"""Initial weights, drawn in blocks of one size."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

BLOCK = 2**15
"""On CPU, XLA compiles a random draw anew for every shape, which takes seconds: one shape does."""


def he_normal(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "..."]:
    """Normal with variance 2 / fan-in, which relu preserves (He et al., ICCV 2015)."""
    return math.sqrt(2.0 / math.prod(shape[:-1])) * _standard_normal(key, shape, dtype)


def lecun_normal(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "..."]:
    """Normal with variance 1 / fan-in, which a linear layer preserves."""
    return math.sqrt(1.0 / math.prod(shape[:-1])) * _standard_normal(key, shape, dtype)


def _standard_normal(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "..."]:
    count = math.prod(shape)
    blocks = [
        jax.random.normal(jax.random.fold_in(key, number), (BLOCK,), jnp.dtype(dtype))
        for number in range(math.ceil(count / BLOCK))
    ]
    return jnp.concatenate(blocks)[:count].reshape(shape)
