"""Signed rows: the constraints of the hard-margin program, built only where they are needed.

Two classes: one constraint per row, y_n (<w, x_n> + b) >= 1. K classes (Crammer and Singer, JMLR 2
(2001)): one per pair (n, k), k != y_n, <w_y - w_k, x_n> + b_y - b_k >= 1. Both read
<a, v> + <c, u> >= 1, with v the weights whose norm is minimised (w, or (w, b / sqrt c) for the
augmented bias, or all K of them stacked) and u the biases that cost nothing (bias "free"; K - 1 of
them, since only differences count).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int

from svmconv.problem import Bias, Problem

Pairs = Int[np.ndarray, " _"]
"""Constraints as flat indices n * J + k into the margins (n, J); J = 1 or K."""


@dataclass(frozen=True)
class SignedRows:
    """The constraints of one problem and bias kind, features divided by the problem's scale."""

    problem: Problem
    bias: Bias
    bias_scale: float

    @property
    def rivals(self) -> int:
        """J: columns of the margin matrix, 1 for two classes, K for K (own class included)."""
        return 1 if self.problem.binary else self.problem.n_classes

    @property
    def p(self) -> int:
        """Weights per class: d, or d + 1 with the augmented bias."""
        return self.problem.d + (self.bias == "augmented")

    @property
    def size(self) -> int:
        """Length of v: the weights whose norm is minimised."""
        return self.p * self.rivals

    @property
    def free(self) -> int:
        """Length of u: 1 or K - 1 for the free bias, else 0."""
        return max(1, self.rivals - 1) if self.bias == "free" else 0

    @cached_property
    def column(self) -> float:
        """The augmented column sqrt(c) in scaled units; 0 without one."""
        if self.bias != "augmented":
            return 0.0
        return math.sqrt(self.bias_scale) / self.problem.scale

    def take(self, pairs: Pairs) -> tuple[Float64[np.ndarray, "m s"], Float64[np.ndarray, "m q"]]:
        """The coefficients (a, c) of some constraints, in scaled units."""
        row, k = np.divmod(pairs, self.rivals)
        x = self.problem.x[row] / self.problem.scale
        if self.bias == "augmented":
            x = np.column_stack([x, np.full(len(x), self.column)])
        if self.problem.binary:
            y = self.problem.signs[row, None]
            return y * x, y * np.ones((1, self.free))
        m, own = np.arange(len(row)), self.problem.index[row]
        sign = np.zeros((len(row), self.rivals))
        sign[m, own], sign[m, k] = 1.0, -1.0
        return (sign[:, :, None] * x[:, None, :]).reshape(len(row), self.size), sign[:, : self.free]

    def margins(
        self, v: Float64[np.ndarray, " s"], u: Float64[np.ndarray, " q"]
    ) -> Float64[np.ndarray, "n j"]:
        """<a, v> + <c, u> of every constraint; +inf at a row's own class."""
        w, b = self.weights(v, u)
        scores = self.problem.x @ (w / self.problem.scale).T + b
        if self.problem.binary:
            return (self.problem.signs * scores)[:, None]
        own = scores[np.arange(len(scores)), self.problem.index]
        margins = own[:, None] - scores
        margins[self.problem.own] = np.inf
        return margins

    def tight(
        self, margins: Float64[np.ndarray, "n j"], v: Float64[np.ndarray, " s"]
    ) -> Bool[np.ndarray, "n j"]:
        """Which margins at v equal 1 up to the rounding of an inner product, 4 s eps |a| |v|."""
        x = self.problem.x / self.problem.scale
        largest = math.sqrt(2.0 * (np.einsum("ij,ij->i", x, x).max() + self.column**2))
        bound = 4.0 * self.size * np.finfo(np.float64).eps * largest * float(np.linalg.norm(v))
        return np.abs(margins - 1.0) <= bound

    def weights(
        self, v: Float64[np.ndarray, " s"], u: Float64[np.ndarray, " q"]
    ) -> tuple[Float64[np.ndarray, "*w"], Float64[np.ndarray, "*b"]]:
        """(w, b) of v and u in scaled units; K biases are centred, b is 0 without a bias."""
        v = v if self.problem.binary else v.reshape(self.rivals, self.p)
        w = v[..., : self.problem.d]
        if self.bias == "augmented":
            return w, np.asarray(v[..., -1] * self.column)
        if self.bias == "none":
            return w, np.zeros(w.shape[:-1])
        if self.problem.binary:
            return w, np.asarray(u[0])
        b = np.append(u, 0.0)
        return w, b - b.mean()

    def mean_difference(self) -> tuple[Float64[np.ndarray, " s"], Float64[np.ndarray, " q"]]:
        """A cheap first guess: class means less their average, thresholds halfway between them."""
        own = self.problem.own
        means = (own / own.sum(axis=0)).T @ self.problem.x / self.problem.scale
        if self.bias == "none":
            # without an intercept the best linear guess is the mean signed row, offset and all
            w = means[1] - means[0] if self.problem.binary else means - means.mean(axis=0)
            return w.ravel(), np.zeros(0)
        w = means - means.mean(axis=0)
        b = -((means + means.mean(axis=0)) * w).sum(axis=1) / 2.0
        if self.problem.binary:
            w, b = w[1] - w[0], b[1] - b[0]
        if self.bias == "free":
            return w.ravel(), np.atleast_1d(b if self.problem.binary else (b - b[-1])[:-1])
        return np.concatenate([w, np.asarray(b / self.column)[..., None]], axis=-1).ravel(), (
            np.zeros(0)
        )
