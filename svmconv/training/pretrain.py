"""Greedy layer-wise pre-training of a deep belief network by contrastive divergence.

Hinton, Osindero and Teh (Neural Computation 2006); Hinton (Neural Computation 2002) for the
divergence, and his practical guide (UTML TR 2010-003) for the start of the visible biases.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Float64, Int

from svmconv.errors import DataError, DivergedError
from svmconv.interruption import finishing
from svmconv.models.dbn import DBN
from svmconv.problem import Problem, check_counts, check_problem
from svmconv.progress import progress_bar


class RBM(NamedTuple):
    """Binary units of probability exp(-E(v, h)) / Z, E(v, h) = -b . v - c . h - v . W h."""

    w: Float[Array | np.ndarray, "d m"]
    b: Float[Array | np.ndarray, " d"]
    """Biases of the visible units v (d,)."""
    c: Float[Array | np.ndarray, " m"]
    """Biases of the hidden units h (m,)."""


class Pretraining(NamedTuple):
    """What pre-training leaves behind, besides the network itself."""

    rbms: tuple[RBM, ...]
    """From the bottom up, as numpy arrays; the network has their w and c."""
    reconstruction: Float64[np.ndarray, "layers epochs"]
    """Mean of (v - E[v | h = E[h | v]])^2 over rows and units after each epoch."""


def pretrain(
    module: DBN,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    *,
    epochs: int,
    batch: int | None = None,
    k: int = 1,
    seed: int = 0,
) -> Pretraining:
    """Train the layers of `module` in place as RBMs, the lowest first, each for `epochs` epochs.

    Every step follows CD-k on `batch` rows (None: all); rows that fill no batch of the shuffled
    epoch wait for the next. Pixels must be in [0, 1] and are taken as probabilities; a layer above
    sees the conditional means of the one below. Weights start as they are in the module, visible
    biases at the log odds of the rows' means. `seed` decides the order of rows and all draws.
    Labels are not looked at, and the head and a penultimate layer of their own stay as they are.
    Raises DataError on other pixels or another network, DivergedError where weights are not finite.
    """
    check_problem(problem)
    check_counts(0, seed=seed)
    check_counts(1, epochs=epochs, k=k, **({} if batch is None else {"batch": batch}))
    _check_fit(module, problem, optimizer, batch)
    layers = list(module.body)[: module.depth]
    rbms, errors = [], []
    with (
        jax.enable_x64(True),
        progress_bar(f"RBMs on {problem.name}", len(layers) * epochs) as show,
    ):
        v = jnp.asarray(problem.x, layers[0].kernel[...].dtype)
        for number, layer in enumerate(layers):
            rbm, memory = _start(layer, v, optimizer)
            for epoch in range(epochs):
                key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), number), epoch)
                order, draws = jax.random.split(key)
                with finishing():
                    places = _batches(order, problem.n, batch or problem.n)
                    rbm, memory, error = _epoch(rbm, memory, v, places, draws, optimizer, k)
                    errors.append(float(error))
                _check_finite(rbm, number, epoch)
                show(number * epochs + epoch + 1, f"reconstruction {errors[-1]:.4g}")
            rbms.append(rbm)
            v = hidden_means(rbm, v)
        for layer, rbm in zip(layers, rbms, strict=True):
            assert layer.bias is not None
            layer.kernel[...], layer.bias[...] = rbm.w, rbm.c
    kept = tuple(RBM(*map(np.asarray, rbm)) for rbm in rbms)
    return Pretraining(kept, np.array(errors).reshape(len(layers), epochs))


def hidden_means(rbm: RBM, v: Float[Array, "n d"]) -> Float[Array, "n m"]:
    """E[h | v] = sigmoid(c + v W) of each row."""
    return jax.nn.sigmoid(rbm.c[None] + jnp.dot(v, rbm.w))


def visible_means(rbm: RBM, h: Float[Array, "n m"]) -> Float[Array, "n d"]:
    """E[v | h] = sigmoid(b + W h) of each row."""
    return jax.nn.sigmoid(rbm.b[None] + jnp.dot(h, jnp.transpose(rbm.w)))


def free_energy(rbm: RBM, v: Float[Array, "n d"]) -> Float[Array, " n"]:
    """F(v) = -ln sum_h exp(-E(v, h)) = -b . v - sum softplus(c + v W) of each row.

    ln p(v) = -F(v) - ln Z, so differences of F are exact log-likelihood ratios.
    """
    return -jnp.dot(v, rbm.b) - jax.nn.softplus(rbm.c[None] + jnp.dot(v, rbm.w)).sum(axis=-1)


def contrastive_divergence(
    rbm: RBM, v: Float[Array, "n d"], key: Array, k: int | Int[Array, ""]
) -> RBM:
    """The CD-k estimate of the gradient of the mean log-likelihood of the rows v.

    <v E[h | v]> of the rows less that after k sweeps of Gibbs sampling that start from them. All
    units are drawn, so that the mean over draws tends to the exact gradient as k grows; the last
    hidden units enter by their means, which leaves the mean as it is and lowers the variance.
    """

    def drawn(means: Array, uniform: Array) -> Array:
        return (uniform < means).astype(means.dtype)

    def sweep(number: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        _, means = state
        # One draw for both layers: to compile a draw takes longer than all the rest.
        shape = len(means), sum(rbm.w.shape)
        uniform = jax.random.uniform(jax.random.fold_in(key, number), shape, means.dtype)
        above, below = jnp.split(uniform, [means.shape[1]], axis=1)
        fantasy = drawn(visible_means(rbm, drawn(means, above)), below)
        return fantasy, hidden_means(rbm, fantasy)

    h = hidden_means(rbm, v)
    fantasy, after = jax.lax.fori_loop(0, k, sweep, (v, h))
    n = len(v)
    return RBM(
        (v.T @ h - fantasy.T @ after) / n, (v - fantasy).mean(axis=0), (h - after).mean(axis=0)
    )


def _check_fit(
    module: DBN, problem: Problem, optimizer: optax.GradientTransformation, batch: int | None
) -> None:
    """Raise DataError unless the network, its rows and the rest go together."""
    if not isinstance(module, DBN):
        raise DataError(f"expected a DBN, got a {type(module).__name__}: others are not RBMs")
    if not isinstance(optimizer, optax.GradientTransformation):
        raise DataError(f"optimizer must be one of optax, such as sgd(0.1), got {optimizer!r}")
    pixels = math.prod(module.shape)
    if problem.d != pixels:
        raise DataError(f"this network takes rows of {pixels} pixels, got {problem.d}")
    if problem.x.min() < 0 or problem.x.max() > 1:
        raise DataError("pixels must be in [0, 1] to be probabilities: shift and divide them")
    if batch is not None and batch > problem.n:
        raise DataError(f"batch={batch}, but there are {problem.n} rows: give at most as many")


def _check_finite(rbm: RBM, number: int, epoch: int) -> None:
    if not all(np.isfinite(leaf).all() for leaf in rbm):
        raise DivergedError(
            f"pre-training of layer {number + 1} diverged in epoch {epoch + 1}: lower the "
            "optimizer's rate"
        )


def _start(
    layer: nnx.Linear, v: Float[Array, "n d"], optimizer: optax.GradientTransformation
) -> tuple[RBM, Any]:
    """The layer's own weights; visible biases that fit the means, with half a row of each value."""
    assert layer.bias is not None
    on = (v.sum(axis=0) + 0.5) / (len(v) + 1)
    rbm = RBM(layer.kernel[...], jnp.log(on) - jnp.log1p(-on), layer.bias[...])
    return rbm, optimizer.init(rbm)


@partial(jax.jit, static_argnames=("n", "batch"))
def _batches(key: Array, n: int, batch: int) -> Int[Array, "steps {batch}"]:
    """Places of the shuffled rows, as far as they fill batches."""
    return jax.random.permutation(key, n)[: n - n % batch].reshape(-1, batch)


@partial(jax.jit, static_argnames="optimizer")
def _epoch(
    rbm: RBM,
    memory: Any,
    v: Float[Array, "n d"],
    places: Int[Array, "steps batch"],
    key: Array,
    optimizer: optax.GradientTransformation,
    k: int | Int[Array, ""],
) -> tuple[RBM, Any, Float[Array, ""]]:
    """The RBM and the optimizer's memory after a step for each batch; its reconstruction error."""

    def step(state: tuple[RBM, Any], given: tuple[Array, Array]) -> tuple[tuple[RBM, Any], None]:
        rbm, memory = state
        rows, number = given
        slope = contrastive_divergence(rbm, v[rows], jax.random.fold_in(key, number), k)
        updates, memory = optimizer.update(jax.tree.map(jnp.negative, slope), memory, rbm)
        return (RBM(*optax.apply_updates(rbm, updates)), memory), None

    (rbm, memory), _ = jax.lax.scan(step, (rbm, memory), (places, jnp.arange(len(places))))
    error = jnp.square(v - visible_means(rbm, hidden_means(rbm, v))).mean()
    return rbm, memory, error
