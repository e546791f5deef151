"""Dot products in twice the precision, with a bound on their error.

Dot2 of Ogita, Rump, Oishi, SIAM J. Sci. Comput. 26 (2005), theorem 3.4: with the product and sum of
two floats split exactly into result and rounding, the error of m terms is at most
u |result| + (m u / (1 - m u))^2 sum |x_j v_j|, and a few of the smallest subnormal numbers a term
where products underflow.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

U = 2.0**-53
"""Unit round-off of float64."""
TINY = 2.0**-1074
"""The smallest subnormal number."""


def dot2(
    x: Float64[np.ndarray, "m j"], v: Float64[np.ndarray, "m #j"]
) -> tuple[Float64[np.ndarray, " j"], Float64[np.ndarray, " j"]]:
    """Column sums of x * v as if in twice the precision, each with a bound on its error."""
    m = len(x)
    total = np.zeros(np.broadcast_shapes(x.shape[1:], v.shape[1:]))
    low, size = np.zeros_like(total), np.zeros_like(total)
    for a, b in zip(x, v, strict=True):
        product = a * b
        size += np.abs(product)
        a_high, b_high = _high(a), _high(b)
        a_low, b_low = a - a_high, b - b_high
        slip = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
        new = total + product
        moved = new - total
        low += ((total - (new - moved)) + (product - moved)) + slip
        total = new
    result = total + low
    error = (U * np.abs(result) + 4.0 * (m * U) ** 2 * size) * (1 + 16 * m * U)
    return result, error + 16.0 * m * TINY


def _high(a: np.ndarray) -> np.ndarray:
    """The leading 26 bits (Veltkamp's splitting)."""
    c = 134217729.0 * a
    return c - (c - a)
