"""Descent methods as frozen dataclasses; each builds the optax transformation it stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import optax

from svmconv.errors import DataError


@dataclass(frozen=True)
class Optimizer:
    """Base of the methods svmconv knows by name.

    `on_log_loss` says which gradient the transformation receives: that of L, or that of ln L
    (grad L / L), which stays of order one when L has underflowed.
    """

    rate: float
    on_log_loss: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise DataError(f"rate must be a positive number, got {self.rate!r}")

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return optax.sgd(self.rate)

    @property
    def effective_rate(self) -> float:
        """Step length per iteration once momentum has built up: the rate of theory.md's tau."""
        return self.rate


@dataclass(frozen=True)
class GD(Optimizer):
    """w <- w - rate grad L. Stable below 8 N / sigma_max(X)^2 (mean logistic loss)."""


@dataclass(frozen=True)
class HeavyBall(Optimizer):
    """m <- momentum m + grad L; w <- w - rate m (Polyak, in torch's form)."""

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
class NormalizedGD(Optimizer):
    """w <- w - rate grad L / L, that is, descent on ln L (Ji & Telgarsky, ALT 2021).

    |w| grows like gamma rate t. Stable while rate lambda_max(gamma^2 M, orthogonal to u) < 2.
    """

    on_log_loss: ClassVar[bool] = True
