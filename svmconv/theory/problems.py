"""The problems that claims are tested on; each is built once per process."""

from __future__ import annotations

from functools import cache

import numpy as np

from svmconv import data
from svmconv.problem import Problem


@cache
def five_rows() -> Problem:
    """The smallest: N = 5, three support vectors that do not span R^4."""
    return data.planted(n=5, d=4, n_support=3, theta=2.0)


@cache
def partial_span() -> Problem:
    """N = 1,000 in R^10, six support vectors: their span is a proper subspace."""
    return data.planted(n=1000, d=10, n_support=6)


@cache
def full_span() -> Problem:
    """N = 5,000 in R^4, spanned by its support vectors."""
    return data.planted(n=5000, d=4, n_support=4, spanning=True)


@cache
def duplicated() -> Problem:
    """Every row of a spanning problem once, twice or three times: the duals are not unique."""
    base = data.planted(n=60, d=4, n_support=4, spanning=True)
    times = 1 + np.arange(base.n) % 3
    return Problem(base.x.repeat(times, 0), base.y.repeat(times), f"duplicated {base.name}")


@cache
def dependent() -> Problem:
    """Nine support vectors in R^4: a solver's duals are arbitrary, training's are not."""
    return data.planted(n=60, d=4, n_support=9, spanning=True)


@cache
def for_steps() -> Problem:
    """kappa = 1, so that 1e6 discrete steps get within 1e-3 of the limit."""
    return data.planted(n=20, d=4, n_support=4, spanning=True, theta=4.0, lambda_min=1.0)


@cache
def gaussian() -> Problem:
    """Ordinary data, n = 1,000, d = 10, margin 0.3: theta - 1 = 2e-3, too slow for ln t = 690."""
    return data.half_spaces(n=1000, d=10, margin=0.3)


@cache
def shifted() -> Problem:
    """A planted problem moved away from the origin: its augmented and classical SVMs differ."""
    base = data.planted(n=200, d=6, n_support=3)
    assert base.truth is not None
    return Problem(base.x + 1.5 * base.truth.w, base.y, f"shifted {base.name}")


@cache
def symmetric() -> Problem:
    """Mirror images, so that augmented and classical SVM agree and no run can tell them apart."""
    base = data.planted(n=50, d=4, n_support=4, spanning=True)
    x = base.signs[:, None] * base.x
    y = np.repeat([1, -1], base.n)
    return Problem(np.concatenate([x, -x]), y, f"mirrored {base.name}")


@cache
def theory_example() -> Problem:
    """Three support vectors with H - H_inf = 0.06369 and |v_bar| = 0.09690, four far rows."""
    z = [[0.5, 1, 0], [0.5, -0.5, 0.9], [0.5, -0.6, -0.8],
         [1.5, 0.3, 0.2], [1.6, -0.4, 0.8], [1.8, 0.9, -0.9], [2.2, 0, 0]]  # fmt: skip
    y = np.array([1, -1, 1, -1, 1, -1, 1])
    return Problem(y[:, None] * np.array(z), y, "the seven rows of docs/theory.md")


@cache
def two_of_three() -> Problem:
    """Two support vectors in R^3, where the l_inf geometry of sign descent has another optimum."""
    z = np.array([[1, 0.9, 0.2], [1, -0.7, 0.3], [1.9, 0.9, -0.1]])
    y = np.array([1, -1, 1])
    return Problem(y[:, None] * z, y, "two support vectors in R^3")


@cache
def three_classes() -> Problem:
    """Eight support vectors of three classes that span, pairs independent; theta = 3."""
    return data.planted(n=60, d=4, n_support=8, spanning=True, classes=3, theta=3.0)


@cache
def ten_clouds() -> Problem:
    """Fan, Schmidt, Thrampoulidis 2025: ten classes of 50 rows in R^25, centres N(0, I), std .1."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, 25)).repeat(50, 0)
    rows = centres + 0.1 * rng.standard_normal(centres.shape)
    return Problem(rows, np.arange(10).repeat(50), "ten clouds in R^25")


@cache
def two_rates(theta: float, lambda_min: float) -> Problem:
    """Spanned by its support vectors, with a remainder of rates theta - 1 and lambda_min."""
    return data.planted(n=40, d=4, n_support=4, spanning=True, theta=theta, lambda_min=lambda_min)


@cache
def gaussian_classes(n: int, d: int, classes: int, seed: int) -> Problem:
    """Standard Gaussians about orthogonal centres of length 6, of one size each."""
    rng = np.random.default_rng(seed)
    centres = 6.0 * np.linalg.qr(rng.standard_normal((d, d)))[0][:classes]
    y = np.arange(n) % classes
    name = f"{classes} Gaussians(n={n}, d={d}, seed={seed})"
    return Problem(centres[y] + rng.standard_normal((n, d)), y, name)


@cache
def dependent_pairs() -> Problem:
    """Three classes, nine support vectors: 18 supporting pairs in ten dimensions."""
    return data.planted(n=60, d=5, n_support=9, spanning=True, classes=3)


@cache
def degenerate() -> Problem:
    """z = (1, 0), (1, 1): the second touches the margin of the SVM (1, 0) with zero dual."""
    return Problem([[1.0, 0.0], [-1.0, -1.0]], [1, -1], "z = (1, 0), (1, 1)")


@cache
def nearly_degenerate() -> Problem:
    """z = (1, 0), (1.01, 1): the second lies beyond the margin, if not by much."""
    return Problem([[1.0, 0.0], [-1.01, -1.0]], [1, -1], "z = (1, 0), (1.01, 1)")


@cache
def two_zero_duals() -> Problem:
    """A planted problem in R^5 and two rows that touch the margin with zero dual.

    Outside the three-dimensional span of the support vectors they form an obtuse angle, so that
    both support the second SVM; inside they are tied to it.
    """
    base, rng = data.planted(n=30, d=5, n_support=3), np.random.default_rng(0)
    assert base.truth is not None
    w, support = base.truth.w, base.truth.alpha > 0
    axes = np.linalg.svd(base.x[support])[2]
    inside = 0.7 * rng.standard_normal((2, 3)) @ axes[:3]
    outside = np.array([[1.0, 0.0], [-0.48, 1.53]]) @ axes[3:]
    z = inside + outside + np.outer(1.0 - inside @ w, w) / (w @ w)
    y = np.array([1, -1])
    x = np.concatenate([base.x, y[:, None] * z])
    return Problem(x, np.concatenate([base.y, y]), f"two zero duals beside {base.name}")
