"""A multilayer perceptron that shows its hidden activations."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

from svmconv.errors import DataError
from svmconv.problem import check_choice

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "leaky_relu": jax.nn.leaky_relu,
    "linear": lambda x: x,
    "relu": jax.nn.relu,
    "selu": jax.nn.selu,
    "softsign": jax.nn.soft_sign,
    "square": jnp.square,
    "tanh": jnp.tanh,
}


class MLP(nnx.Module):
    """Linear layers of the given `widths`, input first and number of classes last.

    `widths=(64, 32, 8, 2)` maps 64 features through hidden layers of 32 and 8 units to 2 logits.
    The activation follows every layer but the last; "leaky_relu" (slope .01) and "linear" are
    injective, so no class can collapse to a point in a unit. Weights are LeCun normal, biases zero.
    Parameters and arithmetic are of `dtype`; call a float64 network under `jax.enable_x64(True)`.
    Raises DataError on an unknown activation or fewer than two widths.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: str = "leaky_relu",
        dtype: DTypeLike = jnp.float64,
        rngs: nnx.Rngs,
    ) -> None:
        check_choice("activation", activation, tuple(ACTIVATIONS))
        if len(widths) < 2 or min(widths) < 1:
            raise DataError(
                f"widths must be two or more positive integers, input first, got {tuple(widths)}"
            )
        self.activation = activation
        with jax.enable_x64(True):
            layers = [
                nnx.Linear(fan_in, fan_out, dtype=dtype, param_dtype=dtype, rngs=rngs)
                for fan_in, fan_out in itertools.pairwise(widths)
            ]
        self.body = nnx.List(layers[:-1])
        self.head = layers[-1]

    def __call__(
        self, x: Float[Array, "n d"]
    ) -> tuple[Float[Array, "n k"], dict[str, Float[Array, "n _"]]]:
        """Logits (n, K), and the hidden activations by name, in order, the last "penultimate".

        Without hidden layers "penultimate" is the input.
        """
        hidden: dict[str, Float[Array, "n _"]] = {}
        for number, layer in enumerate(self.body, 1):
            x = ACTIVATIONS[self.activation](layer(x))
            hidden["penultimate" if number == len(self.body) else f"hidden_{number}"] = x
        hidden.setdefault("penultimate", x)
        return self.head(x), hidden
