"""Zhu, Ding, Zhou, Li, You, Sulam, Qu, NeurIPS 2021: unconstrained features with weight decay.

    f(W, H) = mean cross-entropy of W H + (lW / 2) |W|^2 + (lH / 2) |H|^2,

W (K, d), H (d, N), n rows per class, no bias, d >= K - 1. Over factorisations of Z = W H the decay
is at least l |Z|_*, l = sqrt(lW lH) (nuclear norm), so f is bounded below by a convex program in Z.

*Certificate* [derived]. Cross-entropy is the largest of <Y, Z> + mean entropy of p over softmax
probabilities p, Y = (p - own) / N; with |Y| <= l in spectral norm <Y, Z> + l |Z|_* >= 0. So for q =
softmax(W H), and s <= 1 such that s |(q - own) / N| <= l, the mean entropy of (1 - s) own + s q is
a lower bound of f. It is g less than f.

*How near* [derived]. Cross-entropy curves by at least min q / N across (1, .., 1), where Z* has no
part: |Z - Z*| <= e = sqrt(2 g N / min q) + |part of Z along it|, with half of the min q at Z, which
is enough while e <= (ln 2) / 2. With Z = U S V^T, sqrt(lW) W^T U and sqrt(lH) H V are within r =
sqrt(2 g) of each other in the Frobenius norm, where the matrix modulus is Lipschitz with sqrt 2
(Araki & Yamagami 1981) and the polar factor U V^T with 4 / s_Z, s_Z the least positive singular
value of Z. Hence, s_W being the largest of W,

    |W W^T - sqrt(lH / lW) (Z* Z*^T)^(1/2)| <= sqrt(2 lH / lW) e + s_W r / sqrt(lW),
    |H - sqrt(lW / lH) W^T (U V^T)*| <= sqrt(lW / lH) s_W 4 e / s_Z + r / sqrt(lH).

(U V^T)* is (own - 1 / K) / sqrt n, so the second line says h = sqrt(lW / (n lH)) w for every row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float64

from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import EPS
from svmconv.theory.optima import accelerated, cross_entropy, farthest, measured_case

STARTS = 2
STEPS = 20_000

Flat = Float64[np.ndarray, " p"]


@dataclass(frozen=True)
class Setting:
    """K classes of n rows, features in R^d, weight decay lW and lH."""

    k: int
    n: int
    d: int
    l_w: float
    l_h: float

    @property
    def threshold(self) -> float:
        """K sqrt(n lW lH): the optimum is zero from 1 on, where |gradient| at zero is l."""
        return float(self.k * np.sqrt(self.n * self.l_w * self.l_h))

    def size(self, gain: float) -> float:
        """|w|^2 of least ln(1 + (K - 1) e^(-gain |w|^2)) + K lW |w|^2."""
        slope = self.k * self.l_w
        if gain * (self.k - 1) / self.k <= slope:
            return 0.0
        return float(np.log((self.k - 1) * (gain - slope) / slope) / gain)

    def value(self, gain: float) -> float:
        """The objective at that |w|^2."""
        s = self.size(gain)
        return float(np.log1p((self.k - 1) * np.exp(-gain * s)) + self.k * self.l_w * s)

    @property
    def ratio(self) -> float:
        """|h| / |w|: the two decays are equal at an optimum."""
        return float(np.sqrt(self.l_w / (self.n * self.l_h)))

    @property
    def simplex(self) -> float:
        """Own logit less another's, per |w|^2, of a simplex."""
        return self.k / (self.k - 1) * self.ratio

    def __str__(self) -> str:
        return (
            f"{self.k} classes of {self.n} rows in R^{self.d}, decay {self.l_w:g} and {self.l_h:g}"
        )


@dataclass(frozen=True, eq=False)
class Found:
    """W (K, d) and H (d, N) that descent found, certified."""

    setting: Setting
    w: Float64[np.ndarray, "k d"]
    h: Float64[np.ndarray, "d n"]

    @property
    def own(self) -> np.ndarray:
        """own[i, k]: whether row i is of class k."""
        return np.repeat(np.eye(self.setting.k, dtype=bool), self.setting.n, axis=0)

    @cached_property
    def objective(self) -> float:
        """f(W, H)."""
        s = self.setting
        losses = cross_entropy((self.w @ self.h).T, self.own)[0]
        decay = s.l_w * np.sum(self.w**2) + s.l_h * np.sum(self.h**2)
        return float(losses.mean() + decay / 2.0)

    @cached_property
    def gap(self) -> float:
        """The least value is at most this much less; rounding included."""
        s = self.setting
        g = cross_entropy((self.w @ self.h).T, self.own)[1]
        spectral = float(np.linalg.norm(g, 2)) / len(g)
        share = min(1.0, float(np.sqrt(s.l_w * s.l_h)) / spectral * (1.0 - 8 * EPS))
        p = self.own + share * g
        entropy = -float(np.sum(p * np.log(np.maximum(p, 1e-300)))) / len(g)
        return max(self.objective - entropy, 0.0) + 8 * EPS * s.k

    @cached_property
    def error(self) -> float:
        """e of the docstring, infinite where it is too large for its own derivation."""
        z = self.w @ self.h
        half = float((cross_entropy(z.T, self.own)[1] + self.own).min()) / 2.0
        along = float(np.linalg.norm(z.sum(axis=0))) / np.sqrt(len(z))
        found = float(np.sqrt(2.0 * self.gap * len(self.own) / half)) + along
        return found if found <= 0.5 * np.log(2.0) else float("inf")

    @property
    def gram_error(self) -> float:
        """How far W W^T may be from its optimum."""
        s, largest = self.setting, float(np.linalg.norm(self.w, 2))
        balance = largest * float(np.sqrt(2.0 * self.gap / s.l_w))
        return float(np.sqrt(2.0 * s.l_h / s.l_w)) * self.error + balance

    @property
    def unlike(self) -> float:
        """Largest |h_i - sqrt(lW / (n lH)) w_y| over rows."""
        s = self.setting
        return float(np.linalg.norm(self.h.T - s.ratio * self.w.repeat(s.n, 0), axis=1).max())

    @property
    def unlike_error(self) -> float:
        """What the certificate allows of `unlike`."""
        s = self.setting
        least = float(np.linalg.svd(self.w @ self.h, compute_uv=False)[s.k - 2])
        turned = np.sqrt(s.l_w / s.l_h) * np.linalg.norm(self.w, 2) * 4.0 * self.error / least
        return float(turned + np.sqrt(2.0 * self.gap / s.l_h))


def least(s: Setting, seed: int) -> Found:
    """W and H of least objective, by accelerated descent from a random start.

    W is in units of 1 / sqrt N, in which both halves of the gradient are of one size.
    """
    own, rows = np.repeat(np.eye(s.k, dtype=bool), s.n, axis=0), s.k * s.n
    unit = np.sqrt(s.n)

    def parts(flat: Flat) -> tuple[Float64[np.ndarray, "k d"], Float64[np.ndarray, "d n"]]:
        return flat[: s.k * s.d].reshape(s.k, s.d), flat[s.k * s.d :].reshape(s.d, rows) * unit

    def gradient(flat: Flat) -> Flat:
        w, h = parts(flat)
        g = cross_entropy((w @ h).T, own)[1].T / rows
        return np.concatenate([(g @ h.T + s.l_w * w).ravel(), unit * (w.T @ g + s.l_h * h).ravel()])

    start = np.random.default_rng(seed).standard_normal((s.k + rows) * s.d)
    return Found(s, *parts(accelerated(gradient, start, 0.1, STEPS)))


def collapse(s: Setting, without_n: bool = False) -> Measurement:
    """Objective, lengths, angles and self-duality, the farthest of all starts."""
    found = [least(s, seed) for seed in range(STARTS)]
    value, size, wide = s.value(s.simplex), s.size(s.simplex), tolerances.OPTIMISER
    gram = np.stack([f.w @ f.w.T for f in found])
    diagonal, across = np.eye(s.k, dtype=bool), ~np.eye(s.k, dtype=bool)
    error = max(f.gram_error for f in found)
    cosines = gram[:, across] / size  # all |w|^2 are `size`, to `error`
    length = s.ratio * float(np.sqrt(size))
    unlike = np.array([f.unlike for f in found]) / length
    unlike_error = max(f.unlike_error for f in found) / length
    objective = _objective(value, found)
    right = (
        objective,
        farthest("|w|^2", size, gram[:, diagonal], error, wide * size),
        farthest("cosines of W", -1.0 / (s.k - 1), cosines, error / size, wide),
        farthest("|h - c w| / |h|", 0.0, unlike, unlike_error, wide),
    )
    if without_n:
        alone = s.simplex * float(np.sqrt(s.n))
        control = q.refuted("one row each, n = 1", right[1], s.size(alone))
    else:
        control = q.refuted("an orthogonal frame", objective, s.value(s.ratio))
    return measured_case(str(s), METHOD, right, control)


def vanishing(s: Setting) -> Measurement:
    """Beyond the threshold W and H are zero: f - ln K >= (1 - 1 / threshold) (lW / 2) |W|^2."""
    found = [least(s, seed) for seed in range(STARTS)]
    lengths = np.array([np.sum(f.w**2) / s.k for f in found])
    share = s.l_w * (1.0 - 1.0 / s.threshold) if s.threshold > 1.0 else 0.0
    error = 2.0 * max(f.gap for f in found) / share / s.k if share > 0.0 else float("inf")
    zero = farthest("|w|^2", 0.0, lengths, error, tolerances.OPTIMISER)
    alone = s.simplex * float(np.sqrt(s.n))
    control = q.refuted("one row each, n = 1", zero, s.size(alone))
    right = (_objective(float(np.log(s.k)), found), zero)
    return measured_case(str(s), METHOD, right, control)


def _objective(value: float, found: list[Found]) -> Quantity:
    reached, gap = np.array([f.objective for f in found]), max(f.gap for f in found)
    return farthest("objective", value, reached, gap, tolerances.OPTIMUM * value)


METHOD = f"accelerated descent from {STARTS} random starts"

CLAIMS = (
    Claim(
        "zhu2021-collapse",
        "Zhu, Ding, Zhou, Li, You, Sulam, Qu, NeurIPS 2021, abstract; constants derived",
        "With weight decay the best unconstrained features and weights are one simplex, h = sqrt("
        "lW / (n lH)) w, of a length that the decay decides; from K sqrt(n lW lH) = 1 on, zero.",
        (
            Case(partial(collapse, Setting(4, 5, 6, 5e-3, 5e-4))),
            Case(partial(collapse, Setting(3, 10, 5, 1e-2, 1e-3), True)),
            Case(partial(collapse, Setting(5, 3, 4, 2e-3, 2e-3))),
            Case(partial(vanishing, Setting(4, 5, 6, 0.12, 0.12))),
        ),
    ),
)
