"""The batch of every step of stochastic descent, as a function of a seed and the step alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from svmconv.errors import DataError
from svmconv.losses import Rows
from svmconv.optimizers import SGD


class Sampler(NamedTuple):
    """What the next batch depends on."""

    key: Key[Array, ""] | Array
    step: Int[Array, ""]
    order: Int[Array, " n"]
    """The rows in the order of this epoch; empty with replacement."""


def sampler(method: SGD, n: int) -> Sampler:
    """Before the first step. DataError where the batches do not fit the rows."""
    if method.batch > n:
        raise DataError(f"batch={method.batch}, but there are {n} rows: give at most as many")
    if not method.replacement and n % method.batch:
        raise DataError(
            f"batch={method.batch} does not divide the {n} rows: without replacement give a "
            "divisor, or replacement=True"
        )
    order = jnp.arange(0 if method.replacement else n)
    return Sampler(jax.random.PRNGKey(method.seed), jnp.zeros((), jnp.int64), order)


def draw(sampler: Sampler, rows: Rows, method: SGD) -> tuple[Rows, Sampler]:
    """The rows of the next step's batch, and the sampler after it."""
    key, step, order = sampler
    n, size = rows.x.shape[0], method.batch
    if method.replacement:
        chosen = jax.random.randint(jax.random.fold_in(key, step), (size,), 0, n)
    else:
        epoch, place = jnp.divmod(step, n // size)

        def shuffled() -> Any:
            return jax.random.permutation(jax.random.fold_in(key, epoch), n)

        order = jax.lax.cond(place == 0, shuffled, lambda: order)
        chosen = jax.lax.dynamic_slice(order, (place * size,), (size,))
    batch = Rows(rows.x[chosen], None if rows.own is None else rows.own[chosen])
    return batch, Sampler(key, step + 1, order)
