"""Full-batch training of a network, its loss kept in margin form and in the log domain."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Float64, PyTree

from svmconv.errors import DivergedError
from svmconv.losses import log_loss
from svmconv.problem import Problem
from svmconv.training.evaluate import features as features
from svmconv.training.network import opened
from svmconv.training.objectives import logit_margins as logit_margins


class Fit(NamedTuple):
    """What training leaves behind, besides the trained module itself."""

    log_loss: Float64[np.ndarray, " steps+1"]
    """ln of the mean softmax cross-entropy before each step, and after the last."""
    accuracy: float
    """Share of rows whose own logit is strictly the largest, after the last step."""


def fit(
    module: nnx.Module, problem: Problem, optimizer: optax.GradientTransformation, steps: int
) -> Fit:
    """Train `module` in place: full batch, softmax cross-entropy, `steps` steps, in float64.

    `module(x)` returns (logits (n, K), hidden activations), as the networks of svmconv.models do.
    The loss is l = softplus(logsumexp_{k != y}(z_k - z_y)), whose gradient stays right down to
    l = e^-708; logsumexp(z) - z_y, optax's form, loses that of the own logit at e^-36. Raises
    DataError where the logits do not fit the classes, DivergedError where the loss is not finite.
    """
    with jax.enable_x64(True):
        x, own = jnp.asarray(problem.x), jnp.asarray(problem.own)
        module.train()
        graph, params, rest = nnx.split(module, nnx.Param, ...)
        opened(module, problem, training=True)  # checks the logits
        params, rest, history, accuracy = _descend(graph, optimizer, steps, params, rest, x, own)
        nnx.update(module, params, rest)
        found = Fit(np.asarray(history), float(accuracy))
    if not np.isfinite(found.log_loss).all():
        step = int(np.argmin(np.isfinite(found.log_loss)))
        raise DivergedError(f"training diverged at step {step}: lower the optimizer's rate")
    return found


@partial(jax.jit, static_argnames=("graph", "optimizer", "steps"))
def _descend(
    graph: Any,
    optimizer: optax.GradientTransformation,
    steps: int,
    params: PyTree,
    rest: PyTree,
    x: Float[Array, "n d"],
    own: Bool[Array, "n k"],
) -> tuple[PyTree, PyTree, Float[Array, " _"], Float[Array, ""]]:
    """The training loop as one program: final parameters, other state, log-losses, accuracy.

    The gradient of L is taken as L grad log L: losses.log_loss holds the margin form.
    """

    def forward(params: PyTree, rest: PyTree) -> tuple[Float[Array, ""], tuple[PyTree, Array]]:
        module = nnx.merge(graph, params, rest, copy=True)
        margins = logit_margins(module(x)[0].astype(jnp.float64), own)
        return log_loss(margins, "logistic"), (nnx.state(module, nnx.Not(nnx.Param)), margins)

    def step(carry: PyTree, _: None) -> tuple[PyTree, Float[Array, ""]]:
        params, rest, memory = carry
        (value, (rest, _margins)), slope = jax.value_and_grad(forward, has_aux=True)(params, rest)
        slope = jax.tree.map(lambda g: jnp.exp(value).astype(g.dtype) * g, slope)
        updates, memory = optimizer.update(slope, memory, params)
        return (optax.apply_updates(params, updates), rest, memory), value

    start = params, rest, optimizer.init(params)
    (params, rest, _), history = jax.lax.scan(step, start, length=steps)
    last, (_, margins) = forward(params, rest)
    return params, rest, jnp.append(history, last), jnp.mean(margins.min(axis=1) > 0, dtype=float)
