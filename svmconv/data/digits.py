"""Handwritten digits, packed inside the package: real images without a download."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from svmconv.data.arguments import chosen_of_ten
from svmconv.problem import Problem


def digits(classes: Iterable[Any] = range(10)) -> Problem:
    """8 x 8 images of the given digits, flattened to (n, 64), values k/16 in [0, 1].

    1797 rows for all ten digits. Source: E. Alpaydin and C. Kaynak, Optical Recognition of
    Handwritten Digits, UCI Machine Learning Repository (1998), the test part as scikit-learn's
    load_digits has it; CC BY 4.0. Raises DataError on what is not a digit.
    """
    wanted = chosen_of_ten("digits", classes, "a digit: choose classes")
    images, labels = _packed()
    rows = np.isin(labels, wanted)
    shown = "" if len(wanted) == 10 else ", ".join(map(str, wanted))
    return Problem(images[rows] / 16.0, labels[rows], f"digits({shown})")


@cache
def _packed() -> tuple[Float64[np.ndarray, "1797 64"], Int[np.ndarray, " 1797"]]:
    """images (1797, 64) with values 0..16 and labels (1797,)."""
    with (
        files("svmconv.data").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as packed,
    ):
        return packed["images"].astype(np.float64), packed["labels"].astype(np.int64)
