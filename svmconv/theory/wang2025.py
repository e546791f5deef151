"""Wang, Li, Yaras, Zhu, Balzano, Hu, Qu, JMLR 2025: deep linear networks, layer by layer.

Gradient flow of |a W_L .. W_1 X - Y|^2 / 2: orthonormal rows X (d, N), Y one-hot, n rows of each of
K classes, W_l (d, d) orthogonal times eps, W_L (K, d) of orthonormal rows times eps. C_l = tr S_W /
tr S_B of the output of layer l, C_0 = (n - 1) K / (K - 1). For the hidden layers [derived]

    C_(l+1) / C_l = rho = (eps / s)^2,     s = (sqrt n / a)^(1/L):

within classes a layer keeps its initial size eps; between them all layers share what Y asks for.

*The error model* [derived]. The flow conserves W_(l+1)^T W_(l+1) - W_l W_l^T: zero at the start,
but -eps^2 (I - P), P of rank K, for the last layer. So the hidden layers share singular values S,
W_l .. W_1 = U S^l V^T, and since W_L has rank K (Weyl) d - 2 K of S are eps *exactly*, K larger
(their right vectors: V_1), K smaller. Let x = K / (N - K); y what the d - K small directions may
give of the output, a eps^L / sqrt n, and what of Y is not fitted; r = rho / (1 - y)^(2/L).

- *Within*, N tr S_W = sum omega_j S_j^(2 l), omega_j <= 1 of sum N - K. The K smaller take at most
  K of that sum away. The output of V_1 within classes cancels that of the small directions, so its
  omega are at most o = (rho^(L/2) + unfitted)^2 / ((1 - r) (1 - y)^2). In units of (N - K)
  eps^(2 l), N tr S_W is at least 1 - x (1 + o), and at most 1 + x o rho^-l.
- *Between*, at l = L - 1: W_L makes sqrt n / a = s^L of it, up to 1 +- y. On V_1 its singular
  values squared are at least S_K^2 - eps^2, S_K >= s (1 - y)^(1/L), and at most S_1^2 <= s^2 ((1 +
  y)^2 / ((1 - r) (1 - r - o)))^(1/L), V_1 lying outside the rows by a sine of at most eps / S_K.
  The small directions add rho^(L - 1).

The mean ratio is (C_(L-1) / C_0)^(1 / (L - 1)), and all of this counts 1 / (L - 1) times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

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

    def bar(self, unfitted: float, unbalanced: float) -> float:
        """Error bar of the mean ratio, relative, by the error model."""
        rho, layers = self.rho, self.layers
        x = 1.0 / (self.n - 1)
        y = self.a * self.eps**layers / float(np.sqrt(self.n)) + unfitted
        r = rho / (1.0 - y) ** (2.0 / layers) if y < 1.0 else 1.0
        o = (rho ** (layers / 2) + unfitted) ** 2 / ((1.0 - r) * (1.0 - y) ** 2) if r < 1.0 else 1.0
        if r + o >= 1.0:
            return float("inf")
        within = max(1.0 - x * (1.0 + o), 0.0), 1.0 + x * o / rho ** (layers - 1)
        between = (
            (1.0 - y) ** 2 * ((1.0 - r) * (1.0 - r - o) / (1.0 + y) ** 2) ** (1.0 / layers),
            (1.0 + y) ** 2 * r / rho / (1.0 - r) + rho ** (layers - 1),
        )
        least, most = within[0] / between[1], within[1] / between[0]
        root = 1.0 / (layers - 1)
        return max(1.0 - least**root, most**root - 1.0) + unbalanced

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
    def mean_ratio(self) -> float:
        """(C_(L-1) / C_0)^(1 / (L - 1))."""
        hidden = outputs(self.weights, self.x)[:-1]
        first, last = (within_by_between(hidden[at], self.setting.k) for at in (0, -1))
        return (last / first) ** (1.0 / (self.setting.layers - 1))

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
    "every layer has the same C": lambda s: 1.0,
    "no power 1 / L": lambda s: s.eps**2 * s.a**2 / s.n,
    "the power 1 / (L - 1)": lambda s: s.eps**2 * (s.a**2 / s.n) ** (1.0 / (s.layers - 1)),
}
"""Hypotheses and the ratio that they predict."""


def layer_wise(s: Setting, wrong: str) -> Measurement:
    """Mean ratio of C, and the size that layers keep, the farthest of all starts."""
    found = [train(s, seed) for seed in range(SEEDS)]
    unbalanced = max(f.unbalanced for f in found)
    bar = s.rho * s.bar(max(f.unfitted for f in found), unbalanced)
    ratios, kept = np.array([f.mean_ratio for f in found]), np.stack([f.kept for f in found])
    right = (
        farthest("C_(l+1) / C_l", s.rho, ratios, bar, tolerances.LAYER_WISE * s.rho),
        farthest("kept size", s.eps, kept, s.eps * unbalanced, tolerances.OPTIMISER * s.eps),
    )
    control = q.refuted(wrong, right[0], WRONG[wrong](s))
    return Measurement(
        str(s), "none", f"flow of {s.layers} linear layers, {SEEDS} starts of size {s.eps:g}",
        (float(np.log(TIME / 100)), float(np.log(TIME))), float("nan"), right, control, clock="t",
    )  # fmt: skip


CLAIMS = (
    Claim(
        "wang2025-layers",
        "Wang, Li, Yaras, Zhu, Balzano, Hu, Qu, JMLR 2025, abstract; ratio and error model derived",
        "In deep linear networks the spread within classes, relative to that between them, falls "
        "by one factor from layer to layer, eps^2 (a^2 / n)^(1/L).",
        (
            Case(partial(layer_wise, Setting(3, 10, 50, 6, 0.3, 100.0), "no power 1 / L")),
            Case(partial(layer_wise, Setting(2, 20, 40, 4, 0.1, 100.0), "the power 1 / (L - 1)")),
            Case(partial(layer_wise, Setting(3, 20, 60, 3, 0.05, 30.0), "the power 1 / (L - 1)")),
            Case(
                partial(layer_wise, Setting(2, 15, 40, 5, 0.2, 50.0), "every layer has the same C")
            ),
        ),
    ),
)
