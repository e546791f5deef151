"""A network in evaluation mode on all rows: loss, accuracy, penultimate features."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float64, Int64

from svmconv.losses import log_row_losses
from svmconv.problem import Problem
from svmconv.training.network import Leaves, Network, Rows, on_device, opened, split_batch
from svmconv.training.objectives import logit_margins
from svmconv.training.tracker import Tracker

CHUNK = 1024
"""Rows that pass through the network at a time."""


class Evaluation(NamedTuple):
    """One pass over all rows, normalisation frozen."""

    log_loss: float
    """ln of the mean softmax cross-entropy."""
    accuracy: float
    """Share of rows whose own logit is strictly the largest."""
    features: Float64[np.ndarray, "n d"]
    """What the last layer sees."""


def evaluate(module: nnx.Module, problem: Problem) -> Evaluation:
    """Loss, accuracy and penultimate features in evaluation mode; the module is left as it was.

    `module(x)` returns (logits (n, K), hidden activations), one of them "penultimate", as the
    networks of svmconv.models do. Raises DataError where the logits do not fit the classes.
    """
    with jax.enable_x64(True):
        frozen = opened(module, problem, training=False)
        evaluator = Evaluator(frozen.network, on_device(problem, frozen.dtype))
        return evaluator(frozen.params, frozen.rest)


def features(module: nnx.Module, problem: Problem) -> Problem:
    """The problem seen by the last layer: penultimate features (n, d'), float64, same labels.

    The module runs in evaluation mode and is left as it was.
    """
    x = evaluate(module, problem).features
    return Problem(x, problem.y, f"{type(module).__name__} features of {problem.name}")


def activations(module: nnx.Module, problem: Problem) -> dict[str, Float[np.ndarray, "n ..."]]:
    """Hidden activations of all rows by name, in the order of the layers, in the module's dtype.

    As measures.layer_report takes them. Evaluation mode; the module is left as it was. Memory: all
    activations of all rows at once.
    """
    with jax.enable_x64(True):
        frozen = opened(module, problem, training=False)
        evaluator = Evaluator(frozen.network, on_device(problem, frozen.dtype))
        return evaluator.hidden(frozen.params, frozen.rest, np.arange(problem.n))


class Evaluator:
    """Evaluates one network on the same rows again and again."""

    def __init__(self, network: Network, rows: Rows) -> None:
        self.network, self.rows = network, rows
        self._names: tuple[str, ...] = ()

    def __call__(self, params: Leaves, rest: Leaves) -> Evaluation:
        """One pass, chunk by chunk."""
        n = len(self.rows.x)
        log_losses, right, x = zip(*self._chunks(params, rest, n), strict=True)
        with np.errstate(invalid="ignore"):  # the loss of a network that has diverged is nan
            log_loss = np.logaddexp.reduce(np.concatenate(log_losses)) - np.log(n)
        return Evaluation(
            float(log_loss),
            float(np.concatenate(right).mean()),
            np.concatenate(x).astype(np.float64),
        )

    def track(
        self,
        tracker: Tracker,
        step: int,
        found: Evaluation,
        params: Leaves,
        rest: Leaves,
        labels: np.ndarray,
    ) -> None:
        """Record what was found at this step; of the hidden layers, if the tracker wants them."""
        layer = self.network.last_layer(params, rest)
        features: Any = found.features
        if tracker.hidden is not None:
            chosen = tracker.rows(len(labels))
            features, labels = self.hidden(params, rest, chosen), labels[chosen]
        tracker.record(step, found.log_loss, features, labels, *layer)

    def hidden(
        self, params: Leaves, rest: Leaves, chosen: Int64[np.ndarray, " m"]
    ) -> dict[str, Float[np.ndarray, "m ..."]]:
        """Hidden activations of some rows by name, in the order of the layers."""
        if not self._names:
            self._names = _layer_names(self.network, params, rest, self.rows.x[:1])
        parts = [
            _hidden(self.network, params, rest, self.rows.x[some])
            for some in np.array_split(chosen, -(-len(chosen) // CHUNK))
        ]
        columns = zip(*parts, strict=True)
        return {
            name: np.concatenate([np.asarray(part) for part in column])
            for name, column in zip(self._names, columns, strict=True)
        }

    def _chunks(self, params: Leaves, rest: Leaves, n: int) -> Any:
        chunk = min(CHUNK, n)
        for start in range(0, n, chunk):
            # The last chunk is as wide as the others: what it repeats is cut off.
            first = min(start, n - chunk)
            found = _forward(self.network, chunk, params, rest, self.rows, first)
            yield tuple(np.asarray(values)[start - first :] for values in found)


@partial(jax.jit, static_argnums=(0, 1))
def _forward(
    network: Network, chunk: int, params: Leaves, rest: Leaves, rows: Rows, first: Any
) -> tuple[Float[Array, " m"], Any, Float[Array, "m d"]]:
    """ln of each row's loss, whether it is right, its penultimate features."""
    x, own = (jax.lax.dynamic_slice_in_dim(array, first, chunk) for array in rows)
    logits, hidden, _ = network(params, rest, split_batch(x))
    margins = logit_margins(logits.astype(jnp.float64), own)
    return log_row_losses(margins, "logistic"), margins.min(axis=1) > 0, hidden["penultimate"]


@partial(jax.jit, static_argnums=0)
def _hidden(network: Network, params: Leaves, rest: Leaves, x: Array) -> tuple[Array, ...]:
    return tuple(network(params, rest, x)[1].values())


def _layer_names(network: Network, params: Leaves, rest: Leaves, x: Array) -> tuple[str, ...]:
    """In the order of the layers, which the keys of a traced dict do not keep."""
    names: list[str] = []
    jax.eval_shape(lambda *given: names.extend(network(*given)[1]), params, rest, x)
    return tuple(names)
