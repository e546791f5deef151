"""Descent on the cross-entropy of free features, in the log domain.

The bar on the W W^T that it ends with (ji2022.trained) is 1.8 % of it, or 1.4: W W^T times 1.01
would hold as well. It comes from how much of the largest margin, as predicted, is still missing.
The bar on the growth of the margin is 5e-6 of it at most.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

Series = Float64[np.ndarray, " t"]


def descend(
    own: Bool[np.ndarray, "k n"], d: int, seed: int, steps: int, rate: float, small: float
) -> tuple[Float64[np.ndarray, "k d"], Float64[np.ndarray, "d n"], Series, Series]:
    """W and H after descent on ln L, L the mean softmax cross-entropy of W H, from small ones.

    Steps are rate / |ln L|, so that every one moves margins by a number of order one. Also returns
    (|W|^2 + |H|^2) / 2 and the smallest margin before every step.
    """
    k, n = own.shape
    rng = np.random.default_rng(seed)
    w, h = small * rng.standard_normal((k, d)), small * rng.standard_normal((d, n))
    y, rows = own.argmax(axis=0), np.arange(n)
    size, smallest = np.empty(steps), np.empty(steps)
    for t in range(steps):
        z = w @ h
        margins = np.where(own, np.inf, z[y, rows] - z)
        size[t], smallest[t] = (np.sum(w * w) + np.sum(h * h)) / 2.0, margins.min()
        against = np.logaddexp.reduce(-margins, axis=0)  # ln sum e^-margin
        loss = np.log(np.maximum(np.logaddexp(0.0, against), 1e-300))
        logs = np.where(against < -30.0, against, loss)  # ln ln(1 + e^r) = r - e^r / 2
        total = np.logaddexp.reduce(logs)
        pull = np.exp(-margins - np.logaddexp(0.0, against) - total)
        g = pull - own * pull.sum(axis=0)
        step = rate / max(1.0, np.log(n) - total)
        w, h = w - step * g @ h.T, h - step * w.T @ g
    return w, h, size, smallest
