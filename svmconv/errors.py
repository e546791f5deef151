"""What can go wrong, each with one sentence that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int


class SvmconvError(Exception):
    """Base of every error raised on purpose by svmconv; passes whole between processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Without this, Python makes it anew of its message alone."""
        return _made_again, (type(self), self.args, vars(self))


def _made_again(
    kind: type[SvmconvError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> SvmconvError:
    error = kind.__new__(kind, *args)
    vars(error).update(attributes)
    return error


class DataError(SvmconvError, ValueError):
    """The input cannot be used as it is."""


class NotSeparableError(SvmconvError, ValueError):
    """No weights separate the classes: a convex combination of signed rows is zero.

    `rows` (m,) and `weights` (m,), positive with sum 1, state the reason so that anyone can check
    it: sum_i weights[i] * signed_row(i) = 0 up to `residual`, which is rounding (relative to
    sum_i weights[i] |row(i)|, every feature in units of its largest entry). For K classes `rivals`
    (m,) names the class k of the pair (row, k); for two classes it is None.
    """

    def __init__(
        self,
        message: str,
        *,
        rows: Int[np.ndarray, " m"],
        weights: Float[np.ndarray, " m"],
        residual: float,
        rivals: Int[np.ndarray, " m"] | None = None,
    ) -> None:
        super().__init__(message)
        self.rows = rows
        self.weights = weights
        self.residual = residual
        self.rivals = rivals


class CertificateError(SvmconvError):
    """The margin could not be certified; `lower` and `upper` are the bounds that were reached."""

    def __init__(self, message: str, *, lower: float, upper: float) -> None:
        super().__init__(message)
        self.lower = lower
        self.upper = upper


class DivergedError(SvmconvError):
    """A descent left the finite numbers."""
