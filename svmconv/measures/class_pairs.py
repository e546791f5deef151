"""The linear separability of every pair of classes of a layer, or of every class from the rest.

One pass over the rows for means and covariance, a few for logistic regression, one for the exact
projections of every class on the directions of its own pairs; then sorting.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float64

from svmconv.errors import DataError
from svmconv.measures.candidates import NAMES, Contest, candidates, contest_of
from svmconv.measures.ranks import ORDERS, both_ways, points
from svmconv.problem import Problem, check_choice
from svmconv.processes import cores
from svmconv.svm.solve import BLAS

EPS = 2.0**-52
AGAINST = ("pairs", "rest")


def class_separability(features: Any, labels: Any, against: str = "pairs") -> xr.Dataset:
    """LS_0, LS_1 and LS_2 of every pair of classes, or of every class against all others.

    features (n, d) of any real dtype, labels (n,). Over `order` (0, 1, 2) and `pair` (coordinates
    `first` and `second`, the labels; first < second), or `class` for against="rest":

    separability  the best value of the directions in svmconv.measures.candidates: a lower bound on
                  the maximum over all w (linear_separability looks longer)
    candidate     the direction that it belongs to: "mean", "lda", "logistic" or "random"
    along_means   the value along the difference of the means alone, a direction that cannot fit the
                  rows: where there are more units than rows, nearly every labelling is separable

    and over pairs alone

    separable     whether one of those directions strictly separates the rows by more than rounding:
                  a proof if True. False only says that none of them does (hull_distance decides)

    Values are exact for their direction, in float64; equal rows of two classes may count as ordered
    by rounding, and entries below 1e-300 of the largest may count as zero. nan where no direction
    tells any two rows apart (orders 1 and 2; LS_0 is 0 there). Memory beyond the features: two
    chunks of 8 MB a core, a d x d matrix up to 2048 features, 8 (K - 1) x 8 bytes a row, and about
    ten arrays (pairs, d), all float64. Raises DataError.

    >>> found = class_separability([[0.0], [2.0], [1.0], [3.0], [9.0]], list("aabbc"))
    >>> found.separability.sel(order=0).values.tolist()  # of 4 differences of a and b 3 point up
    [0.75, 1.0, 1.0]
    >>> found.separable.values.tolist(), found.second.values.tolist()
    ([False, True, True], ['b', 'c', 'c'])
    """
    check_choice("against", against, AGAINST)
    x, classes, index = layer_of(features, labels)
    k, coords = len(classes), {"order": list(ORDERS)}
    if against == "pairs":
        first, second = np.triu_indices(k, 1)
        sides, over = np.zeros((k, len(first)), dtype=np.int64), "pair"
        sides[first, np.arange(len(first))], sides[second, np.arange(len(first))] = 1, -1
        coords |= {"first": ("pair", classes[first]), "second": ("pair", classes[second])}
    else:
        sides, over = 2 * np.eye(k, dtype=np.int64) - 1, "class"
        coords |= {"class": classes}
    contest = contest_of(x, index, sides)
    values, separable = evaluated(contest, candidates(contest)[0])
    best = np.where(np.isnan(values), -1.0, values).argmax(axis=0)  # (p, 3)
    return xr.Dataset(
        {
            "separability": (("order", over), np.take_along_axis(values, best[None], 0)[0].T),
            "candidate": (("order", over), np.array(NAMES)[best].T),
            "along_means": (("order", over), values[NAMES.index("mean")].T),
            "separable": (over, separable.any(axis=0)),
        },
        coords,
    )


def evaluated(
    contest: Contest, directions: Float64[np.ndarray, "c p d"]
) -> tuple[Float64[np.ndarray, "c p 3"], Bool[np.ndarray, "c p"]]:
    """LS_0, LS_1 and LS_2 along every direction w or -w, and whether w strictly separates the rows.

    Strictly: by more than the rounding of two projections.
    """

    def of_class(k: int) -> tuple[Float64[np.ndarray, "c q n"], float]:
        mine = directions[:, contest.sides[k] != 0]
        flat, long, start = mine.reshape(-1, mine.shape[-1]), 0.0, 0
        along = np.empty((len(flat), len(contest.members[k])))
        for x in contest.chunks(k, np.float64):
            along[:, start : start + len(x)] = flat @ x.T
            start, long = start + len(x), max(long, float(np.einsum("ij,ij->i", x, x).max()))
        return along.reshape(*mine.shape[:2], -1), long

    def of_problem(p: int) -> tuple[Float64[np.ndarray, "c 3"], Bool[np.ndarray, " c"]]:
        u, v = (
            np.concatenate([along[k][:, place[k, p]] for k in np.flatnonzero(at)], axis=1)
            for at in (contest.sides[:, p] > 0, contest.sides[:, p] < 0)
        )
        gap = np.maximum(u.min(axis=1) - v.max(axis=1), v.min(axis=1) - u.max(axis=1))
        values = [both_ways(*sides).max(axis=0) for sides in zip(u, v, strict=True)]
        return np.array(values), gap > doubt[:, p]

    with BLAS.limit(limits=1), ThreadPoolExecutor(len(cores())) as pool:
        along, squares = zip(*pool.map(of_class, range(len(contest.members))), strict=True)
        longest = np.sqrt(max(squares))
        doubt = 2.0 * (contest.x.shape[1] + 2) * EPS * longest * np.linalg.norm(directions, axis=2)
        place = np.cumsum(contest.sides != 0, axis=1) - 1
        found = list(pool.map(of_problem, range(contest.sides.shape[1])))
    return np.stack([v for v, _ in found], axis=1), np.stack([s for _, s in found], axis=1)


def layer_of(features: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """features as they are, classes, and the class of every row. DataError."""
    x = points("features", features)
    given = np.shape(labels)
    if len(given) != 1 or len(x) != given[0]:
        raise DataError(
            f"labels must name the class of each of the {len(x)} rows of features, got shape "
            f"{given}"
        )
    problem = Problem(np.zeros((len(x), 1)), labels)  # reads the labels, and says what is wrong
    return x, problem.classes, problem.index
