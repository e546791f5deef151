"""The linear separability of two sets of points: LS_q along the best direction that was found.

LS_q = max over w of sum_ab (w.(a - b))_+^q / sum_ab |w.(a - b)|^q (ranks.py). What is known of the
maximum (derived): it is 1 for q = 0 iff some w separates strictly, which the hard-margin SVM
decides; for q = 0 it is NP-hard otherwise (densest hemisphere). For q = 1 it is a convex problem,
    min sum_ab (w.(b - a))_+  s.t.  w.(mean A - mean B) = 1,
since LS_1 = (N + T) / (2 N + T) falls in N / T, N convex and T = n m w.(mean A - mean B) linear; so
ascent ends near the global maximum, and where the means coincide LS_1 is 1/2 for every w.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from svmconv.errors import CertificateError
from svmconv.geometry import unit
from svmconv.measures.ascent import ascent
from svmconv.measures.candidates import NAMES, candidates, contest_of
from svmconv.measures.hulls import hull_distance, turned
from svmconv.measures.ranks import (
    check_order,
    placed,
    projected,
    separabilities,
    threshold,
    two_sets,
)
from svmconv.problem import check_counts
from svmconv.svm.result import MaxMargin


class Separability(NamedTuple):
    """How well a hyperplane can tell A from B."""

    value: float
    """LS_q along `direction`: exactly 1 with an SVM, else a lower bound on the maximum."""
    direction: Float64[np.ndarray, " d"]
    """Unit vector along which A lies above B; zero where no direction tells any two apart."""
    candidate: str
    """What the direction is: "svm", "mean", "lda", "logistic", "random" (candidates.py), "ascent"
    from the best of them."""
    null: float
    """Mean of the value over random labels of the same points; nan without permutations."""
    lower: float
    upper: float
    """(1 - e) (1 - f) <= LS_0(direction) <= 1 - e f, with e the share of w.a at or below a
    threshold, f that of w.b above it, at the threshold of least e + f."""
    svm: MaxMargin | None
    """The hard-margin SVM (intercept free) whose certificate proves that the value is 1: that of
    the points less hull_distance's offset, and times a power of two if beyond 1e30 or 1e-30."""


def linear_separability(
    A: Any, B: Any, order: int = 0, permutations: int = 20, seed: int = 0
) -> Separability:
    """max over w of LS_q(w) for A (n, d) and B (m, d), q = order: 1/2 hopeless, 1 separable.

    LS_q as in separability_along. If the hard-margin SVM exists the answer is 1 and certified.
    Otherwise the best of the candidate directions, improved by ascent on LS_q from there
    (ascent.py); never less than the best candidate. Invariant, up to rounding and how far the
    ascent gets, under translations, scalings and invertible linear maps.

    Of orders 1 and 2 ties are left out: along a direction in which all points but one coincide (a
    unit that fires on one row) they are 1, whatever the labels. Order 0 counts ties against A.

    null: the same without the SVM, averaged over `permutations` random labels (numpy's Generator of
    `seed`); a value means something only as far as it exceeds that. Where the SVM makes the value 1
    and labels are free to be fitted (more features than points) the null is near 1 too.

    Identical points in A and B, classes of one row and constant features are allowed. If every
    point is the same one, LS_0 is 0 and LS_1, LS_2 are nan, and the direction is zero. Raises
    DataError.

    >>> found = linear_separability([[1.0], [2.0]], [[0.0], [1.0]])  # touching hulls: one tie of 4
    >>> found.value, found.lower, found.upper
    (0.75, 0.5, 1.0)
    >>> linear_separability([[3.0], [4.0]], [[0.0], [2.0]]).candidate
    'svm'
    """
    a, b = two_sets(A, B)
    check_order(order)
    check_counts(0, permutations=permutations, seed=seed)
    x, n = placed(np.vstack([a, b])).x, len(a)
    near = turned(x)
    null = _null(near.x, n, order, permutations, seed)
    svm = _svm(x[:n], x[n:])
    if svm is not None:
        return Separability(1.0, unit(svm.w), "svm", null, 1.0, 1.0, svm)
    w, candidate = _best(near.x, np.arange(len(x)) < n, order)
    w = near.back(w)
    u, v = projected(unit(w) if w.any() else w, x[:n], x[n:])
    value = float(separabilities(u, v)[order])
    return Separability(value, unit(w) if w.any() else w, candidate, null, *sandwich(u, v), None)


def sandwich(u: Float64[np.ndarray, " n"], v: Float64[np.ndarray, " m"]) -> tuple[float, float]:
    """Bounds on LS_0 from the errors e, f at the best threshold, as in Separability.

    u > t >= v for (1 - e) (1 - f) of all pairs, and v > t >= u for e f of them (derived). All three
    are counts over n m, divided once: rounding keeps their order.
    """
    _, e, f = threshold(u, v)
    n, m = len(u), len(v)
    return (n - e) * (m - f) / (n * m), (n * m - e * f) / (n * m)


def _svm(a: Float64[np.ndarray, "n d"], b: Float64[np.ndarray, "m d"]) -> MaxMargin | None:
    try:
        return hull_distance(a, b).svm
    except CertificateError:
        return None


def _null(
    x: Float64[np.ndarray, "n d"], upper: int, order: int, permutations: int, seed: int
) -> float:
    """Mean value over random choices of `upper` points as A."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(permutations):
        side = rng.permutation(len(x)) < upper
        w = _best(x, side, order)[0]
        found.append(separabilities(*projected(w, x[side], x[~side]))[order])
    return float(np.mean(found)) if found else float("nan")


def _best(
    x: Float64[np.ndarray, "n d"], side: np.ndarray, order: int
) -> tuple[Float64[np.ndarray, " d"], str]:
    """The best direction for LS_q with the rows of `side` as A, and its name."""
    contest = contest_of(x, np.where(side, 0, 1), np.array([[1], [-1]]))
    directions, metric = candidates(contest)
    tried = [sign * w for w in directions[:, 0] for sign in (1.0, -1.0)]
    values = np.array([_value(w, x[side], x[~side], order) for w in tried])
    best = int(values.argmax())
    if values[best] < 0:
        return np.zeros(x.shape[1]), NAMES[0]
    if values[best] < 1.0:
        climbed = ascent(tried[best], metric, x[side], x[~side], order)
        if _value(climbed, x[side], x[~side], order) > values[best]:
            return climbed, "ascent"
    return tried[best], NAMES[best // 2]


def _value(w: Float64[np.ndarray, " d"], a: np.ndarray, b: np.ndarray, order: int) -> float:
    """LS_q, or -1 where w is constant on all points."""
    u, v = projected(w, a, b)
    if min(u.min(), v.min()) == max(u.max(), v.max()):
        return -1.0
    return float(separabilities(u, v)[order])
