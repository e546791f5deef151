"""Ji, Lu, Zhang, Deng, Su, ICLR 2022: unconstrained features without weight decay.

Descent on the cross-entropy of Z = W H (K classes, N rows, free features H) tends to KKT points of
min (|W|^2 + |H|^2) / 2 subject to margins Z[y_i, i] - Z[j, i] >= 1 (Lyu & Li 2020), which over all
factorisations is min |Z|_* (nuclear norm).

*The optimum is Z = Y - 1/K for classes of any sizes n_c* [derived]; published for equal ones. Let C
= I - 1 1^T / K and A = C diag(n) C = Z Z^T. The dual asks for D_i = sum_j alpha_ij (e_y - e_j),
alpha >= 0, |D| <= 1; D = A^(-1/2) Z (on the image of C) has <D, Z> = |Z|_*, all margins are 1, and
alpha_ij = -(A^(-1/2))_jy. That is positive: A^(-1/2) = (1 / pi) int t^(-1/2) (A + t)^-1 dt there,
and (C diag(n + t) C)^+ = diag(r) - r r^T / sum r, r = 1 / (n + t). So |Z|_* = tr A^(1/2), which for
equal n is (K - 1) sqrt n.

*How near.* If Z is feasible and g above a dual value sum alpha, sum alpha_ij (margin_ij - 1) <= g:
the margins are within g / min alpha =: e of 1 (root of the sum of squares), and C Z of Y - 1/K.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int

from svmconv.svm.solve import BLAS
from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import EPS
from svmconv.theory.ji2022_descent import descend
from svmconv.theory.optima import farthest, measured_case, slope

Gram = Float64[np.ndarray, "k k"]
Logits = Float64[np.ndarray, "k n"]


@dataclass(frozen=True)
class Classes:
    """Classes of these sizes."""

    sizes: tuple[int, ...]

    @property
    def k(self) -> int:
        """How many."""
        return len(self.sizes)

    @property
    def y(self) -> Int[np.ndarray, " n"]:
        """The class of every row."""
        return np.repeat(np.arange(self.k), self.sizes)

    @property
    def own(self) -> Bool[np.ndarray, "k n"]:
        """own[k, i]: whether row i is of class k."""
        return np.arange(self.k)[:, None] == self.y

    @property
    def best(self) -> Logits:
        """Y - 1 / K."""
        return self.own - 1.0 / self.k

    def power(self, exponent: float) -> Gram:
        """A^exponent on the image of C."""
        values, vectors = np.linalg.eigh(self.best @ self.best.T)
        values, vectors = values[1:], vectors[:, 1:]
        return (vectors * values**exponent) @ vectors.T

    @property
    def value(self) -> float:
        """tr A^(1/2), the nuclear norm of Y - 1 / K."""
        return float(np.trace(self.power(0.5)))

    @property
    def equal(self) -> bool:
        """Whether all sizes are."""
        return len(set(self.sizes)) == 1

    def margins(self, z: Logits) -> Logits:
        """Z[y_i, i] - Z[j, i], with 1 in place of the row's own class."""
        return np.where(self.own, 1.0, z[self.y, np.arange(len(self.y))] - z)

    def __str__(self) -> str:
        return f"classes of {', '.join(map(str, self.sizes))} rows, no decay"


@dataclass(frozen=True, eq=False)
class Found:
    """Feasible Z, its nuclear norm, a lower bound, and the least dual of that bound."""

    z: Logits
    upper: float
    lower: float
    least: float

    @property
    def error(self) -> float:
        """e of the docstring."""
        return (max(self.upper - self.lower, 0.0) + 64 * EPS * self.upper) / self.least


def smallest(classes: Classes) -> Found:
    """Z of least nuclear norm with all margins at least 1, by an interior-point solver.

    Z is divided by its least margin and the duals by the spectral norm of D: both are feasible.
    """
    import cvxpy as cp

    k, n = classes.k, len(classes.y)
    others, rows = np.nonzero(~classes.own)
    with BLAS.limit(limits=1):
        z = cp.Variable((k, n))
        margins = z[classes.y[rows], rows] - z[others, rows]
        apart = margins >= 1.0
        cp.Problem(cp.Minimize(cp.normNuc(z)), [apart]).solve(solver=cp.CLARABEL)
        found = np.asarray(z.value) / np.asarray(margins.value).min()
        alpha = np.zeros((k, n))
        alpha[others, rows] = np.maximum(np.asarray(apart.dual_value, float), 0.0)
        d = classes.own * alpha.sum(axis=0) - alpha
        alpha /= np.linalg.norm(d, 2)
        upper = float(np.linalg.norm(found, "nuc"))
    return Found(found, upper, float(alpha.sum()), float(alpha[others, rows].min()))


def program(classes: Classes) -> Measurement:
    """Nuclear norm, margins and Z of the program."""
    found = smallest(classes)
    centred = found.z - found.z.mean(axis=0)
    value, wide = classes.value, tolerances.OPTIMISER
    error = max(found.upper - found.lower, 0.0) + 64 * EPS * value
    away = np.array(np.linalg.norm(centred - classes.best))
    right = (
        Quantity("|Z|_*", value, found.upper, error, tolerances.OPTIMUM * value),
        farthest("margins", 1.0, classes.margins(found.z), found.error, wide),
        farthest("|Z - (Y - 1/K)|", 0.0, away, found.error, wide),
    )
    mean = float(np.sqrt(np.mean(classes.sizes)))
    hypothesis, wrong = (
        ("Z = Y, orthogonal classes", classes.k * mean) if classes.equal
        else ("(K - 1) sqrt n, n the mean size", (classes.k - 1) * mean)
    )  # fmt: skip
    control = q.refuted(hypothesis, right[0], wrong)
    return measured_case(str(classes), "nuclear norm program, Clarabel", right, control)


SEEDS, STEPS, RATE, SMALL = 2, 10_000, 0.25, 0.1


def trained(classes: Classes, d: int) -> Measurement:
    """Descent on ln L: growth of the margin, and the Gram matrix of W, the farthest of all starts.

    Divided by the least margin m, Z is feasible, and g = (|W|^2 + |H|^2) / 2 m - |Z*|_*. With B =
    W^T W - H H^T, (W W^T)^2 = Z Z^T + W B W^T, and square roots differ by the root of the trace
    norm (Powers & Stormer 1970), the modulus by sqrt 2 (Araki & Yamagami 1981): W W^T / m is within
    sqrt 2 e + (|W|^2 |B|_*)^(1/2) / m of A^(1/2).
    """
    value, gram = classes.value, classes.power(0.5)
    least = -float(classes.power(-0.5)[~np.eye(classes.k, dtype=bool)].max())
    slopes, grams, bars = [], [], []
    for seed in range(SEEDS):
        w, h, size, margin = descend(classes.own, d, seed, STEPS, RATE, SMALL)
        slopes.append(slope(size, margin))
        m = float(margin[-1])
        along = float(np.linalg.norm((w @ h).sum(axis=0))) / np.sqrt(classes.k) / m
        e = (float(size[-1]) / m - value) / least + along
        unlike = np.linalg.norm(w.T @ w - h @ h.T, "nuc")
        grams.append(w @ w.T / m)
        bars.append(np.sqrt(2.0) * e + np.linalg.norm(w, 2) * np.sqrt(unlike) / m)
    growth, bar = np.array([found for found, _ in slopes]), max(bent for _, bent in slopes)
    right = (
        farthest("d margin / d size", 1.0 / value, growth, bar, tolerances.OTHER_NORMS / value),
        apart(grams, gram, gram, float(max(bars))),
    )
    other, hypothesis = (
        (np.eye(classes.k), "an orthogonal frame") if classes.equal
        else (np.eye(classes.k) - 1.0 / classes.k, "a simplex, as for equal classes")
    )  # fmt: skip
    other = other * (np.sum(gram * other) / np.sum(other**2))
    wrong = apart(grams, other, gram, float(max(bars)))
    if apart([gram], other, gram, 0.0).measured < 2.0 * wrong.error:
        wrong = replace(wrong, error=float("inf"))
    return Measurement(
        str(classes), "none", f"descent on ln L, features in R^{d}, {SEEDS} starts",
        (float(np.log(STEPS / 4)), float(np.log(STEPS))), float("nan"), right,
        Control(hypothesis, (wrong,)), clock="steps",
    )  # fmt: skip


def apart(grams: list[Gram], from_: Gram, unit: Gram, error: float) -> Quantity:
    """The largest distance of some Gram matrices from one, in units of |unit|."""
    size = float(np.linalg.norm(unit))
    distances = np.array([np.linalg.norm(gram - from_) for gram in grams]) / size
    return farthest("W W^T", 0.0, distances, error / size, tolerances.LIMIT)


CLAIMS = (
    Claim(
        "ji2022-program",
        "Ji, Lu, Zhang, Deng, Su, ICLR 2022, abstract; unequal classes derived",
        "Without decay the unconstrained features of largest margin have logits Y - 1/K, of "
        "nuclear norm (K - 1) sqrt n; with classes of any sizes the same logits, of another norm.",
        (
            Case(partial(program, Classes((4, 4)))),
            Case(partial(program, Classes((3, 3, 3, 3)))),
            Case(partial(program, Classes((5, 5, 1)))),
            Case(partial(program, Classes((7, 2, 1, 1)))),
        ),
    ),
    Claim(
        "ji2022-descent",
        "Ji, Lu, Zhang, Deng, Su, ICLR 2022, abstract; unequal classes derived",
        "Descent on cross-entropy without decay grows the margin of unconstrained features as fast "
        "as that norm allows; W tends to a simplex for equal classes, and not for unequal ones.",
        (
            Case(partial(trained, Classes((5, 5, 5, 5)), 6)),
            Case(partial(trained, Classes((5, 5, 1)), 4)),
        ),
    ),
)
