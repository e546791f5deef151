"""Steps on log L over all rows, gathered chunk by chunk, each kept only if log L falls.

A relu network's log L has kinks. Across one the slope jumps, and a step down either side climbs the
other, however short it is. There a step that is taken back replaces the slope by the shortest
vector between those of the two sides, which lowers log L on both (a null step of Wolfe 1975, doi
10.1007/BFb0120703).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float

from svmconv.losses import log_row_losses
from svmconv.problem import Problem
from svmconv.training.network import (
    Leaves,
    Network,
    Opened,
    loops_on_device,
    replicated,
    split_batch,
)
from svmconv.training.objectives import logit_margins

UP, DOWN = 1.05, 0.5
KINK = 1e-6
"""A step that asks for a smaller fall of log L and is taken back is one across a kink; the next one
asks for as much as the first step did."""
PATIENCE = 400
"""Steps taken back in a row after which log L cannot be lowered: some twenty kinks at one place."""

Gathered = tuple[Float[Array, ""], Leaves]
"""ln of a sum of row losses, and its gradient."""


class State(NamedTuple):
    """All that the next step depends on."""

    params: Leaves
    slope: Leaves
    """Gradient of log L at params; at a kink, the shortest vector between those of its sides."""
    velocity: Leaves
    log_loss: Any
    rate: Any
    """The fall of log L that a step asks for, to first order."""
    first_rate: Any
    tried: Any
    """Steps, kept or not."""
    kept: Any
    failed: Any
    """Steps taken back since the last one that was kept."""


class Chunk(NamedTuple):
    """Rows on the device; `live` is False where a repeated row fills the last chunk up."""

    x: Float[Array, "*c m d"]
    own: Bool[Array, "*c m k"]
    live: Bool[Array, "*c m"]


class LogDescent:
    """The descent of one network on one problem; its other state does not move.

    Many steps are one program, unless there are convolutions on a CPU.
    """

    def __init__(self, module: Opened, problem: Problem, momentum: float, size: int) -> None:
        self.network, self.params, self.rest = module
        self.momentum = momentum
        chunks = _chunks(problem, module.dtype, size)
        apart = [Chunk(*rows) for rows in zip(*chunks, strict=True)]
        before = _nothing(self.params)
        self.program = _add.trace(self.network, before, self.params, self.rest, apart[0])
        self.on_device = loops_on_device(self.program)
        self.chunks = chunks if self.on_device and len(apart) > 1 else apart

    def start(self, rate: float) -> State:
        """Before the first step."""
        zero = jnp.zeros((), jnp.int64)
        still = tuple(map(jnp.zeros_like, self.params))
        log_loss, slope = self.log_loss_and_slope(self.params)
        first = jnp.asarray(rate)
        return State(self.params, slope, still, log_loss, first, first, zero, zero, zero)

    def log_loss_and_slope(self, params: Leaves) -> Gathered:
        """log L and its gradient."""
        gather = _gathered_on_device if self.on_device else _gathered
        return gather(self.network, params, self.rest, self.chunks)

    def advance(self, state: State, count: int, target: float) -> State:
        """Try `count` steps, or until log L is at most `target`, or no step lowers it."""
        rows = self.rest, self.chunks
        if self.on_device:
            return _many(self.network, state, *rows, self.momentum, count, target)
        left = count
        while left and _going(state, target):
            state = _attempt(self.network, state, *rows, self.momentum)
            left -= 1
        return state


@partial(jax.jit, static_argnums=0)
def _many(
    network: Network,
    state: State,
    rest: Leaves,
    chunks: Any,
    momentum: Any,
    count: Any,
    target: Any,
) -> State:
    """Steps as one program."""

    def go_on(carry: tuple[State, Any]) -> Any:
        return (carry[1] > 0) & _going(carry[0], target)

    def body(carry: tuple[State, Any]) -> tuple[State, Any]:
        return _attempt(network, carry[0], rest, chunks, momentum), carry[1] - 1

    return jax.lax.while_loop(go_on, body, (state, jnp.asarray(count)))[0]


def _going(state: State, target: Any) -> Any:
    """Whether another step makes sense: log L is above the target, and steps still lower it."""
    return (state.log_loss > target) & (state.failed < PATIENCE)


def _attempt(network: Network, state: State, rest: Leaves, chunks: Any, momentum: Any) -> State:
    """Try one step."""
    params, velocity = _proposed(state, momentum)
    return _decided(state, params, velocity, *_gathered(network, params, rest, chunks))


@jax.jit
def _proposed(state: State, momentum: Any) -> tuple[Leaves, Leaves]:
    """Parameters and velocity after a heavy-ball step whose gradient part lowers log L by `rate`.

    Dividing by |g|^2 makes the rate a number without units, near 0.1 however large the network.
    """
    square = sum(jnp.sum(jnp.square(g.astype(jnp.float64))) for g in state.slope)
    pairs = zip(state.velocity, state.slope, strict=True)
    velocity = [(momentum * v - state.rate / square * g).astype(g.dtype) for v, g in pairs]
    params = tuple(p + v for p, v in zip(state.params, velocity, strict=True))
    return params, tuple(velocity)


@jax.jit
def _decided(state: State, params: Leaves, velocity: Leaves, log_loss: Any, slope: Leaves) -> State:
    """The proposal if log L fell, otherwise the state as it was, at rest, at half the rate."""
    tried, failed = state.tried + 1, state.failed + 1
    fell = (log_loss < state.log_loss) & jnp.isfinite(log_loss)
    kept = state._replace(
        params=params, slope=slope, velocity=velocity, log_loss=log_loss, rate=state.rate * UP,
        tried=tried, kept=state.kept + 1, failed=0 * failed,
    )  # fmt: skip
    still = tuple(map(jnp.zeros_like, velocity))
    halved = state._replace(velocity=still, rate=state.rate * DOWN, tried=tried, failed=failed)
    turned = halved._replace(slope=_shortest(state.slope, slope), rate=state.first_rate)
    taken_back = _where((state.rate < KINK) & jnp.isfinite(log_loss), turned, halved)
    return _where(fell, kept, taken_back)


def _where(condition: Any, a: State, b: State) -> State:
    return jax.tree.map(lambda p, q: jnp.where(condition, p, q), a, b)


def _shortest(a: Leaves, b: Leaves) -> Leaves:
    """The shortest vector on the straight line from a to b."""
    wide = [[leaf.astype(jnp.float64) for leaf in leaves] for leaves in (a, b)]
    pairs = [(p, p - q) for p, q in zip(*wide, strict=True)]
    square = sum(jnp.sum(d * d) for _, d in pairs)
    share = sum(jnp.sum(p * d) for p, d in pairs) / jnp.where(square > 0, square, 1.0)
    share = jnp.clip(share, 0.0, 1.0)
    return tuple((p - share * d).astype(q.dtype) for (p, d), q in zip(pairs, a, strict=True))


def _gathered(network: Network, params: Leaves, rest: Leaves, chunks: Any) -> Gathered:
    """log L and its gradient: chunks in a list one by one, those in one array in a loop."""
    found, rows = _nothing(params), 0
    if isinstance(chunks, list):
        for chunk in chunks:
            found = _add(network, found, params, rest, chunk)
            rows += chunk.live.sum()
    else:
        add = lambda before, chunk: (_add(network, before, params, rest, chunk), None)  # noqa: E731
        found, _ = jax.lax.scan(add, found, chunks)
        rows = chunks.live.sum()
    log_sum, slope = found
    return log_sum - jnp.log(rows), slope


_gathered_on_device = jax.jit(_gathered, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _add(
    network: Network, before: Gathered, params: Leaves, rest: Leaves, chunk: Chunk
) -> Gathered:
    """A chunk more: sums and their gradients combine under the softmax of their logarithms."""
    log_sum, slope = before

    def of_chunk(params: Leaves) -> Float[Array, ""]:
        logits = network(params, rest, split_batch(chunk.x))[0].astype(jnp.float64)
        log_losses = log_row_losses(logit_margins(logits, chunk.own), "logistic")
        return logsumexp(jnp.where(chunk.live, log_losses, -jnp.inf))

    more, its_slope = jax.value_and_grad(of_chunk)(params)
    both = jnp.logaddexp(log_sum, more)
    share, its_share = jnp.exp(log_sum - both), jnp.exp(more - both)
    pairs = zip(slope, its_slope, strict=True)
    return both, tuple((share * a + its_share * b).astype(a.dtype) for a, b in pairs)


def _nothing(params: Leaves) -> Gathered:
    """The sum over no rows."""
    return jnp.asarray(-jnp.inf, jnp.float64), tuple(map(jnp.zeros_like, params))


def _chunks(problem: Problem, dtype: np.dtype, size: int) -> Chunk:
    """All rows in chunks of equal size, the last one filled up with copies of the first row."""
    count = -(-problem.n // size)
    place = np.arange(count * size)
    row = np.where(place < problem.n, place, 0)
    flat = replicated((problem.x[row].astype(dtype), problem.own[row], place < problem.n))
    return Chunk(*(a.reshape(count, size, *a.shape[1:]) for a in flat))
