"""Many descents of one shape at once: vectorised over runs, divided among the devices.

The result of a run is that of `descend` up to rounding. It does not depend on the number of
devices, nor on how the runs beside it end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from svmconv import losses
from svmconv.devices import compiled, placed, sharded
from svmconv.dynamics.descent import first_state, one_step, prepared
from svmconv.dynamics.recording import Ensemble
from svmconv.errors import DataError
from svmconv.interruption import finishing
from svmconv.optimizers import SGD, Optimizer
from svmconv.problem import Bias, Loss, Problem

CACHE = 128_000
"""Bytes of rows that a group of runs may have: with all that a step makes of them they stay in half
a megabyte, a core's share of the second cache. Of FEW features it makes half as much."""
WIDEST = 256
"""Runs of a group at most: by then the price of starting each operation is spread thin."""
SHARES = 4
"""Groups at least, so that as many devices have something to do."""
_BLOCK_WORK = 3e8
"""Row-features per uninterrupted block: about a second, so that Ctrl-C is heard."""


def descents(
    problems: Sequence[Problem],
    optimizers: Sequence[Optimizer],
    stops: Int[np.ndarray, " t"],
    *,
    loss: Loss = "logistic",
    bias: Bias = "none",
    bias_scales: Sequence[float],
) -> Ensemble:
    """Full-batch (or SGD's) descents from zero, recorded at the steps `stops`, rising from 0.

    Problems are of one shape (n, d, K); optimizers differ in rate and seed only. Results are alike
    to the last bit where as many runs are together: pad to a common number.
    """
    method = _alike(optimizers)
    each = zip(problems, bias_scales, strict=True)
    x = np.stack([losses.host_rows(problem, bias, c) for problem, c in each])
    own = None if problems[0].binary else np.stack([problem.own for problem in problems])
    k = () if problems[0].binary else (problems[0].n_classes,)
    count, group = len(problems), group_of(len(problems), *x.shape[1:])
    with jax.enable_x64(True):
        w = np.zeros((count, *k, x.shape[2]))
        state = _first_states(jnp.asarray(w[0]), x.shape[1], optimizers)
        rates = np.array([optimizer.rate for optimizer in optimizers])
        rows = losses.Rows(x, own)  # pyright: ignore[reportArgumentType]
        w, state, rates, rows = placed((w, state, rates, rows), count, group)
        block = max(1, int(_BLOCK_WORK / x.size))
        step, records = 0, []
        for stop in stops.tolist():
            while step < stop:
                span = placed(np.tile([step, min(stop, step + block)], (count, 1)), count, group)
                with finishing():
                    w, state = jax.block_until_ready(
                        _advance(w, state, rows, rates, span, method, loss, group)
                    )
                step = min(stop, step + block)
            records.append(jax.tree.map(np.asarray, (w, *_observe(w, rows, loss, group))))
        return Ensemble(*(np.stack(column, axis=1) for column in zip(*records, strict=True)))


def group_of(runs: int, n: int, p: int) -> int:
    """Runs of a group: a power of two that divides `runs`, and on a CPU fits the cache.

    On a CPU it is the same for any number of devices. A GPU would idle in small groups: there each
    device takes one, and the last bits may depend on how many devices there are.
    """
    if jax.default_backend() == "cpu":
        cache = CACHE if p > losses.FEW else 2 * CACHE
        fitting = max(1, min(WIDEST, cache // (8 * n * p), runs // SHARES))
    else:
        fitting = max(1, runs // jax.device_count())
    return min(1 << (fitting.bit_length() - 1), runs & -runs)


def _first_states(w: Any, n: int, optimizers: Sequence[Optimizer]) -> Any:
    """States before the first step, along the runs; each of its own where there are seeds."""
    alike = not isinstance(optimizers[0], SGD)
    states = [first_state(w, n, optimizer) for optimizer in optimizers[: 1 if alike else None]]
    states *= len(optimizers) if alike else 1
    return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


@compiled
def _advance(
    w: Any, state: Any, rows: losses.Rows, rates: Any, span: Any,
    method: Optimizer, loss: Loss, group: int,
) -> tuple[Any, Any]:  # fmt: skip
    """Weights and states; all runs go from step span[0] to span[1]."""

    def steps(w: Any, state: Any, rows: losses.Rows, rates: Any, span: Any) -> tuple[Any, Any]:
        def one(w: Any, state: Any, x: Any, own: Any, rate: Any, step: Any) -> tuple[Any, Any]:
            if isinstance(method, SGD):  # one count for all runs: a cond then stays one
                state = state[0], state[1]._replace(step=step)
            return one_step(w, state, ready._replace(x=x, own=own), method.at_rate(rate), loss)

        def body(step: Any, at: tuple[Any, Any]) -> tuple[Any, Any]:
            over = jax.vmap(one, in_axes=(0, 0, 0, 0, 0, None))
            return over(*at, ready.x, ready.own, rates, step)

        # What is not an array is the same for all runs.
        ready = eqx.filter_vmap(lambda rows: prepared(rows, method))(rows)
        return jax.lax.fori_loop(span[0, 0], span[0, 1], body, (w, state))

    return sharded(steps, len(w), group)(w, state, rows, rates, span)


@eqx.filter_jit
def _observe(w: Any, rows: losses.Rows, loss: Loss, group: int) -> tuple[Any, Any]:
    def one(w: Any, rows: losses.Rows) -> tuple[Any, Any]:
        margins = losses.pair_margins(w, rows)
        return losses.smallest_margin(margins), losses.log_loss(margins, loss)

    return sharded(jax.vmap(one), len(w), group)(w, rows)


def _alike(optimizers: Sequence[Optimizer]) -> Optimizer:
    """What they have in common, at rate 1 and seed 0. DataError if they differ in more."""
    blank: dict[str, Any] = {"rate": 1.0}
    if isinstance(optimizers[0], SGD):
        blank["seed"] = 0
    found = {replace(optimizer, **blank) for optimizer in optimizers}
    if len(found) > 1:
        raise DataError(f"runs of one ensemble may differ in rate and seed only, got {found}")
    return found.pop()
