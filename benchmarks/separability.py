"""Linear separability beside what a user would write instead: seconds, ratios, agreement.

Everything is measured in turn in one process; ratios are of the same run.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
from sklearn.metrics import roc_auc_score

import svmconv as sc
from benchmarks import Line, timed
from svmconv.measures.class_pairs import class_separability
from svmconv.measures.hulls import hull_distance
from svmconv.measures.ls_degree import ls_degree
from svmconv.measures.ranks import separabilities
from svmconv.measures.separability import linear_separability

ROUNDING = 1e-12
LAYERS, ROWS, UNITS, CLASSES = 8, 60_000, 512, 10
SECONDS = 10.0


def lines() -> Iterator[Line]:
    yield from one_direction(5000)
    yield from layers()
    yield wide_layer()
    yield from two_sets()


def one_direction(n: int) -> Iterator[Line]:
    """All three orders along one direction, against all n^2 pairs and against an AUC."""
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal(n) + 1.0, rng.standard_normal(n)
    ours = statistics.median(timed(lambda: separabilities(u, v))[0] for _ in range(21))
    found = separabilities(u, v)
    seconds, expected = timed(lambda: all_pairs(u, v))
    error = float(np.abs(found - expected).max())
    yield Line(
        f"LS_0, LS_1, LS_2 of {n} x {n} projections",
        f"{1e3 * ours:.2f} ms, all pairs {seconds / ours:.0f} times that, off by {error:.0e}",
        f"1000 times, {ROUNDING:.0e}",
        seconds > 1000 * ours and error <= ROUNDING,
    )
    labels, scores = np.repeat([1, 0], n), np.concatenate([u, v])
    seconds, auc = timed(lambda: roc_auc_score(labels, scores))
    yield Line(
        "  roc_auc_score, LS_0 alone",
        f"{seconds / ours:.1f} times ours, differs by {abs(float(auc) - found[0]):.0e}",
        f"{ROUNDING:.0e}",
        abs(float(auc) - found[0]) <= ROUNDING,
    )


def all_pairs(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """By the definition."""
    d = u[:, None] - v
    up, size = np.maximum(d, 0.0), np.abs(d)
    return np.array([(d > 0).mean(), up.sum() / size.sum(), (up**2).sum() / (size**2).sum()])


def layers() -> Iterator[Line]:
    """Every pair of classes of layers that separate them ever better."""
    total, values, separable = 0.0, [], []
    for number in range(LAYERS):
        x, y = layer(0.02 + 0.04 * number)
        seconds, found = timed(lambda x=x, y=y: class_separability(x, y))
        total += seconds
        values.append(float(found.separability.sel(order=0).mean()))
        separable.append(int(found.separable.sum()))
    pairs = CLASSES * (CLASSES - 1) // 2
    yield Line(
        f"{pairs} pairs x {LAYERS} layers of {ROWS:,} x {UNITS}",
        f"{total:.1f} s; LS_0 {values[0]:.3f} to {values[-1]:.3f}, {separable[-1]} pairs separable",
        f"under {SECONDS:.0f} s",
        total < SECONDS,
    )


def layer(signal: float) -> tuple[np.ndarray, np.ndarray]:
    """Relu features, float32, of Gaussian classes in a mix with a decaying spectrum."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, ROWS)
    means = signal * rng.standard_normal((CLASSES, UNITS))
    mix = rng.standard_normal((UNITS, UNITS)) * np.exp(-np.arange(UNITS) / 80.0)[:, None]
    x = (means[y] + rng.standard_normal((ROWS, UNITS))) @ (mix / np.sqrt(UNITS))
    return np.maximum(x + 0.05, 0.0).astype(np.float32), y


def wide_layer() -> Line:
    """A flattened convolution layer: more units than rows, hence no d x d matrix."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((2000, 65_536), dtype=np.float32), 0.0)
    y = rng.integers(0, CLASSES, len(x))
    seconds, found = timed(lambda: class_separability(x, y))
    pairs = CLASSES * (CLASSES - 1) // 2
    return Line(
        f"{pairs} pairs of 2,000 x 65,536, random labels",
        f"{seconds:.1f} s, {int(found.separable.sum())} pairs separable",
        f"all {pairs}, as they are",
        bool(found.separable.all()),
    )


def two_sets() -> Iterator[Line]:
    """The measures of two sets, on the hardest digits."""
    digits = sc.data.digits()
    eight = digits.x[digits.y == 8], digits.x[digits.y != 8]
    for order in (0, 1, 2):
        seconds, found = timed(lambda q=order: linear_separability(*eight, q))
        yield Line(
            f"8 against the other digits, LS_{order}",
            f"{seconds:.2f} s, {found.value:.6f} by {found.candidate}, null {found.null:.3f}",
        )
    seconds, hulls = timed(lambda: hull_distance(*eight))
    yield Line("  do the hulls meet?", f"{seconds:.2f} s, proven: {not hulls.separable}")
    seven = digits.x[digits.y == 7], digits.x[digits.y != 7]
    seconds, degree = timed(lambda: ls_degree(*seven))
    yield Line(
        "7 against the other digits, LS_Degree",
        f"{seconds:.2f} s, {degree.value:.9f}, bounds {degree.upper - degree.lower:.0e} apart",
        "1e-09",
        degree.upper - degree.lower <= 1e-9,
    )
