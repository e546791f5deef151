"""Adam with moments that never underflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from svmconv.errors import DataError
from svmconv.optimizers.optimizer import Scheduled


class _Moments(NamedTuple):
    """State of Adam; the true moments are e^log_loss m and e^(2 log_loss) v."""

    count: Any
    log_loss: Any
    m: Any
    v: Any


@dataclass(frozen=True)
class Adam(Scheduled):
    """Adam (Kingma & Ba, ICLR 2015) on L, with bias correction; step length rate (t + 1)^-power.

    The moments are kept in units of L and L^2, so that eps = 0 goes on at any loss: there Adam does
    not feel the size of the gradient, only how it changes. eps is added to the root of the second
    moment, as there.
    """

    b1: float = 0.9
    b2: float = 0.999
    eps: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.b1 < 1 and 0 <= self.b2 < 1):
            raise DataError(f"b1 and b2 must be in [0, 1), got {self.b1!r} and {self.b2!r}")
        if not 0 <= self.eps < float("inf"):
            raise DataError(f"eps must be zero or a positive number, got {self.eps!r}")

    def build(self) -> optax.GradientTransformationExtraArgs:
        """The optax transformation; its update takes the keyword log_loss."""
        rate = self.schedule

        def init(params: Any) -> _Moments:
            zero = jax.tree.map(jnp.zeros_like, params)
            return _Moments(jnp.zeros((), jnp.int32), jnp.zeros(()), zero, zero)

        def update(
            slope: Any, state: _Moments, params: Any = None, *, log_loss: Any, **_: Any
        ) -> tuple[Any, _Moments]:
            first = state.count == 0
            grown = jnp.where(first, 1.0, jnp.exp(state.log_loss - log_loss))
            count = optax.safe_increment(state.count)
            steps = count.astype(float)
            m = _averaged(state.m, slope, 1, self.b1, grown)
            v = _averaged(state.v, slope, 2, self.b2, grown)
            length: Any = rate(state.count) if callable(rate) else rate
            floor = self.eps * jnp.exp(-log_loss) if self.eps else 0.0

            def step(m: Any, v: Any) -> Any:
                mean, root = m / (1.0 - self.b1**steps), jnp.sqrt(v / (1.0 - self.b2**steps))
                # An entry whose gradients were all zero stays.
                return -length * jnp.where(m == 0, 0.0, mean / (root + floor))

            return jax.tree.map(step, m, v), _Moments(count, jnp.asarray(log_loss), m, v)

        return optax.GradientTransformationExtraArgs(init, update)


def _averaged(moment: Any, slope: Any, order: int, share: float, grown: Any) -> Any:
    """A moment after one gradient more, in units of the loss as it is now."""
    kept = share * grown**order
    return jax.tree.map(lambda old, d: kept * old + (1.0 - share) * d**order, moment, slope)
