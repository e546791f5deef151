"""Problem: the labelled rows everything else starts from."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float64, Int

from svmconv.errors import DataError

Bias = Literal["none", "augmented", "free"]
Geometry = Literal["l2", "l1", "linf", "spectral"]
Loss = Literal["logistic", "exponential"]


class Truth(NamedTuple):
    """The exact hard-margin SVM (bias "none") of a problem that was built around it."""

    w: Float64[np.ndarray, "*w"]
    """(d,) or (K, d): the minimum-norm weights with every margin at least 1."""
    alpha: Float64[np.ndarray, "*alpha"]
    """(n,) or (n, K): dual variables, zero off the support vectors."""


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """Rows x (n, d) with class labels y (n,); copied to float64, validated, read-only.

    Labels may be integers, strings or booleans; `classes` holds them sorted and `classes[1]` is the
    positive class of a binary problem. Raises DataError with one sentence on unusable input.
    """

    x: Float64[np.ndarray, "n d"]
    y: np.ndarray
    name: str = "problem"
    truth: Truth | None = None
    classes: np.ndarray = field(init=False)
    index: Int[np.ndarray, " n"] = field(init=False)

    def __init__(self, x: Any, y: Any, name: str = "problem", truth: Truth | None = None) -> None:
        features = _features(x)
        labels = _labels(y, len(features))
        classes, index = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"every label is {classes[0].item()!r}: give rows of at least two classes, there "
                "is no margin within one"
            )
        for array in (features, labels, classes, index):
            array.setflags(write=False)
        for key, value in {
            "x": features,
            "y": labels,
            "name": name,
            "truth": truth,
            "classes": classes,
            "index": index,
        }.items():
            object.__setattr__(self, key, value)

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.x.shape[0]

    @property
    def d(self) -> int:
        """Number of features."""
        return self.x.shape[1]

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.classes)

    @property
    def binary(self) -> bool:
        """Whether there are two classes, so that w is (d,) and not (K, d)."""
        return self.n_classes == 2

    @cached_property
    def signs(self) -> Float64[np.ndarray, " n"]:
        """+1 for classes[1], -1 for classes[0]; binary problems only."""
        if not self.binary:
            raise DataError(f"signs need two classes, this problem has {self.n_classes}")
        return 2.0 * self.index - 1.0

    @cached_property
    def own(self) -> Bool[np.ndarray, "n k"]:
        """own[n, k]: whether row n belongs to class k."""
        return self.index[:, None] == np.arange(self.n_classes)

    @cached_property
    def scale(self) -> float:
        """The power of two at or below the largest |x|; dividing by it is exact."""
        largest = max(float(self.x.max()), -float(self.x.min()))
        return math.ldexp(0.5, math.frexp(largest)[1]) if largest > 0 else 1.0

    @cached_property
    def id(self) -> str:
        """Content hash: first 16 hex digits of the SHA-256 of shape, rows and labels."""
        digest = hashlib.sha256(f"{self.n} {self.d} {self.classes.tolist()}".encode())
        digest.update(self.x.data)
        digest.update(self.index.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def rows(self, bias: Bias = "none", bias_scale: float = 1.0) -> Float64[np.ndarray, "n p"]:
        """x, with a last column sqrt(bias_scale) when the bias is "augmented".

        In that space w_aug = (w, b / sqrt(c)), |w_aug|^2 = |w|^2 + b^2 / c, and every statement
        without a bias holds word for word.
        """
        check_choice("bias", bias, get_args(Bias))
        if not (math.isfinite(bias_scale) and bias_scale > 0):
            raise DataError(f"bias_scale must be a positive number, got {bias_scale!r}")
        if bias != "augmented":
            return self.x
        return np.column_stack([self.x, np.full(self.n, math.sqrt(bias_scale))])

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{c}: {k}" for c, k in zip(self.classes, np.bincount(self.index), strict=True)
        )
        return f"Problem({self.name!r}, n={self.n}, d={self.d}, rows per class {{{counts}}})"


LARGEST = 1e75
"""Rows up to this size, and down to its inverse: duals are as large as their inverse square, and
certificates square those."""


def check_problem(problem: object) -> None:
    """Raise DataError unless it is a Problem."""
    if not isinstance(problem, Problem):
        raise DataError(f"expected a Problem, got a {type(problem).__name__}: sc.Problem(x, y)")


def check_choice(what: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise DataError, naming the choices, unless value is one of them."""
    if value not in choices:
        raise DataError(f"unknown {what} {value!r}: choose one of {', '.join(choices)}")


def check_counts(least: int, **counts: Any) -> None:
    """Raise DataError unless every argument is an integer of at least `least`."""
    for name, value in counts.items():
        integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not integer or value < least:
            raise DataError(f"{name} must be an integer of at least {least}, got {value!r}")


def check_real(**values: Any) -> None:
    """Raise DataError unless every argument is a real number; nan and infinities are."""
    for name, value in values.items():
        number = isinstance(value, int | float | np.integer | np.floating)
        if not number or isinstance(value, bool):
            raise DataError(f"{name} must be a real number, got {value!r:.40}")


def readable(name: str, given: Any) -> np.ndarray:
    """As an array. DataError where that cannot be, as with torch tensors that know a gradient."""
    try:
        return np.asarray(given)
    except (RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{name} cannot be read as an array ({reason}): give numbers in main memory, of a "
            "tensor .detach().cpu().float().numpy()"
        ) from None


def _features(x: Any) -> Float64[np.ndarray, "n d"]:
    try:
        given = readable("x", x)
    except DataError:
        raise
    except ValueError:
        raise DataError(
            "x is not a rectangular array of numbers: give every row the same number of features"
        ) from None
    if given.dtype.kind not in "biuf" and given.dtype.name != "bfloat16":
        raise DataError(f"x must hold real numbers, got an array of dtype {given.dtype}")
    if given.ndim != 2:
        raise DataError(
            f"x must be two-dimensional (rows, features), got shape {given.shape}; "
            "use x.reshape(len(x), -1) to flatten each row"
        )
    if 0 in given.shape:
        raise DataError(f"x is empty (shape {given.shape}): give at least one row and one feature")
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite: refused below
        features = np.array(given, dtype=np.float64, order="C")
    features += 0.0  # -0.0 becomes 0.0: equal rows, equal id
    bad = ~np.isfinite(features)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"x has {int(bad.sum())} NaN or infinite values, the first at row {row}, feature "
            f"{column}: drop or replace them"
        )
    largest = float(np.abs(features).max())
    if largest and not 1 / LARGEST <= largest <= LARGEST:
        raise DataError(
            f"the largest entry of x is {largest:.3g}, and its square or the SVM's would leave "
            "float64: rescale x to a size near 1"
        )
    return features


def _labels(y: Any, n: int) -> np.ndarray:
    try:
        labels = np.array(readable("y", y))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"y is not a flat list of labels ({error})") from None
    if labels.dtype.kind == "O" and labels.ndim == 1 and all(isinstance(v, str) for v in labels):
        labels = labels.astype(str)
    if labels.ndim != 1:
        hint = "; use y.ravel()" if labels.size == n else ""
        raise DataError(f"y must be one label per row, got shape {labels.shape}{hint}")
    if len(labels) != n:
        raise DataError(f"x has {n} rows but y has {len(labels)} labels: they must match")
    if labels.dtype.kind not in "biufUS":
        raise DataError(f"y must hold integers or strings, got dtype {labels.dtype}")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise DataError("y has NaN or infinite labels: give every row a class")
        if (labels != np.round(labels)).any():
            raise DataError("y has fractional values: give class labels, not regression targets")
        if (np.abs(labels) > 2.0**53).any():
            raise DataError("y has labels too large for a float to tell apart: give small integers")
        labels = labels.astype(np.int64)
    return labels
