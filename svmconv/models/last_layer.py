"""The last linear layer of a network, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Float

from svmconv.errors import DataError


def last_layer(module: nnx.Module) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Weight (K, d) and bias (K,) of the module's final Linear layer.

    That is the layer called `head` where there is one, else the last one in order of definition
    (of names, once nnx.merge has forgotten the definition). Flax keeps kernels as (d, K); this
    turns them round. A layer without bias gives zeros. Raises DataError without any Linear layer.
    """
    head = getattr(module, "head", None)
    layers = [head] if isinstance(head, nnx.Linear) else list(_linear_layers(module))
    if not layers:
        raise DataError(
            f"{type(module).__name__} has no nnx.Linear layer: pass its last weight (K, d) and "
            "bias (K,) as arrays"
        )
    weight = np.asarray(layers[-1].kernel[...]).T
    bias = layers[-1].bias
    return weight, np.zeros(len(weight), weight.dtype) if bias is None else np.asarray(bias[...])


def _linear_layers(node: Any) -> Iterator[nnx.Linear]:
    """Linear layers below a node, in order; nnx.iter_modules would sort them by name."""
    if isinstance(node, nnx.Linear):
        yield node
    elif isinstance(node, list | tuple | nnx.List):
        for child in node:
            yield from _linear_layers(child)
    elif isinstance(node, nnx.Module):
        for child in vars(node).values():
            yield from _linear_layers(child)
