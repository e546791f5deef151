"""What the data sets share: argument checks and telling names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from svmconv.errors import DataError

_ALWAYS_NAMED = {"n", "d", "n_support", "seed"}


def check_counts(least: int, **counts: Any) -> None:
    """Raise DataError unless every argument is an integer of at least `least`."""
    for name, value in counts.items():
        integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not integer or value < least:
            raise DataError(f"{name} must be an integer of at least {least}, got {value!r}")


def check_positive(**numbers: float) -> None:
    """Raise DataError unless every argument is a positive finite number."""
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise DataError(f"{name} must be a positive number, got {value!r}")


def telling_name(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """`planted(n=1000, d=20, n_support=12, seed=0)`: sizes, seed and whatever is not default."""
    shown = [
        f"{name}={arguments[name]}"
        for name, parameter in inspect.signature(function).parameters.items()
        if name in _ALWAYS_NAMED or arguments[name] != parameter.default
    ]
    return f"{function.__name__}({', '.join(shown)})"
