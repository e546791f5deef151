"""Methods whose implicit bias is the l2 margin: steps along the gradient itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from svmconv.errors import DataError
from svmconv.optimizers.optimizer import Optimizer, Scheduled
from svmconv.problem import check_counts


@dataclass(frozen=True)
class GD(Optimizer):
    """w <- w - rate grad L.

    The mean loss falls at every step while rate is below

        8 N / sigma_max(X)^2    logistic, two classes
        4 N / sigma_max(X)^2    logistic (softmax), K >= 3, whose Hessian is up to twice as large
        2 / (L max |x|^2)       exponential, L that of the start

    Raises DataError unless rate is a positive number.
    """


@dataclass(frozen=True)
class SGD(Optimizer):
    """w <- w - rate grad of the mean loss of `batch` rows, drawn by a generator of seed `seed`.

    Without replacement every epoch goes through the rows in a new random order, and `batch` must
    divide their number. A step lowers the loss of its batch while rate is below the limit of GD for
    those rows alone, which is never below 8 / max |x|^2 (logistic; 4 / max |x|^2 for K >= 3).

    Raises DataError unless rate is a positive number, batch an integer of at least 1, replacement a
    bool and seed an integer in [0, 2^63); and where it runs, if batch does not fit the rows.
    """

    batch: int = 1
    replacement: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(1, batch=self.batch)
        check_counts(0, seed=self.seed)
        if self.seed >= 2**63:
            raise DataError(f"seed must be below 2^63, got {self.seed!r}")


@dataclass(frozen=True)
class HeavyBall(Optimizer):
    """m <- momentum m + grad L; w <- w - rate m (Polyak, in torch's form).

    The step limit is 1 + momentum times that of GD; exact where the curvature stays as it is. The
    loss need not fall at every step.

    Raises DataError unless rate is a positive number and momentum in [0, 1).
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise DataError(f"momentum must be in [0, 1), got {self.momentum!r}")

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return optax.sgd(self.rate, momentum=self.momentum)

    @property
    def effective_rate(self) -> float:
        """rate / (1 - momentum)."""
        return self.rate / (1.0 - self.momentum)


@dataclass(frozen=True)
class NormalizedGD(Scheduled):
    """w <- w - rate (t + 1)^-power grad L / L, that is, descent on ln L (Ji & Telgarsky, ALT 2021).

    |w| grows like gamma times the total length of the steps. Stable in the end while the step
    length is below 2 / (gamma^2 lambda_max) of `sc.theory.constants`.

    Raises DataError unless rate is a positive number and power in [0, 1].
    """


class _Averaged(NamedTuple):
    """State of dual acceleration."""

    count: Any
    g: Any
    """The momentum, shaped like the parameters."""


@dataclass(frozen=True)
class DualAcceleration(Optimizer):
    """Momentum on the dual variables (Ji, Srebro, Telgarsky, ICML 2021).

    With h = -grad ln L, from w = g = 0, for t = 0, 1, ...: g <- t / (t + 1) (g + h), then
    w <- w + rate (g + h). Their rate is 1 / max |x|^2. |w| grows like gamma rate t^2 / 4. Stable in
    the end while rate is below (4/3) / (gamma^2 lambda_max) of `sc.theory.constants`.

    Raises DataError unless rate is a positive number.
    """

    on_log_loss: ClassVar[bool] = True

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""

        def init(params: Any) -> _Averaged:
            return _Averaged(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

        def update(slope: Any, state: _Averaged, params: Any = None) -> tuple[Any, _Averaged]:
            count = state.count.astype(float)
            g = jax.tree.map(lambda g, d: count / (count + 1.0) * (g - d), state.g, slope)
            step = jax.tree.map(lambda g, d: self.rate * (g - d), g, slope)
            return step, _Averaged(optax.safe_increment(state.count), g)

        return optax.GradientTransformation(init, update)

    def elapsed(self, steps: int) -> float:
        """rate steps (steps + 3) / 4: what |w| / gamma tends to."""
        return self.rate * steps * (steps + 3) / 4
