"""E, Wojtowytsch, arXiv:2012.05420, lemma 4: the best bounded logits are a regular simplex.

How far logits z of one class are from the best ones z* in the l_p ball of radius R, from a bound:
let g be the gradient of their convex loss F, v the point of the ball where <g, .> is least. Then

    F(z*) >= F(z) + <g, z* - z> = F(z) - gap + <g, z* - v>,     gap = <g, z - v>,

and uniform convexity of the ball gives <g, z* - v> >= 2 R |g|_q delta(|z* - v| / R), with modulus
delta(e) >= (p - 1) e^2 / 8 for p <= 2 (Hanner) and (e / 2)^p / p for p >= 2 (Clarkson). F(z*) <=
F(z), so |z* - v| <= R delta^-1(gap / (2 R |g|_q)): the square root, or the p-th, of the gap.

The classes decouple: weights of theirs cannot move the optimum, only the path to it. They are
unequal here, and the claim says nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import EPS
from svmconv.theory.optima import cross_entropy, farthest, measured_case

STARTS = 3


@dataclass(frozen=True)
class Ball:
    """Logits of k classes, each of l_p norm at most R."""

    k: int
    radius: float
    p: float = 2.0

    @property
    def vertex(self) -> tuple[float, float]:
        """(a, b), the own logit and every other one: a / |b| = (k - 1)^(1 / (p - 1)) [paper]."""
        share = 1.0 / (1.0 + (self.k - 1) ** (1.0 / (self.p - 1.0)))
        own = self.radius * (1.0 - share) ** (1.0 / self.p)
        return own, -self.radius * (share / (self.k - 1)) ** (1.0 / self.p)

    @property
    def loss(self) -> float:
        """Of logits at that vertex [derived]."""
        own, other = self.vertex
        return float(np.log1p((self.k - 1) * np.exp(other - own)))

    @property
    def one_hot_loss(self) -> float:
        """Of logits R e_i."""
        return float(np.log1p((self.k - 1) * np.exp(-self.radius)))


@dataclass(frozen=True, eq=False)
class Found:
    """Logits (k, k) that descent found, a row for each class, with their certificate."""

    logits: Float64[np.ndarray, "k k"]
    loss: float
    """Mean over rows by weight."""
    gap: float
    """The smallest loss is at most this much less."""
    distance: float
    """No row is farther from its optimum, in l_p."""


def certified(
    z: Float64[np.ndarray, "n k"], g: Float64[np.ndarray, "n k"], radius: float, p: float = 2.0
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """(gap, distance from the optimum) of every row z with gradient g, rounding included."""
    dual = p / (p - 1.0)
    size = np.linalg.norm(g, dual, axis=1)
    gap = np.sum(g * z, axis=1) + radius * size
    gap = np.maximum(gap, 0.0) + 8 * EPS * z.shape[1] * (1.0 + radius)
    v = -radius * np.sign(g) * (np.abs(g) / size[:, None]) ** (dual - 1.0)
    share = gap / (2.0 * radius * size)
    away = np.sqrt(8.0 * share / (p - 1.0)) if p <= 2.0 else 2.0 * (p * share) ** (1.0 / p)
    return gap, np.linalg.norm(z - v, p, axis=1) + radius * away


def smallest(ball: Ball, weights: Float64[np.ndarray, " k"], seed: int) -> Found:
    """The logits of least mean loss by weight, by L-BFGS over z = R u / |u| from random u."""
    own = np.eye(ball.k, dtype=bool)

    def on_sphere(flat: Float64[np.ndarray, " p"]) -> tuple[np.ndarray, np.ndarray]:
        u = flat.reshape(ball.k, ball.k)
        size = np.linalg.norm(u, ball.p, axis=1, keepdims=True)
        return u / size, size

    def value(flat: Float64[np.ndarray, " p"]) -> tuple[float, Float64[np.ndarray, " p"]]:
        u, size = on_sphere(flat)
        losses, g = cross_entropy(ball.radius * u, own)
        normal = np.sign(u) * np.abs(u) ** (ball.p - 1.0)
        tangential = g - normal * np.sum(g * u, axis=1, keepdims=True)
        slopes = weights[:, None] * tangential * ball.radius / size
        return float(weights @ losses), slopes.ravel()

    start = np.random.default_rng(seed).standard_normal(ball.k**2)
    options = {"maxiter": 5000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-13}
    found = minimize(value, start, jac=True, method="L-BFGS-B", options=options).x
    z = ball.radius * on_sphere(found)[0]
    losses, g = cross_entropy(z, own)
    gap, distance = certified(z, g, ball.radius, ball.p)
    return Found(z, float(weights @ losses), float(weights @ gap), float(distance.max()))


def one_hot(ball: Ball, right: tuple[Quantity, ...]) -> Control:
    """Wrong hypothesis: the best logits are R e_i, which have no negative entry."""
    return q.refuted("logits R e_i", right[0], ball.one_hot_loss)


def euclidean(ball: Ball, right: tuple[Quantity, ...]) -> Control:
    """Wrong hypothesis: those of the Euclidean ball, whatever p is."""
    return q.refuted("the vertex of p = 2", right[1], Ball(ball.k, ball.radius).vertex[0])


def vertices(ball: Ball, control: Callable[[Ball, tuple[Quantity, ...]], Control]) -> Measurement:
    """Loss and logits, the farthest of all classes and starts; class c weighs as c = 1 .. k."""
    weights = np.arange(1.0, ball.k + 1) / (ball.k * (ball.k + 1) / 2)
    found = [smallest(ball, weights, seed) for seed in range(STARTS)]
    losses = np.array([f.loss for f in found])
    gap, distance = max(f.gap for f in found), max(f.distance for f in found)
    z, own = np.stack([f.logits for f in found]), np.eye(ball.k, dtype=bool)
    wide = tolerances.OPTIMISER * ball.radius
    (a, b), loss = ball.vertex, ball.loss
    right = (
        farthest("loss", loss, losses, gap, tolerances.OPTIMUM * loss),
        farthest("own logit", a, z[:, own], distance, wide),
        farthest("other logits", b, z[:, ~own], distance, wide),
    )
    name = f"logits of {ball.k} classes in the l_{ball.p:g} ball of radius {ball.radius:g}"
    return measured_case(
        name, f"L-BFGS from {STARTS} random starts, classes weighted 1 to {ball.k}", right,
        control(ball, right),
    )  # fmt: skip


CLAIMS = (
    Claim(
        "ew2020-lemma4",
        "E, Wojtowytsch, arXiv:2012.05420 (2020), lemma 4; optimal loss derived",
        "Of all logits of bounded l_p norm those of least cross-entropy have one entry a at the "
        "own class and b at all others, for every class.",
        (
            Case(partial(vertices, Ball(10, 5.0), one_hot)),
            Case(partial(vertices, Ball(4, 1.0), one_hot)),
            Case(partial(vertices, Ball(4, 1.0, 3.0), euclidean)),
            Case(partial(vertices, Ball(10, 1.0, 1.5), euclidean)),
        ),
    ),
)
