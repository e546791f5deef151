"""Two cheap companions of LS_q: the directional measure, and the general discrimination value."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.distance import cdist

from svmconv.errors import CertificateError, DataError
from svmconv.geometry import unit
from svmconv.measures.candidates import NAMES, candidates, contest_of
from svmconv.measures.hulls import hull_distance, turned
from svmconv.measures.ranks import placed, points, projected, two_sets
from svmconv.problem import Problem

BLOCK = 2**21
"""Distances held together: 16 MB."""


class Directional(NamedTuple):
    """Rows of B that the best half-space around A lets in, per row of A."""

    value: float
    direction: Float64[np.ndarray, " d"]
    """Unit vector; zero where no direction tells any two points apart."""
    candidate: str
    """As in Separability."""


def directional_measure(A: Any, B: Any) -> Directional:
    """min over w of #{b : w.b >= min over a of w.a} / |A| for A (n, d) and B (m, d).

    The least over the candidates of linear_separability and their opposites, hence an upper bound
    on the minimum, which is NP-hard; 0, exactly, where the hard-margin SVM exists. Not symmetric in
    A and B, and it may exceed 1 where B outnumbers A. Raises DataError.

    >>> directional_measure([[0.0], [2.0]], [[1.0], [-1.0], [-2.0]]).value  # 1 is above min A
    0.5
    """
    a, b = two_sets(A, B)
    x, n = placed(np.vstack([a, b])).x, len(a)
    try:
        svm = hull_distance(x[:n], x[n:]).svm
    except CertificateError:
        svm = None
    if svm is not None:
        return Directional(0.0, unit(svm.w), "svm")
    near = turned(x)
    contest = contest_of(near.x, np.repeat([0, 1], [n, len(b)]), np.array([[1], [-1]]))
    tried = [sign * near.back(w) for w in candidates(contest)[0][:, 0] for sign in (1.0, -1.0)]
    inside = []
    for w in tried:
        u, v = projected(w, x[:n], x[n:])
        inside.append(int((v >= u.min()).sum()))
    best = int(np.argmin(inside))
    w = tried[best]
    return Directional(inside[best] / n, unit(w) if w.any() else w, NAMES[best // 2])


def discrimination_value(features: Any, labels: Any) -> float:
    """Generalized discrimination value: 0 where labels mean nothing, -1 for classes far apart.

    GDV = (mean over classes of the mean distance within - mean over pairs of classes of the mean
    distance between) / sqrt d, every feature first centred and brought to standard deviation 1/2
    (Schilling et al., Neural Networks 139 (2021)). features (n, d), labels (n,). Features that are
    constant count as 0. All distances are taken: O(n^2 d) time. Raises DataError, also for a class
    of one row, which has no distance within.

    >>> discrimination_value([[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1])
    -1.0
    """
    x = points("features", features).astype(np.float64)
    labelled = Problem(np.zeros((len(x), 1)), labels)
    counts = np.bincount(labelled.index)
    if counts.min() < 2:
        name = labelled.classes[counts.argmin()].item()
        raise DataError(f"class {name!r} has one row, and no distance within: drop the class")
    x = _standardised(x)
    members = [x[labelled.index == k] for k in range(len(counts))]
    k = len(members)
    sums = np.array([[_distances(p, q) if i <= j else 0.0 for j, q in enumerate(members)]
                     for i, p in enumerate(members)])  # fmt: skip
    within = np.diag(sums) / (counts * (counts - 1))
    between = np.triu(sums / np.outer(counts, counts), 1).sum() / (k * (k - 1) / 2)
    return float((within.mean() - between) / np.sqrt(x.shape[1]))


def _standardised(x: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    """Every feature of mean 0 and standard deviation 1/2, whatever its scale; constant ones 0."""
    x = np.where(x.min(axis=0) < x.max(axis=0), x, 0.0)
    x = np.ldexp(x, -np.frexp(np.abs(x).max(axis=0))[1])  # exact, and sums stay in float64
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    return x * np.where(spread > 0, 0.5 / np.where(spread > 0, spread, 1.0), 0.0)


def _distances(p: Float64[np.ndarray, "n d"], q: Float64[np.ndarray, "m d"]) -> float:
    step = max(1, BLOCK // len(q))
    return sum(float(cdist(p[i : i + step], q).sum()) for i in range(0, len(p), step))
