"""Random data sets: Gaussian half-spaces and the simulated sets of Li, Ding, Gao (2018).

The latter, arXiv 1808.05385, live in the plane and have 5000 points. Two classes are labelled -1
and +1, K classes 0..K-1. Rows are drawn independently, so Gaussian sets are separable with high
probability only; those described by distances are so by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float64

from svmconv.data.arguments import check_positive, telling_name
from svmconv.errors import DataError
from svmconv.problem import Problem, check_counts

Points = Float64[np.ndarray, "n 2"]


def half_spaces(n: int = 1000, d: int = 10, margin: float = 0.3, seed: int = 0) -> Problem:
    """n standard Gaussian rows in R^d, labelled by a random half-space, pushed `margin` away.

    Separable through the origin with margin at least `margin`.
    """
    check_counts(2, n=n)
    check_counts(1, d=d)
    check_positive(margin=margin)
    rng = _generator(seed)
    w = rng.standard_normal(d)
    w /= np.linalg.norm(w)
    x = rng.standard_normal((n, d))
    side = np.where(x @ w >= 0, 1, -1)
    if abs(side.sum()) == n:  # every row on one side: mirror the first one
        x[0], side[0] = -x[0], -side[0]
    return Problem(x + margin * side[:, None] * w, side, telling_name(half_spaces, locals()))


def blobs(
    n: int = 5000,
    centres: Sequence[Sequence[float]] = ((0.2, 0.2), (0.8, 0.8)),
    std: float = 0.1,
    seed: int = 0,
) -> Problem:
    """Isotropic Gaussians of equal size around two `centres`."""
    name = telling_name(blobs, locals())
    if len(centres) != 2:
        raise DataError(f"blobs needs two centres, got {len(centres)}: use multiclass_blobs")
    x, index = _gaussians(n, centres, std, seed)
    return Problem(x, 2 * index - 1, name)


def multiclass_blobs(
    n: int = 5000,
    centres: Sequence[Sequence[float]] = ((10.0, 10.0), (45.0, 75.0), (80.0, 10.0)),
    std: float = 5.0,
    seed: int = 0,
) -> Problem:
    """Isotropic Gaussians of equal size around K `centres`."""
    name = telling_name(multiclass_blobs, locals())
    return Problem(*_gaussians(n, centres, std, seed), name)


def sectors(
    n: int = 5000,
    inner: tuple[float, float] = (0.1, 0.2),
    outer: tuple[float, float] = (0.283, 0.4),
    seed: int = 0,
) -> Problem:
    """Two rings cut to the positive quadrant, uniform in area; a quarter of the rows is inner.

    Separable, with an intercept, by x1 + x2 = c when sqrt 2 inner[1] < outer[0], and in the limit
    of many rows only then. Also published: inner = (.1, 200), outer = (300, 400), and
    outer = (.25, .4), which is not separable.
    """
    check_counts(4, n=n)
    if not 0 <= inner[0] < inner[1] < outer[0] < outer[1] < np.inf:
        raise DataError(f"radii must increase from inner to outer, got {inner!r} and {outer!r}")
    rng = _generator(seed)
    radii = np.array([inner, outer])[(np.arange(n) >= n // 4).astype(int)]
    low, high = radii.T
    radius = np.sqrt(low**2 + rng.random(n) * (high**2 - low**2))
    polar = rng.random(n) * np.pi / 2
    x = radius[:, None] * np.column_stack([np.cos(polar), np.sin(polar)])
    return Problem(x, np.where(low == inner[0], -1, 1), telling_name(sectors, locals()))


def moons(n: int = 5000, noise: float = 0.1, seed: int = 0) -> Problem:
    """Two interleaved half circles of radius 1 with Gaussian noise; not linearly separable."""
    check_counts(2, n=n)
    if not 0 <= noise < np.inf:
        raise DataError(f"noise must be a number of at least 0, got {noise!r}")
    rng = _generator(seed)
    sign = 2 * (np.arange(n) % 2) - 1
    polar = rng.random(n) * np.pi
    arc = np.column_stack([np.cos(polar), np.sin(polar)])
    lower = np.array([1.0, 0.5]) - arc
    x = np.where(sign[:, None] > 0, lower, arc) + noise * rng.standard_normal((n, 2))
    return Problem(x, sign, telling_name(moons, locals()))


def half_plane(n: int = 5000, margin: float = 0.1, seed: int = 0) -> Problem:
    """The unit square cut along x1 + x2 = 1, points closer than `margin` to the line left out."""

    def distance(x: Points) -> Float64[np.ndarray, " n"]:
        return (x.sum(axis=1) - 1.0) / np.sqrt(2.0)

    return _cut_square(distance, n, margin, np.sqrt(0.5), seed, telling_name(half_plane, locals()))


def disc(n: int = 5000, radius: float = 0.2, margin: float = 0.1, seed: int = 0) -> Problem:
    """The unit square cut along a circle around (.5, .5), a ring of +-`margin` left out."""
    check_positive(radius=radius)

    def distance(x: Points) -> Float64[np.ndarray, " n"]:
        return np.linalg.norm(x - 0.5, axis=1) - radius

    widest = min(radius, np.sqrt(0.5) - radius)
    return _cut_square(distance, n, margin, widest, seed, telling_name(disc, locals()))


def _cut_square(
    distance: Callable[[Points], Float64[np.ndarray, " n"]],
    n: int,
    margin: float,
    widest: float,
    seed: int,
    name: str,
) -> Problem:
    """Half of the rows at distance <= -margin, half at >= margin, uniform in the unit square."""
    check_counts(2, n=n)
    check_positive(margin=margin)
    if margin > 0.9 * widest:
        raise DataError(
            f"margin={margin!r} leaves next to nothing of the unit square: give one below "
            f"{0.9 * widest:.3g}"
        )
    rng = _generator(seed)
    inside = _draw_where(lambda x: distance(x) <= -margin, n // 2, rng)
    outside = _draw_where(lambda x: distance(x) >= margin, n - n // 2, rng)
    return Problem(
        np.concatenate([inside, outside]), np.repeat([-1, 1], [n // 2, n - n // 2]), name
    )


def _draw_where(
    accept: Callable[[Points], Bool[np.ndarray, " n"]], n: int, rng: np.random.Generator
) -> Points:
    """n uniform points of the unit square that are accepted."""
    found = np.empty((0, 2))
    while len(found) < n:
        x = rng.random((max(n, 1000), 2))
        found = np.concatenate([found, x[accept(x)]])
    return found[:n]


def _gaussians(n: int, centres: Sequence[Sequence[float]], std: float, seed: int):
    """n rows (n, d), the classes in turn, and their class indices (n,)."""
    middle = np.array(centres, dtype=np.float64)
    if middle.ndim != 2 or len(middle) < 2:
        raise DataError(f"centres must be two or more points of one dimension, got {centres!r}")
    check_counts(len(middle), n=n)
    check_positive(std=std)
    index = np.arange(n) % len(middle)
    x = middle[index] + std * _generator(seed).standard_normal((n, middle.shape[1]))
    return x, index


def _generator(seed: int) -> np.random.Generator:
    check_counts(0, seed=seed)
    return np.random.default_rng(seed)
