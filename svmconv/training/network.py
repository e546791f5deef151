"""A module as a pure function of arrays, which is what jitted loops want.

Walking through an nnx module, or flattening its State, takes milliseconds a call; a tuple of arrays
takes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float

from svmconv.errors import DataError
from svmconv.models.last_layer import last_layer
from svmconv.problem import Problem

Leaves = tuple[Array, ...]
"""The arrays of a State in a fixed order."""


@dataclass(frozen=True)
class Network:
    """What of a module stays while its arrays move; equal for modules of the same architecture.

    Programs compiled for one serve all its equals.
    """

    graph: Any
    param_tree: Any
    rest_tree: Any

    def __call__(
        self, params: Leaves, rest: Leaves, x: Array
    ) -> tuple[Float[Array, "n k"], dict[str, Array], Leaves]:
        """Logits, hidden activations, and the other state after the call."""
        module: Any = self.merged(params, rest)
        logits, hidden = module(x)
        return logits, hidden, tuple(jax.tree.leaves(nnx.state(module, nnx.Not(nnx.Param))))

    def merged(self, params: Leaves, rest: Leaves) -> nnx.Module:
        """A module of its own with these arrays."""
        return nnx.merge(self.graph, *self.states(params, rest), copy=True)

    def states(self, params: Leaves, rest: Leaves) -> tuple[Any, Any]:
        """Parameters and other state under their names."""
        return jax.tree.unflatten(self.param_tree, params), jax.tree.unflatten(self.rest_tree, rest)

    def last_layer(self, params: Leaves, rest: Leaves) -> tuple[np.ndarray, np.ndarray]:
        """Weight (K, d) and bias (K,) of the final layer."""
        return last_layer(self.merged(params, rest))


class Opened(NamedTuple):
    """A module taken apart."""

    network: Network
    params: Leaves
    rest: Leaves

    @property
    def dtype(self) -> np.dtype:
        """Of the parameters, and so of the arithmetic."""
        return self.params[0].dtype

    def write_to(self, module: nnx.Module, params: Leaves, rest: Leaves) -> None:
        """Put other arrays into the module, on the default device."""
        here = jax.device_put((params, rest), jax.devices()[0])
        nnx.update(module, *self.network.states(*here))


def opened(module: nnx.Module, problem: Problem, *, training: bool) -> Opened:
    """Take a module apart, in training or evaluation mode, its arrays on every device.

    The module is left as it was. Raises DataError unless it has parameters, takes the rows, and
    returns one logit per row and class and hidden activations, "penultimate" among them.
    """
    if not isinstance(module, nnx.Module):
        raise DataError(f"expected a Flax nnx module, got a {type(module).__name__}")
    copy = nnx.clone(module)
    copy.train() if training else copy.eval()
    graph, *states = nnx.split(copy, nnx.Param, ...)
    network = Network(graph, *map(jax.tree.structure, states))
    params, rest = (tuple(jax.tree.leaves(state)) for state in states)
    if not params:
        raise DataError(f"{type(module).__name__} has no parameters: there is nothing to train")
    x = jax.ShapeDtypeStruct(problem.x.shape, params[0].dtype)
    try:
        logits, hidden, _ = jax.eval_shape(network, params, rest, x)
        shape, kept = logits.shape, "penultimate" in hidden
    except DataError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{type(module).__name__} does not turn rows of {problem.d} features into (logits, "
            f"hidden activations): {reason}"
        ) from error
    if not kept:
        raise DataError(
            f'{type(module).__name__} returns no hidden activation named "penultimate": the input '
            "of its last layer belongs there"
        )
    if shape != (problem.n, problem.n_classes):
        raise DataError(
            f"the network gives logits of shape {shape} for {problem.n} rows of "
            f"{problem.n_classes} classes: its last layer needs {problem.n_classes} outputs"
        )
    return Opened(network, *replicated((params, rest)))


class Rows(NamedTuple):
    """A problem on the device, put there once."""

    x: Float[Array, "n d"]
    own: Bool[Array, "n k"]


def on_device(problem: Problem, dtype: np.dtype) -> Rows:
    """The rows in the network's dtype, on every device."""
    x, own = replicated((problem.x.astype(dtype), problem.own))
    return Rows(x, own)


def mesh() -> Mesh:
    """All devices along one axis, "batch"."""
    return Mesh(np.array(jax.devices()), ("batch",))


def replicated(tree: Any) -> Any:
    """The same arrays on every device."""
    return jax.device_put(tree, NamedSharding(mesh(), PartitionSpec()))


def split_batch(x: Array) -> Array:
    """Inside jitted code: the rows of x spread over the devices."""
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh(), PartitionSpec("batch")))


def loops_on_device(traced: Any) -> bool:
    """Whether a traced program may run inside a loop on the device.

    A convolution inside a loop on a CPU is 16 times slower than the same convolution outside.
    """
    return jax.default_backend() != "cpu" or "conv_general_dilated" not in str(traced.jaxpr)
