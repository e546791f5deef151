"""Neural collapse of a last layer: seconds and digits beside a public PyTorch implementation.

Float32 features, Gaussian classes. The peer is rhubarbwu/neural-collapse as its README uses it, in
batches, its statistics in float64, so that digits can be compared; its pseudo-inverse of a d x d
matrix and its d x d covariance are why it stops at a few thousand features. Its cdnv has the digits
of float32 whatever it is told. The last line is what float32 loses: the same pseudo-inverse on
float32 statistics beside ours.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks import Line, timed
from svmconv.measures.neural_collapse import NeuralCollapse, neural_collapse

SECONDS = 2.0
DIGITS = 1e-6
FEATURES, LONG = (60_000, 512), (1_000, 65_536)
CLASSES, BATCH = 10, 1000
PEER = "rhubarbwu/neural-collapse"
MISSING = "not installed: pip install torch git+https://github.com/rhubarbwu/neural-collapse"


def lines() -> Iterator[Line]:
    layer = layer_of(*FEATURES)
    seconds, ours = best(lambda: neural_collapse(*layer))
    yield Line(
        f"NC1 to NC4, {FEATURES[0]:,} x {FEATURES[1]}, {CLASSES} classes",
        f"{seconds:.2f} s, NC1 {ours.nc1:.6f}", f"under {SECONDS:g} s", seconds < SECONDS,
    )  # fmt: skip
    yield from beside_peer(layer, seconds, ours)
    long = layer_of(*LONG)
    seconds, found = best(lambda: neural_collapse(*long))
    yield Line(
        f"{LONG[0]:,} x {LONG[1]:,}",
        f"{seconds:.2f} s, rank {found.rank} (d x d would be {8 * LONG[1] ** 2 / 2**30:.0f} GiB)",
    )
    yield float32_pseudo_inverse()


def layer_of(n: int, d: int, offset: float = 0.0) -> tuple[np.ndarray, ...]:
    """Features, labels, weight and a bias of zeros, which is all that the peer knows of one."""
    rng = np.random.default_rng(0)
    means, y = rng.standard_normal((CLASSES, d), np.float32) / 8, np.arange(n) % CLASSES
    x = rng.standard_normal((n, d), np.float32)
    x += means[y] + np.float32(offset)
    weight = means + rng.standard_normal((CLASSES, d), np.float32) / 8
    return x, y, weight, np.zeros(CLASSES)


def best(run: Callable[[], NeuralCollapse]) -> tuple[float, NeuralCollapse]:
    """Median seconds of three calls, once warm."""
    found = run()
    return statistics.median(timed(run)[0] for _ in range(3)), found


def beside_peer(
    layer: tuple[np.ndarray, ...], seconds: float, ours: NeuralCollapse
) -> Iterator[Line]:
    try:
        names = ("torch", "neural_collapse.accumulate", "neural_collapse.measure")
        torch, accumulate, measure = (import_module(name) for name in names)
    except ModuleNotFoundError:
        yield Line(f"  beside {PEER}", MISSING, f"equal to {DIGITS:.0e}", None)
        return
    peer = public(torch, accumulate, measure, layer)
    theirs = statistics.median(timed(peer)[0] for _ in range(3))
    found = peer()
    error = max(abs(getattr(ours, name) - value) / (value or 1.0) for name, value in found.items())
    yield Line(
        f"  beside {PEER}",
        f"{theirs:.2f} s, {theirs / seconds:.1f} times ours; {', '.join(found)} to {error:.0e}",
        f"equal to {DIGITS:.0e}", error <= DIGITS,
    )  # fmt: skip


def public(
    torch: Any, accumulate: Any, measure: Any, layer: tuple[np.ndarray, ...]
) -> Callable[[], dict[str, float]]:
    """What the peer measures, under our names."""
    x, y, w = (torch.from_numpy(array) for array in layer[:3])
    w = w.double()
    shape = {"n_classes": CLASSES, "d_vectors": x.shape[1], "dtype": torch.float64}

    def run() -> dict[str, float]:
        means = accumulate.MeanAccumulator(**shape)
        for rows, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
            means.accumulate(rows.double(), labels)
        m, centre = means.compute()
        covariance = accumulate.CovarAccumulator(**shape, M=m)
        variances = accumulate.VarNormAccumulator(**shape, M=m)
        decisions = accumulate.DecAccumulator(**shape, M=m, W=w)
        for rows, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
            rows = rows.double()
            covariance.accumulate(rows, labels, m)
            variances.accumulate(rows, labels, m)
            decisions.accumulate(rows, labels, w, m)
        return {
            "nc1": measure.covariance_ratio(covariance.compute(), m, centre),
            "nc2_gram": measure.simplex_etf_error(m, centre),
            "nc3_gram": measure.self_duality_error(w, m, centre),
            "nc4": 1.0 - measure.clf_ncc_agreement(decisions),
            "cdnv": measure.variability_cdnv(variances.compute()[0], m),
        }

    return run


def float32_pseudo_inverse() -> Line:
    """tr(S_W pinv(S_B)) / K of the same features: float32 means, covariances and numpy's pinv."""
    x, y, *_ = layer_of(2_000, 128, offset=100.0)
    means = np.array([x[y == c].mean(axis=0) for c in range(CLASSES)])
    m, off = means - means.mean(axis=0), x - means[y]
    inverse = np.linalg.pinv(m.T @ m / np.float32(CLASSES))
    theirs = float(np.trace(off.T @ off / np.float32(len(x)) @ inverse)) / CLASSES
    ours = neural_collapse(x, y).nc1
    return Line("NC1 at an offset of 100", f"{ours:.6f}, by a float32 pseudo-inverse {theirs:.1e}")
