"""Wang, Li, Yaras, Zhu, Balzano, Hu, Qu, JMLR 2025: deep linear networks, layer by layer.

Gradient flow of |a W_L .. W_1 X - Y|^2 / 2: orthonormal rows X (d, N), Y one-hot, n rows of each of
K classes, W_l (d, d) orthogonal times eps, W_L (K, d) of orthonormal rows times eps. C_l = tr S_W /
tr S_B of the output of layer l, C_0 = (n - 1) K / (K - 1). For every hidden layer [derived]

    C_(l+1) / C_l = rho = (eps / s)^2,     s = (sqrt n / a)^(1/L),

to first order in K / d and rho: within classes a layer keeps its initial size eps; between them all
layers share what Y asks for.

*What is left* [derived]. The flow conserves W_(l+1)^T W_(l+1) - W_l W_l^T: zero at the start, but
-eps^2 (I - P), P of rank K, for the last layer. So the hidden layers share singular values S, W_l
.. W_1 = U S^l V^T, and since W_L has rank K (Weyl) d - 2 K of S are eps *exactly*, K larger, K
smaller. The smaller ones are the output of the start, turned into that of the classes by all L
layers: S_j^2 is about (1 - 1/L) eps^2 [measured]. Their share of the rows is about (N - K) / (d -
K), so the first ratio is about K / (L (d - K)) below rho. Where d = N that looks like n + 1 in
place of n, by (1 + 1/n)^(1/L); with d = 200, n + 1 is wrong and n is right.

*The error model* [derived]. S_j of the K smaller, and their squared part within classes w_j, are
measured at the end; nothing is of the K larger. Let T = 1 - min S_j^2 / eps^2; y what the d - K
small directions may give of the output, a eps^L / sqrt n, and what of Y is not fitted; r = rho / (1
- y)^(2/L); o = (rho^(L/2) + unfitted)^2 / ((1 - r)(1 - y)^2) the part within classes of the larger
directions, whose output there cancels that of the others.

- *Within*, N tr S_W / ((N - K) eps^(2 l)) is 1 - sum w_j (1 - (S_j / eps)^(2 l)) / (N - K), and
  at most K / (N - K) o rho^-l more.
- *Outside the rows* W_1 does not change: sum S_j^2 (v_j p)^2 = eps^2 for every unit p there, hence
  the larger v have at most r T / (1 - r) there (none for d = N). With o: class means leave the span
  of the larger by a squared sine of at most q.
- *Between*, C changes by a mean of S_j^2 over the larger, but for the share q r^l / (1 - q) that
  others have. S_K^2 >= s^2 (1 - y)^(2/L).
- *W_L*: where I - P acts, eps^2 sum (u_j p)^2 / S_j^2 = 1, as W_L has rank K. So the larger u have
  at most b = T / (1 - r (1 - T)) there, and S_1^2 <= s^2 ((1 + y)^2 / ((1 - r b)(1 - q)))^(1/L).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.integrate import solve_ivp

from svmconv.svm.solve import BLAS
from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Measurement
from svmconv.theory.optima import farthest

SEEDS = 2
TIME = 1.0
"""Where the flow ends: the slowest part of the output has decayed by e^-30 and more."""

Features = Float64[np.ndarray, "d n"]
Layers = list[Float64[np.ndarray, "_ _"]]


class Small(NamedTuple):
    """The K smallest directions of the first layer."""

    sizes: Float64[np.ndarray, " k"]
    """Singular values squared, by eps^2; at most 1."""
    within: Float64[np.ndarray, " k"]
    """Squared part of the right singular vectors within classes."""


@dataclass(frozen=True)
class Setting:
    """K classes of n rows in R^d, L layers of initial size eps, an output times a."""

    k: int
    n: int
    d: int
    layers: int
    eps: float
    a: float

    @property
    def rho(self) -> float:
        """Predicted C_(l+1) / C_l."""
        return self.eps**2 * float((self.a**2 / self.n) ** (1.0 / self.layers))

    @property
    def y(self) -> Float64[np.ndarray, "k n"]:
        """One-hot labels."""
        return np.repeat(np.eye(self.k), self.n, axis=1)

    def bars(
        self, small: Small, unfitted: float, unbalanced: float
    ) -> Float64[np.ndarray, " hidden"]:
        """Error bar of C_(l+1) / C_l for l = 0 .. L - 2, relative, by the error model."""
        rho, layers = self.rho, self.layers
        y = self.a * self.eps**layers / float(np.sqrt(self.n)) + unfitted
        r = rho / (1.0 - y) ** (2.0 / layers) if y < 1.0 else 1.0
        o = (rho ** (layers / 2) + unfitted) ** 2 / ((1.0 - r) * (1.0 - y) ** 2) if r < 1.0 else 1.0
        t = 1.0 - float(small.sizes.min())
        q = o + (r * t / (1.0 - r) if r < 1.0 and self.d > self.k * self.n else 0.0)
        if r >= 1.0 or q >= 1.0:
            return np.full(layers - 1, np.inf)
        power = np.arange(layers)
        rows = self.k * (self.n - 1)
        lost = small.within @ (1.0 - small.sizes[:, None] ** power) / rows
        more = self.k / rows * o * rho**-power
        b = t / (1.0 - r * (1.0 - t))
        largest = ((1.0 + y) ** 2 / ((1.0 - r * b) * (1.0 - q))) ** (1.0 / layers)
        others = np.where(power == 0, q, q / (1.0 - q) * r**power)[:-1]
        smallest = (1.0 - y) ** (2.0 / layers) * (1.0 - others)
        least = (1.0 - lost[1:]) / (1.0 - lost[:-1] + more[:-1]) / largest
        most = (1.0 - lost[1:] + more[1:]) / (1.0 - lost[:-1]) / smallest
        return np.maximum(1.0 - least, most - 1.0) + layers * unbalanced

    def __str__(self) -> str:
        return f"{self.k} classes of {self.n} orthonormal rows in R^{self.d}"


def outputs(weights: Layers, x: Features) -> Layers:
    """x, W_1 x, .., W_L .. W_1 x."""
    found = [x]
    for w in weights:
        found.append(w @ found[-1])
    return found


def within_by_between(features: Features, k: int) -> float:
    """tr S_W / tr S_B of features sorted by class, k classes of one size."""
    each = features.T.reshape(k, -1, len(features))
    means = each.mean(axis=1)
    within = np.sum((each - means[:, None]) ** 2) / features.shape[1]
    return float(within / (np.sum((means - means.mean(axis=0)) ** 2) / k))


@dataclass(frozen=True, eq=False)
class Trained:
    """Orthonormal rows x, the layers at the start of the flow and at its end."""

    setting: Setting
    x: Features
    start: Layers
    weights: Layers

    @property
    def unfitted(self) -> float:
        """|a W_L .. W_1 x - y| / sqrt n, spectral norm."""
        s = self.setting
        rest = s.a * outputs(self.weights, self.x)[-1] - s.y
        return float(np.linalg.norm(rest, 2) / np.sqrt(s.n))

    @property
    def unbalanced(self) -> float:
        """By how much W_(l+1)^T W_(l+1) - W_l W_l^T changed, over all layers, by eps^2."""
        before, after = (
            [v.T @ v - w @ w.T for w, v in pairwise(layers)]
            for layers in (self.start, self.weights)
        )
        moved = [np.linalg.norm(b - a, 2) for a, b in zip(before, after, strict=True)]
        return float(sum(moved)) / self.setting.eps**2

    @property
    def ratios(self) -> Float64[np.ndarray, " hidden"]:
        """C_(l+1) / C_l for l = 0 .. L - 2."""
        hidden = outputs(self.weights, self.x)[:-1]
        c = np.array([within_by_between(features, self.setting.k) for features in hidden])
        return c[1:] / c[:-1]

    @property
    def small(self) -> Small:
        """The K smallest directions, as the error model has them."""
        k, n = self.setting.k, self.setting.n
        _, sizes, right = np.linalg.svd(self.weights[0])
        parts = (right[-k:] @ self.x).reshape(k, k, n)
        parts -= parts.mean(axis=2, keepdims=True)
        return Small(
            np.minimum((sizes[-k:] / self.setting.eps) ** 2, 1.0), np.sum(parts**2, axis=(1, 2))
        )

    @property
    def bars(self) -> Float64[np.ndarray, " hidden"]:
        """Error bars of the ratios, relative."""
        return self.setting.bars(self.small, self.unfitted, self.unbalanced)

    @property
    def kept(self) -> Float64[np.ndarray, "hidden j"]:
        """The d - 2 K singular values of every hidden layer between the K largest and smallest."""
        k = self.setting.k
        each = [np.linalg.svd(w, compute_uv=False)[k:-k] for w in self.weights[:-1]]
        return np.stack(each)


def train(s: Setting, seed: int) -> Trained:
    """The flow from an orthogonal start, by RK45 at rtol = 1e-6."""
    rng = np.random.default_rng(seed)

    def orthonormal(columns: int) -> Float64[np.ndarray, "d _"]:
        return np.linalg.qr(rng.standard_normal((s.d, columns)))[0]

    x = orthonormal(s.k * s.n)
    start = [s.eps * orthonormal(s.d) for _ in range(s.layers - 1)] + [s.eps * orthonormal(s.k).T]
    cuts = np.cumsum([w.size for w in start])[:-1]

    def layers(flat: Float64[np.ndarray, " p"]) -> Layers:
        parts = np.split(flat, cuts)
        return [part.reshape(w.shape) for part, w in zip(parts, start, strict=True)]

    def velocity(_: float, flat: Float64[np.ndarray, " p"]) -> Float64[np.ndarray, " p"]:
        weights, moved = layers(flat), []
        *hidden, out = outputs(weights, x)
        back = s.a * (s.y - s.a * out)
        for w, h in zip(reversed(weights), reversed(hidden), strict=True):
            moved.append((back @ h.T).ravel())
            back = w.T @ back
        return np.concatenate(moved[::-1])

    flat = np.concatenate([w.ravel() for w in start])
    with BLAS.limit(limits=1):
        flow = solve_ivp(velocity, (0.0, TIME), flat, t_eval=[TIME], rtol=1e-6, atol=1e-8)
    return Trained(s, x, start, layers(flow.y[:, -1]))


WRONG: dict[str, Callable[[Setting], float]] = {
    "n + 1 rows per class": lambda s: replace(s, n=s.n + 1).rho,
    "n - 1 rows per class": lambda s: replace(s, n=s.n - 1).rho,
    "the power 1 / (L - 1)": lambda s: s.eps**2 * (s.a**2 / s.n) ** (1.0 / (s.layers - 1)),
    "the power 1 / (L + 1)": lambda s: s.eps**2 * (s.a**2 / s.n) ** (1.0 / (s.layers + 1)),
}
"""Hypotheses and the ratio that they predict."""


def layer_wise(s: Setting, wrong: str) -> Measurement:
    """The ratio of C of every hidden layer, and the size it keeps, the farthest of all starts."""
    found = [train(s, seed) for seed in range(SEEDS)]
    unbalanced = max(f.unbalanced for f in found)
    bars = s.rho * np.max([f.bars for f in found], axis=0)
    measured, kept = np.stack([f.ratios for f in found]), np.stack([f.kept for f in found])
    ratios = [
        farthest(f"C_{at + 1} / C_{at}", s.rho, measured[:, at], bar, tolerances.LAYER_WISE * s.rho)
        for at, bar in enumerate(bars.tolist())
    ]
    same = farthest("kept size", s.eps, kept, s.eps * unbalanced, tolerances.OPTIMISER * s.eps)
    control = q.refuted(wrong, min(ratios, key=lambda ratio: ratio.error), WRONG[wrong](s))
    return Measurement(
        str(s), "none", f"flow of {s.layers} linear layers, {SEEDS} starts of size {s.eps:g}",
        (float(np.log(TIME / 100)), float(np.log(TIME))), float("nan"), (*ratios, same), control,
        clock="t",
    )  # fmt: skip


CLAIMS = (
    Claim(
        "wang2025-layers",
        "Wang, Li, Yaras, Zhu, Balzano, Hu, Qu, JMLR 2025, abstract; ratio and error model derived",
        "In deep linear networks the spread within classes, relative to that between them, falls "
        "by one factor from every hidden layer to the next, eps^2 (a^2 / n)^(1/L).",
        (
            Case(partial(layer_wise, Setting(3, 20, 60, 6, 0.25, 100.0), "the power 1 / (L + 1)")),
            Case(partial(layer_wise, Setting(2, 20, 40, 4, 0.1, 100.0), "the power 1 / (L - 1)")),
            Case(partial(layer_wise, Setting(2, 15, 40, 5, 0.2, 50.0), "the power 1 / (L + 1)")),
            Case(partial(layer_wise, Setting(3, 10, 200, 3, 0.05, 30.0), "n + 1 rows per class")),
            Case(partial(layer_wise, Setting(2, 10, 200, 3, 0.05, 30.0), "n - 1 rows per class")),
        ),
    ),
)
