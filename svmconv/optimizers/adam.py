"""Adam with moments that never underflow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from svmconv.errors import DataError
from svmconv.optimizers.optimizer import Scheduled
from svmconv.problem import Geometry


class _Moments(NamedTuple):
    """State of Adam; the true moments are e^log_loss m and (e^log_loss root)^2."""

    count: Any
    log_loss: Any
    m: Any
    root: Any


@dataclass(frozen=True)
class Adam(Scheduled):
    """Adam (Kingma & Ba, ICLR 2015) on L, with bias correction; step length rate (t + 1)^-power.

    The first moment and the root of the second are kept in units of L, so that eps = 0 goes on at
    any loss: there Adam does not feel the size of the gradient, only how it changes. An entry rests
    once its gradient is below 1e-308 of the loss. eps is added to the root of the second moment, as
    there.

    With eps = 0 it tends to the largest l_inf margin; with eps > 0 it turns from there to the l2
    margin once gradients are below eps. The memory of the second moment caps the fall of ln L with
    eps = 0 at -ln(b2) / 2 a step, whatever the rate: 5e-4 at the default b2, so that constant steps
    take long. On the three rows of docs/theory.md, section 3, Adam(0.01) has .72 of the largest
    l_inf margin after 200,000 steps, and with b2 = .99 it has .992 after 50,000.

    Raises DataError unless rate is a positive number, power in [0, 1], b1 and b2 in [0, 1) and eps
    zero or a positive number.
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

    @property
    def geometry(self) -> Geometry:
        """That of l_inf with eps = 0; with eps > 0 it turns to l2 once gradients are below eps."""
        return "l2" if self.eps else "linf"

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

            def averaged(m: Any, slope: Any) -> Any:
                return self.b1 * grown * m + (1.0 - self.b1) * slope

            def rooted(root: Any, slope: Any) -> Any:
                # Not the squares: where an entry fades beside the others they would underflow.
                kept, gained = math.sqrt(self.b2), math.sqrt(1.0 - self.b2)
                return jnp.hypot(kept * grown * root, gained * slope)

            m = jax.tree.map(averaged, state.m, slope)
            root = jax.tree.map(rooted, state.root, slope)
            length: Any = rate(state.count) if callable(rate) else rate
            floor = self.eps * jnp.exp(-log_loss) if self.eps else 0.0

            def step(m: Any, root: Any) -> Any:
                mean = m / (1.0 - self.b1**steps)
                size = root / jnp.sqrt(1.0 - self.b2**steps) + floor
                # An entry whose gradients were all zero stays.
                return -length * jnp.where((m == 0) | (size == 0), 0.0, mean / size)

            return jax.tree.map(step, m, root), _Moments(count, jnp.asarray(log_loss), m, root)

        return optax.GradientTransformationExtraArgs(init, update)
