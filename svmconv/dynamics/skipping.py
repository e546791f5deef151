"""Rows that cannot change a sum of float64: late in a run most rows weigh less than its rounding.

A row of hardest margin m and size r = c |x| (c = 1 for two classes, sqrt 2 for K: the length of a
pair row) enters the gradient with at most (K - 1) e^-m r, and the loss with at most (K - 1) e^-m.
The row * of smallest margin enters with at least sigma(-m*) r*. While the weights move by no more
than `reach`, no margin moves by more than r reach. So rows for which

    ln (K - 1) - m + r reach + ln max(1, r / r*)  <=  ln(eps / 4 N) + ln sigma(-(m* + r* reach))

add, all together, less than a quarter of the last bit of the largest term: leaving them out is one
more rounding of the sum (derived). That the weights stayed within reach is checked afterwards.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int

LEAST = 16
"""Rows that are kept at least: fewer would not be faster."""


def needed(
    margins: Float64[np.ndarray, "run n"],
    sizes: Float64[np.ndarray, "run n"],
    reach: Float64[np.ndarray, " run"],
    rivals: int,
) -> Bool[np.ndarray, "run n"]:
    """Which rows may not be left out while the weights stay within `reach`; none of a nan run."""
    runs = np.arange(len(margins))
    smallest = margins.argmin(axis=1)
    size = sizes[runs, smallest]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        most = np.log(rivals) - margins + sizes * reach[:, None]
        most += np.log(np.maximum(1.0, sizes / size[:, None]))
        least = -np.logaddexp(0.0, margins[runs, smallest] + size * reach)
        least += np.log(np.finfo(float).eps / (4.0 * margins.shape[1]))
        return most > least[:, None]


def kept(
    margins: Float64[np.ndarray, "run n"], must: Bool[np.ndarray, "run n"]
) -> Int[np.ndarray, "run m"] | None:
    """The rows to go on with, rising, as many in every run; None for all of them.

    Counts are 16, 64, 256, ..., up to half of all, since each needs a compilation. A run that needs
    fewer keeps its next smallest margins too.
    """
    n, most = margins.shape[1], int(must.sum(axis=1).max())
    count = LEAST
    while count < most:
        count *= 4
    if count > n // 2:
        return None
    first = np.argsort(np.where(must, -np.inf, margins), axis=1, kind="stable")[:, :count]
    return np.sort(first, axis=1)
