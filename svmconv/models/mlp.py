"""A multilayer perceptron that shows its hidden activations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

from svmconv.errors import DataError
from svmconv.models.activations import ACTIVATIONS
from svmconv.problem import check_choice

LECUN_NORMAL = nnx.initializers.lecun_normal()


class MLP(nnx.Module):
    """Linear layers of the given `widths`, input first and number of classes last.

    `widths=(64, 32, 8, 2)` maps 64 features through hidden layers of 32 and 8 units to 2 logits.
    The activation follows every layer but the last; `penultimate_activation`, unless None, takes
    its place after the last hidden layer. "leaky_relu" (slope .01) and "linear" are injective, so
    no class can collapse to a point in a unit. Weights are drawn by `kernel_init` (LeCun normal
    unless told otherwise), biases are zero; without biases (leaky_relu, relu, linear, square) the
    network is homogeneous in its parameters.
    Parameters and arithmetic are of `dtype`; call a float64 network under `jax.enable_x64(True)`.
    Raises DataError on an unknown activation or fewer than two widths.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: str = "leaky_relu",
        penultimate_activation: str | None = None,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = LECUN_NORMAL,
        dtype: DTypeLike = jnp.float64,
        rngs: nnx.Rngs,
    ) -> None:
        last = activation if penultimate_activation is None else penultimate_activation
        check_choice("activation", activation, tuple(ACTIVATIONS))
        check_choice("penultimate_activation", last, tuple(ACTIVATIONS))
        if len(widths) < 2 or min(widths) < 1:
            raise DataError(
                f"widths must be two or more positive integers, input first, got {tuple(widths)}"
            )
        self.activation = activation
        self.penultimate_activation = last
        with jax.enable_x64(True):
            layers = [
                nnx.Linear(
                    fan_in,
                    fan_out,
                    use_bias=use_bias,
                    kernel_init=kernel_init,
                    dtype=dtype,
                    param_dtype=dtype,
                    rngs=rngs,
                )
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
            last = number == len(self.body)
            x = ACTIVATIONS[self.penultimate_activation if last else self.activation](layer(x))
            hidden["penultimate" if last else f"hidden_{number}"] = x
        hidden.setdefault("penultimate", x)
        return self.head(x), hidden
