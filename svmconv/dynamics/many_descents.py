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
from jaxtyping import Float64, Int

from svmconv import losses
from svmconv.devices import sharded
from svmconv.dynamics.descent import first_state, one_step
from svmconv.dynamics.recording import Ensemble
from svmconv.dynamics.skipping import kept, needed
from svmconv.errors import DataError
from svmconv.interruption import finishing
from svmconv.optimizers import SGD, Optimizer
from svmconv.problem import Bias, Loss, Problem

CACHE = 400_000
"""Bytes of rows that a group of runs may have, to stay in a core's second cache."""
WIDEST = 256
"""Runs of a group at most: by then the price of starting each operation is spread thin."""
SHARES = 4
"""Groups at least, so that as many devices have something to do."""
HASTE = 2.0
"""A stretch is allowed this many times the speed of the one before; a run seldom gets faster."""
STRETCHES = 1, 4, 16
"""Into so many is the way to the next recording cut, if that lets rows be left out."""
SHORTEST = 64
"""Steps of a stretch at least: looking at all rows before it must not cost more than it saves."""
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
    with jax.enable_x64(True):
        return _Descents(problems, optimizers, loss, bias, bias_scales).to(stops)


def group_of(runs: int, row_bytes: int) -> int:
    """Runs of a group: a power of two, at most `runs`, that fits the cache on a CPU."""
    if jax.default_backend() != "cpu":
        return max(1, runs // jax.device_count())
    fitting = max(1, min(WIDEST, CACHE // row_bytes, runs // SHARES))
    return 1 << (fitting.bit_length() - 1)


class _Descents:
    """Descents on their way: rows on the host, weights and states on the devices."""

    def __init__(
        self,
        problems: Sequence[Problem],
        optimizers: Sequence[Optimizer],
        loss: Loss,
        bias: Bias,
        bias_scales: Sequence[float],
    ) -> None:
        self.loss: Loss = loss
        each = zip(problems, bias_scales, strict=True)
        self.x = np.stack([losses.host_rows(p, bias, c) for p, c in each])
        self.own = None if problems[0].binary else np.stack([p.own for p in problems])
        self.rivals = 1 if self.own is None else self.own.shape[2] - 1
        self.sizes = np.linalg.norm(self.x, axis=2) * (1.0 if self.own is None else np.sqrt(2.0))
        self.method = _alike(optimizers)
        self.rates = np.array([optimizer.rate for optimizer in optimizers])
        k = () if problems[0].binary else (problems[0].n_classes,)
        self.w = np.zeros((len(problems), *k, self.x.shape[2]))
        self.state = self._first_states(optimizers)
        self.all_rows = self._placed(None)
        self._seen: tuple[Any, Any] | None = None

    def _first_states(self, optimizers: Sequence[Optimizer]) -> Any:
        w, n = jnp.asarray(self.w[0]), self.x.shape[1]
        if isinstance(self.method, SGD):  # each has a seed of its own
            states = [first_state(w, n, optimizer) for optimizer in optimizers]
            return jax.tree.map(lambda *leaves: np.stack(leaves), *states)
        one = first_state(w, n, self.method)
        return jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], len(self.w), 0), one)

    def to(self, stops: Int[np.ndarray, " t"]) -> Ensemble:
        """Go on to the last stop and tell all of them."""
        step, speed, records = 0, np.full(len(self.w), np.inf), []
        for stop in stops.tolist():
            before, begun = self.w, step
            while step < stop:
                step += self._block(step, stop - step, speed)
            if step > begun:
                with np.errstate(invalid="ignore", over="ignore"):
                    moved = np.linalg.norm((self.w - before).reshape(len(before), -1), axis=1)
                    speed = moved / (step - begun)
            margins, log_loss = self._observed()
            records.append((self.w, margins.min(axis=1), log_loss))
        weights, margin, log_loss = (np.stack(v, axis=1) for v in zip(*records, strict=True))
        return Ensemble(weights, margin, log_loss)

    def _block(self, step: int, left: int, speed: Float64[np.ndarray, " run"]) -> int:
        """Take up to `left` steps, on fewer rows where that changes nothing; how many."""
        count, chosen, reach = self._fewer_rows(left, speed)
        rows = self.all_rows if chosen is None else self._placed(chosen)
        count = min(count, max(1, int(_BLOCK_WORK / rows[0].size)))
        w, state, path = self._advanced(step, count, rows)
        if chosen is not None and (path > reach).any():
            w, state, _ = self._advanced(step, count, self.all_rows)
        self.w, self.state, self._seen = w, state, None
        return count

    def _fewer_rows(
        self, left: int, speed: Float64[np.ndarray, " run"]
    ) -> tuple[int, Int[np.ndarray, "run m"] | None, Float64[np.ndarray, " run"]]:
        """For how many steps, on which rows, while no run moves further than what."""
        if not isinstance(self.method, SGD) and np.isfinite(speed).any():
            margins, _ = self._observed()
            for count in (left // share for share in STRETCHES if left // share >= SHORTEST):
                reach = np.where(np.isfinite(speed), HASTE * speed * count, 0.0)
                chosen = kept(margins, needed(margins, self.sizes, reach, self.rivals))
                if chosen is not None:
                    return count, chosen, reach
        return left, None, np.full_like(speed, np.inf)

    def _advanced(self, step: int, count: int, rows: tuple[Any, Any]) -> tuple[Any, Any, Any]:
        group = group_of(len(self.w), rows[0][0].nbytes)
        span = np.tile([step, step + count], (len(self.w), 1))
        with finishing():
            return jax.tree.map(
                np.asarray,
                _advance(
                    self.w, self.state, rows, self.rates, span,
                    self.method, float(self.x.shape[1]), self.loss, group,
                ),
            )  # fmt: skip

    def _observed(self) -> tuple[Float64[np.ndarray, "run n"], Float64[np.ndarray, " run"]]:
        """Every row's hardest margin, and ln L."""
        seen = self._seen
        if seen is None:
            group = group_of(len(self.w), self.all_rows[0][0].nbytes)
            found = _observe(self.w, self.all_rows, self.loss, group)
            seen = self._seen = jax.tree.map(np.asarray, found)
        return seen

    def _placed(self, chosen: Int[np.ndarray, "run m"] | None) -> tuple[Any, Any]:
        """Rows (run, p, m), whose products vectorise over rows, and whose class each is."""
        x, own = self.x, self.own
        if chosen is not None:
            x = np.take_along_axis(x, chosen[:, :, None], axis=1)
            own = None if own is None else np.take_along_axis(own, chosen[:, :, None], axis=1)
        return np.ascontiguousarray(x.swapaxes(1, 2)), own


@eqx.filter_jit
def _advance(
    w: Any, state: Any, rows: Any, rates: Any, span: Any,
    method: Optimizer, count: float, loss: Loss, group: int,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Weights, states and lengths of the paths; all runs go from step span[0] to span[1]."""

    def one(w: Any, state: Any, rows: Any, rate: Any, step: Any) -> tuple[Any, Any, Any]:
        whole = losses.Rows(rows[0].T, rows[1], count)
        if isinstance(method, SGD):  # one count for all runs: a cond then stays one
            state = state[0], state[1]._replace(step=step)
        new, state = one_step(w, state, whole, method.at_rate(rate), loss)
        return new, state, jnp.linalg.norm((new - w).ravel())

    def steps(w: Any, state: Any, rows: Any, rates: Any, span: Any) -> tuple[Any, Any, Any]:
        def body(step: Any, carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            w, state, path = carry
            w, state, moved = jax.vmap(one, in_axes=(0, 0, 0, 0, None))(w, state, rows, rates, step)
            return w, state, path + moved

        return jax.lax.fori_loop(span[0, 0], span[0, 1], body, (w, state, jnp.zeros(len(w))))

    return sharded(steps, len(w), group)(w, state, rows, rates, span)


@eqx.filter_jit
def _observe(w: Any, rows: Any, loss: Loss, group: int) -> tuple[Any, Any]:
    def one(w: Any, rows: Any) -> tuple[Any, Any]:
        margins = losses.pair_margins(w, losses.Rows(rows[0].T, rows[1]))
        return margins.min(axis=1), losses.log_loss(margins, loss)

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
