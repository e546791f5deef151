"""What every named method is: a frozen dataclass that builds an optax transformation."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import optax

from svmconv.errors import DataError
from svmconv.problem import Geometry, check_real


@dataclass(frozen=True)
class Optimizer:
    """Base of the methods svmconv knows by name.

    `on_log_loss` says which gradient the transformation receives: that of L, or that of ln L
    (grad L / L), which stays of order one when L has underflowed; beside the latter its update
    takes the keyword log_loss = ln L.
    """

    rate: float
    on_log_loss: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float":
                check_real(**{field.name: value})
            elif field.type == "bool" and not isinstance(value, bool):
                raise DataError(f"{field.name} must be True or False, got {value!r}")
        if not 0 < self.rate < float("inf"):
            raise DataError(f"rate must be a positive number, got {self.rate!r}")

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return optax.sgd(self.rate)

    @property
    def geometry(self) -> Geometry:
        """The norm whose margin it maximises in the end."""
        return "l2"

    def at_rate(self, rate: Any) -> Optimizer:
        """The same method at a rate that JAX may be tracing, and so is not checked."""
        method = copy(self)
        object.__setattr__(method, "rate", rate)
        return method

    @property
    def effective_rate(self) -> float:
        """Step length per iteration once momentum has built up: the rate of theory.md's tau."""
        return self.rate

    def elapsed(self, steps: int) -> float:
        """The time t of a trajectory's log1p_t after so many steps: their total length."""
        return self.effective_rate * steps


@dataclass(frozen=True)
class Scheduled(Optimizer):
    """A method on ln L whose step t = 0, 1, ... has length rate (t + 1)^-power."""

    power: float = 0.0
    on_log_loss: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.power <= 1:
            raise DataError(f"power must be in [0, 1], got {self.power!r}")

    @property
    def schedule(self) -> Any:
        """Step length, as optax takes it: a number (which JAX may be tracing) or a schedule."""
        if self.power == 0:
            return self.rate
        return lambda count: self.rate * (1.0 + count.astype(float)) ** -self.power

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return optax.sgd(self.schedule)

    def elapsed(self, steps: int) -> float:
        """rate (1 + 2^-power + ... + steps^-power)."""
        if self.power == 0:
            return self.rate * steps
        return float(self.rate * (np.arange(1.0, steps + 1.0) ** -self.power).sum())
