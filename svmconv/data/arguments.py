"""What the data sets share: argument checks and telling names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from svmconv.errors import DataError

_ALWAYS_NAMED = {"n", "d", "n_support", "seed"}


def check_positive(**numbers: float) -> None:
    """Raise DataError unless every argument is a positive finite number."""
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise DataError(f"{name} must be a positive number, got {value!r}")


def chosen_of_ten(name: str, classes: Any, what: str) -> list[int]:
    """The chosen labels of 0..9, in order: two at least, or DataError; `what` a label should be."""
    try:
        given = list(classes)
    except TypeError:
        raise DataError(
            f"classes of {name} must be a sequence such as (0, 1), got {classes!r}"
        ) from None
    for label in given:
        if np.ndim(label) or label not in range(10):
            raise DataError(f"{label!r} is not {what} from 0, 1, ..., 9")
    wanted = sorted({int(label) for label in given})
    if len(wanted) < 2:
        raise DataError(f"{name} needs at least two classes, got {wanted}")
    return wanted


def telling_name(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """`planted(n=1000, d=20, n_support=12, seed=0)`: sizes, seed and whatever is not default."""
    shown = [
        f"{name}={arguments[name]}"
        for name, parameter in inspect.signature(function).parameters.items()
        if name in _ALWAYS_NAMED or arguments[name] != parameter.default
    ]
    return f"{function.__name__}({', '.join(shown)})"
