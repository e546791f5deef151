"""How well the classes can be read off one layer by linear discriminants."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.linalg import cho_factor, cho_solve
from scipy.special import logsumexp

from svmconv.measures.class_pairs import layer_of

RIDGE = 1e-3
"""Added to the variance of every direction, in units of the mean variance over the min(n, d)
directions that there can be: units that never fire, and rows fewer than units, leave the covariance
singular."""


class Probe(NamedTuple):
    """What Gaussian discriminants, with one covariance for all classes, make of the rows."""

    accuracy: float
    """Share of the rows, those they were computed from, whose own class is strictly likeliest."""
    log_loss: float
    """ln of the mean loss, -ln p(own class | row) of a row: below 0 where that is below 1."""


def linear_probe(features: Any, labels: Any) -> Probe:
    """Fisher's linear discriminants of one layer, in closed form: no training, no rate, no seed.

    features (n, d) of any real dtype, labels (n,). Raises DataError.

    ln p(k | x) = x.a_k - mu_k.a_k / 2 + ln n_k + const, with a_k = (S_W + r I)^-1 mu_k, S_W the
    mean covariance within classes, r = RIDGE tr(S_W) / min(n, d). Invariant under shift, rotation
    and scale. Time O(n d min(n, d)), memory O(n d + min(n, d)^2). Where the rows of every class are
    one point, classes at one point share its rows, and no row of theirs is right.

    >>> x = np.array([[0.0], [2.0], [6.0], [8.0]])  # means 1, 7; S_W = 1; ln-odds 6 (x - 4) / 1.001
    >>> y = np.array([0, 0, 1, 1])
    >>> accuracy, log_loss = linear_probe(x, y)
    >>> expected = np.log(np.log1p(np.exp(-np.array([24, 12, 12, 24]) / 1.001)).mean())
    >>> accuracy, bool(abs(log_loss - expected) < 1e-14)
    (1.0, True)
    """
    given, classes, index = layer_of(features, labels)
    x, counts = given.astype(np.float64), np.bincount(index)
    own = index[:, None] == np.arange(len(classes))
    x -= x.mean(axis=0)
    x = np.ldexp(x, -math.frexp(float(np.abs(x).max(initial=0.0)))[1])  # squares stay finite
    means = own.T.astype(float) @ x / counts[:, None]
    within = x - means[index]
    variance = np.square(within).sum() / (len(x) * min(x.shape))
    if variance == 0.0:  # the limit of small variance: only the nearest means count
        distances = np.square(x[:, None] - means[None]).sum(axis=2)
        near = np.where(distances == distances.min(axis=1, keepdims=True), 0.0, -np.inf)
        logits = near + np.log(counts)
    else:
        directions = _solve(within, RIDGE * variance, means)
        logits = x @ directions.T - 0.5 * (means * directions).sum(axis=1) + np.log(counts)
    # Margins: 1 - p would lose all digits where p is near 1.
    rivals = np.where(own, -np.inf, logits - logits[own][:, None])
    losses = np.log1p(np.exp(logsumexp(rivals, axis=1)))
    with np.errstate(divide="ignore"):
        return Probe(float((rivals.max(axis=1) < 0.0).mean()), float(np.log(losses.mean())))


def _solve(
    within: Float64[np.ndarray, "n d"], ridge: float, means: Float64[np.ndarray, "k d"]
) -> Float64[np.ndarray, "k d"]:
    """means (within^T within / n + ridge I)^-1, by the smaller of the two Gram matrices."""
    n, d = within.shape
    if d <= n:
        gram = within.T @ within / n
        gram.flat[:: d + 1] += ridge
        return cho_solve(cho_factor(gram), means.T).T
    gram = within @ within.T
    gram.flat[:: n + 1] += n * ridge
    return (means - cho_solve(cho_factor(gram), within @ means.T).T @ within) / ridge
