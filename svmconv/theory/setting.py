"""What to run: a problem, a method and its range, a kind of bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import optax
from jaxtyping import Float64

from svmconv.optimizers import Optimizer
from svmconv.problem import Bias, Problem

RTOL = 1e-8
"""Tolerance of a step of the flow; its rerun at RTOL / 100 is the one that is measured."""


@dataclass(frozen=True)
class Flow:
    """Gradient flow up to ln t = log_t, rerun at a hundredth of the tolerance rtol of a step."""

    log_t: float = 1e6
    rtol: float = RTOL

    def __str__(self) -> str:
        return f"flow to ln t = {self.log_t:g}".replace("e+0", "e")


@dataclass(frozen=True)
class Descent:
    """So many steps of an optimizer."""

    optimizer: Optimizer | optax.GradientTransformation
    steps: int

    def __str__(self) -> str:
        return f"{self.optimizer}, {self.steps:,} steps"


@dataclass(frozen=True)
class Setting:
    """One problem, method and bias kind; equal settings share their run."""

    problem: Callable[[], Problem]
    method: Flow | Descent = Flow()
    bias: Bias = "none"
    bias_scale: float = 1.0
    init: Callable[[], Float64[np.ndarray, "*w"]] | None = None
    """The weights at the start, in the space of (w, b / sqrt c); zero without."""
    clock: Literal["time", "loss"] = "time"
    """What ln tau is read from: the time, or (for methods without a rate) -ln(gamma^2 L)."""

    @property
    def tau(self) -> str:
        """What `clock` reads, in words."""
        return "rate t" if self.clock == "time" else "1 / (gamma^2 L)"
