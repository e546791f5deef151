"""E, Wojtowytsch, arXiv:2012.05420, corollary 9: features of bounded norm before a bounded layer.

Logits h = A f, |f| <= R for every row, |A| <= 1 (spectral norm), lie in the ball of lemma 4, whose
certificate bounds the loss, and delta, how far A f is from the best logits h*. As the gradient at
h* is -c h* / R, a row whose loss exceeds the least by g has c (R^2 - <f, A^T h*>) <= R g; and |f|,
|A^T h*| <= R. Hence

    |f - A^T h*| <= sqrt(2 R g / c) =: eta,     c >= |gradient at A f| - delta / 2.

So features of one class are within 2 eta of each other, inner products of features within R (delta
+ eta) of those of h*, inner products of logits within 3 R delta (delta <= R), and |A x| / |x| on
the span of the features, where those of h* have the eigenvalue R^2 k / (k - 1), within (k - 1) (4
delta + eta) / (2 R) of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64

from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.ew2020_ball import Ball, certified
from svmconv.theory.optima import accelerated, cross_entropy, farthest, measured_case

STARTS = 2
STEPS = 2000
ROWS = 3
"""Rows of each class."""

Flat = Float64[np.ndarray, " p"]


@dataclass(frozen=True, eq=False)
class Layers:
    """Features f (n, m) and the layer A (k, m) that descent found, with bounds."""

    features: Float64[np.ndarray, "n m"]
    layer: Float64[np.ndarray, "k m"]
    loss: float
    gap: float
    delta: float
    eta: float

    @property
    def means(self) -> Float64[np.ndarray, "k m"]:
        """Mean feature of every class."""
        return self.features.reshape(-1, ROWS, self.features.shape[1]).mean(axis=1)

    @property
    def spread(self) -> float:
        """Largest distance of a feature from the mean of its class."""
        return float(np.linalg.norm(self.features - self.means.repeat(ROWS, 0), axis=1).max())

    @property
    def cosines(self) -> Float64[np.ndarray, " pairs"]:
        """Between the mean features of any two classes, about the origin."""
        unit = self.means / np.linalg.norm(self.means, axis=1, keepdims=True)
        return (unit @ unit.T)[np.triu_indices(len(unit), 1)]

    @property
    def stretch(self) -> Float64[np.ndarray, " j"]:
        """Singular values of A on the span of the features, of k - 1 dimensions."""
        centred = self.means - self.means.mean(axis=0)
        span = np.linalg.svd(centred)[2][: len(centred) - 1]
        return np.linalg.svd(self.layer @ span.T, compute_uv=False)


def best_layers(ball: Ball, m: int, seed: int) -> Layers:
    """Features and layer of least cross-entropy, by projected descent from a random start.

    Descent is on the mean loss with the features in units of their own rows' and the layer of R^2.
    """
    k, n, radius = ball.k, ball.k * ROWS, ball.radius
    own = np.repeat(np.eye(k, dtype=bool), ROWS, axis=0)

    def parts(flat: Flat) -> tuple[Float64[np.ndarray, "k m"], Float64[np.ndarray, "n m"]]:
        return flat[: k * m].reshape(k, m), flat[k * m :].reshape(n, m)

    def gradient(flat: Flat) -> Flat:
        layer, features = parts(flat)
        g = cross_entropy(features @ layer.T, own)[1]
        return np.concatenate([(g.T @ features).ravel() / (n * radius**2), (g @ layer).ravel()])

    def project(flat: Flat) -> Flat:
        layer, features = parts(flat)
        u, s, v = np.linalg.svd(layer, full_matrices=False)
        size = np.linalg.norm(features, axis=1, keepdims=True)
        inside = features * np.minimum(1.0, radius / size)
        return np.concatenate([((u * np.minimum(s, 1.0)) @ v).ravel(), inside.ravel()])

    start = np.random.default_rng(seed).standard_normal((k + n) * m)
    layer, features = parts(accelerated(gradient, start, 0.5, STEPS, project))
    logits = features @ layer.T
    losses, g = cross_entropy(logits, own)
    gaps, delta = certified(logits, g, radius)
    slopes = np.linalg.norm(g, axis=1) - delta / 2.0
    eta = np.sqrt(2.0 * radius * gaps / slopes).max() if slopes.min() > 0.0 else np.inf
    return Layers(
        features, layer, float(losses.mean()), float(gaps.mean()), float(delta.max()), float(eta)
    )


def collapse(ball: Ball, m: int) -> Measurement:
    """Loss, collapse, angles and isometry, the farthest of all starts."""
    found = [best_layers(ball, m, seed) for seed in range(STARTS)]
    delta, eta = max(f.delta for f in found), max(f.eta for f in found)
    k, radius, wide = ball.k, ball.radius, tolerances.OPTIMISER
    losses, gap = np.array([f.loss for f in found]), max(f.gap for f in found)
    spread = np.array([f.spread for f in found]) / radius
    cosines, stretch = (np.stack([getattr(f, what) for f in found])
                        for what in ("cosines", "stretch"))  # fmt: skip
    loss = ball.loss
    right: tuple[Quantity, ...] = (
        farthest("loss", loss, losses, gap, tolerances.OPTIMUM * loss),
        farthest("spread of a class", 0.0, spread, 2.0 * eta / radius, wide),
        farthest("cosines", -1.0 / (k - 1), cosines, 2.0 * (delta + 2.0 * eta) / radius, wide),
        farthest("stretch of A", 1.0, stretch, (k - 1) * (4 * delta + eta) / (2 * radius), wide),
    )
    name = f"{k} classes of {ROWS} features of norm {radius:g} in R^{m} before |A| <= 1"
    control = q.refuted("features that A maps to R e_i", right[0], ball.one_hot_loss)
    return measured_case(
        name, f"projected descent from {STARTS} random starts", right, control
    )  # fmt: skip


CLAIMS = (
    Claim(
        "ew2020-cor9",
        "E, Wojtowytsch, arXiv:2012.05420 (2020), corollary 9; optimal loss derived",
        "Features of bounded norm before a layer of bounded spectral norm: where cross-entropy is "
        "least every class is one point, the classes a centred regular simplex, and the layer an "
        "isometry on its span.",
        (
            Case(partial(collapse, Ball(4, 3.0), 6)),
            Case(partial(collapse, Ball(3, 1.0), 2)),
            Case(partial(collapse, Ball(6, 2.0), 8)),
        ),
    ),
)
