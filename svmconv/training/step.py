"""One step of minibatch training, and an epoch of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float64

from svmconv.interruption import finishing
from svmconv.losses import log_loss as log_mean_loss
from svmconv.training.network import Leaves, Network, Opened, Rows, loops_on_device, split_batch
from svmconv.training.objectives import Objective, logit_margins

Augment = Callable[[Array, Array], Array]
"""(key, rows (b, d)) -> rows (b, d)."""


class Stepper:
    """Takes a network's state (parameters, other state, optimizer's memory) through an epoch.

    Nothing but `seed` and the epoch decides the order of rows and the keys of `augment`.
    """

    def __init__(
        self,
        module: Opened,
        rows: Rows,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        batch: int,
        seed: int,
        augment: Augment | None,
    ) -> None:
        self.rows, self.batch, self.seed = rows, batch, seed
        self.full = batch == len(rows.x)
        named, _ = module.network.states(module.params, module.rest)
        memory, tree = jax.tree.flatten(optimizer.init(named))
        self.start: Leaves = (*module.params, *module.rest, *map(jnp.asarray, memory))
        step, looped, scanned = _programs(module.network, optimizer, tree, objective, augment)
        places = None if self.full else np.arange(batch)
        self.program = step.trace(self.start, rows, places, seed, 0, 0)
        self.run = scanned if loops_on_device(self.program) and not self.full else looped

    def epoch(self, state: Leaves, epoch: int) -> tuple[Leaves, float, float]:
        """All rows once: the state after it, ln of the mean cross-entropy, the mean objective.

        Both means are over the batches as they were trained on. The old state is given up.
        """
        seen, weights, index = [], [], 0
        for places in self._batches(epoch):
            state, values = self.run(state, self.rows, places, self.seed, epoch, index)
            seen.append(values)
            weights += [1.0 if self.full else places.shape[1] / len(self.rows.x)] * len(values)
            index += len(values)
        log_losses, objectives = np.concatenate(seen).T
        with np.errstate(invalid="ignore"):  # nan is reported by the caller, in words
            log_loss = np.logaddexp.reduce(log_losses + np.log(weights))
        return state, float(log_loss), float(objectives @ np.array(weights))

    def _batches(self, epoch: int) -> Iterator[Any]:
        """Places of rows, (steps, batch), then of those that are left, (1, fewer)."""
        if self.full:
            yield [None]
            return
        n = len(self.rows.x)
        order = np.asarray(_shuffled(self.seed, epoch, n))
        whole = n - n % self.batch
        yield order[:whole].reshape(-1, self.batch)
        if whole < n:
            yield order[None, whole:]


@lru_cache(maxsize=64)  # seeds of one architecture share their programs
def _programs(
    network: Network,
    optimizer: optax.GradientTransformation,
    memory_tree: Any,
    objective: Objective,
    augment: Augment | None,
) -> tuple[Any, Any, Any]:
    """A step; steps called one by one; steps as one program."""
    step = partial(_step, network, optimizer, memory_tree, objective, augment)
    jitted = jax.jit(step, donate_argnums=0)

    def looped(
        state: Leaves, rows: Rows, batches: Any, seed: int, epoch: int, index: int
    ) -> tuple[Leaves, Float64[np.ndarray, "steps 2"]]:
        values = []
        try:
            for i, places in enumerate(batches, index):
                with finishing():
                    state, value = jitted(state, rows, places, seed, epoch, i)
                values.append(value)
            return state, np.stack(values)
        except KeyboardInterrupt:
            jax.block_until_ready(state)  # steps that are under way
            raise

    def scanned(
        state: Leaves, rows: Rows, batches: Array, seed: Any, epoch: Any, index: Any
    ) -> tuple[Leaves, Float[Array, "steps 2"]]:
        numbered = batches, index + jnp.arange(len(batches))
        return jax.lax.scan(lambda s, b: step(s, rows, b[0], seed, epoch, b[1]), state, numbered)

    program = jax.jit(scanned, donate_argnums=0)

    def finished(*given: Any) -> tuple[Leaves, Float64[np.ndarray, "steps 2"]]:
        with finishing():
            state, values = program(*given)
            return state, np.asarray(values)

    return jitted, looped, finished


def _step(
    network: Network,
    optimizer: optax.GradientTransformation,
    memory_tree: Any,
    objective: Objective,
    augment: Augment | None,
    state: Leaves,
    rows: Rows,
    places: Any,
    seed: Any,
    epoch: Any,
    index: Any,
) -> tuple[Leaves, Float[Array, "2"]]:
    """The state after one batch; ln of its mean cross-entropy and its objective before it."""
    p = network.param_tree.num_leaves
    r = p + network.rest_tree.num_leaves
    params, rest, memory = state[:p], state[p:r], jax.tree.unflatten(memory_tree, state[r:])
    x, own = rows if places is None else (rows.x[places], rows.own[places])
    if augment is not None:
        x = augment(jax.random.fold_in(_keys(seed, epoch)[1], index), x)
    x, own = split_batch(x), split_batch(own)

    def value_of(params: Leaves) -> tuple[Float[Array, ""], tuple[Leaves, Array]]:
        logits, _, after = network(params, rest, x)
        logits = logits.astype(jnp.float64)
        log_loss = log_mean_loss(logit_margins(logits, own), "logistic")
        return objective(logits, own), (after, log_loss)

    (value, (rest, log_loss)), slope = jax.value_and_grad(value_of, has_aux=True)(params)
    named, named_slope = (network.states(leaves, rest)[0] for leaves in (params, slope))
    updates, memory = optimizer.update(named_slope, memory, named)
    params = jax.tree.leaves(optax.apply_updates(named, updates))
    return (*params, *rest, *jax.tree.leaves(memory)), jnp.stack([log_loss, value])


@partial(jax.jit, static_argnames="n")
def _shuffled(seed: Any, epoch: Any, n: int) -> Array:
    return jax.random.permutation(_keys(seed, epoch)[0], n)


def _keys(seed: Any, epoch: Any) -> Array:
    """One key for the order of rows, one for their augmentation."""
    return jax.random.split(jax.random.fold_in(jax.random.key(seed), epoch))
