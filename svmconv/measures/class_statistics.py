"""Class means and the spread around them, in two passes over rows of any number of features.

One pass is not enough: NC1 needs the spread along the directions between the class means, which
are not known before all rows have been seen, and without them it takes a d x d covariance. So
features that do not fit into memory come as a function that returns their batches, and is called
twice. Statistics are float64 whatever the features are, rows are taken relative to the first one
(far from the origin sums would lose digits) and deviations from their own class mean, never as a
difference of sums of squares.

Memory beyond the features: two blocks of NUMBERS numbers, or of ROWS rows where those are more,
and five arrays (K, d), all float64. Time: O(n d K).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from scipy.sparse import csc_array

from svmconv.errors import DataError
from svmconv.measures.batches import Batches, batches_of, blocks
from svmconv.measures.collapse import ROUNDING
from svmconv.problem import LARGEST
from svmconv.svm.solve import BLAS

EPS = 2.0**-52

SAME = 1e-4
"""How far class means may move between the passes, relative to the largest entry: networks in
float32 on a GPU repeat themselves to 1e-6; shuffled labels, random crops or dropout do not."""


class Means(NamedTuple):
    """The first pass: everything that a sum over rows tells."""

    classes: np.ndarray
    """(K,) labels, sorted."""
    counts: Int[np.ndarray, " k"]
    origin: Float64[np.ndarray, " d"]
    """The first row."""
    offsets: Float64[np.ndarray, "k d"]
    """Class means less the origin."""
    largest: float
    """Largest |entry| of rows less the origin: what rounding is relative to."""

    @property
    def means(self) -> Float64[np.ndarray, "k d"]:
        """Class means."""
        return self.origin + self.offsets

    @property
    def centred(self) -> Float64[np.ndarray, "k d"]:
        """Class means less the mean of the class means (not of the rows: unequal classes)."""
        return self.offsets - self.offsets.mean(axis=0)

    def span(self) -> Float64[np.ndarray, "d r"]:
        """Orthonormal directions along which the class means spread by more than rounding.

        Root mean square over classes, against ROUNDING units in the last place of float64 of the
        largest entry: the numbers are taken at their word, float32 ones too. r <= min(K - 1, d).
        """
        centred = self.centred
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        resolved = sizes > ROUNDING * EPS * self.largest * np.sqrt(len(centred))
        resolved[len(centred) - 1 :] = False  # K centred rows sum to zero
        return np.ascontiguousarray(directions[resolved].T)


class ClassStatistics(NamedTuple):
    """Two passes: `means`, and the spread of the rows around the mean of their own class."""

    means: Means
    directions: Float64[np.ndarray, "d r"]
    """Orthonormal, the span of the centred class means; r is their numerical rank."""
    variances: Float64[np.ndarray, " k"]
    """Mean squared distance of a class's rows from their mean."""
    within: Float64[np.ndarray, "r r"]
    """S_W, the within-class covariance over all rows, along the directions."""
    disagreement: float
    """Share of rows that a linear layer puts into another class than the nearest class mean does;
    nan without a layer."""

    @property
    def k(self) -> int:
        """Number of classes."""
        return len(self.variances)

    @property
    def rank(self) -> int:
        """Numerical rank of the centred class means."""
        return self.directions.shape[1]

    @property
    def shares(self) -> Float64[np.ndarray, " k"]:
        """Share of the rows in every class."""
        return self.means.counts / self.means.counts.sum()

    @property
    def positions(self) -> Float64[np.ndarray, "k r"]:
        """Centred class means along the directions: an isometry, in K - 1 numbers instead of d."""
        return self.means.centred @ self.directions

    @property
    def trace_within(self) -> float:
        """tr S_W: mean squared distance of all rows from the mean of their class."""
        return float(self.shares @ self.variances)

    @property
    def trace_between(self) -> float:
        """tr S_B = mean over classes of |mu_c - mu_G|^2."""
        return float(np.sum(self.positions**2)) / self.k


class Layer(NamedTuple):
    """A linear layer, x -> weight x + bias, K classes."""

    weight: Float64[np.ndarray, "k d"]
    bias: Float64[np.ndarray, " k"]


def class_means(batches: Batches) -> Means:
    """The first pass. Raises DataError on rows that are no features, and on fewer than two classes.

    >>> found = class_means(lambda: [([[0.0, 1.0]], ["a"]), ([[4.0, 1.0], [2.0, 1.0]], ["b", "a"])])
    >>> found.classes.tolist(), found.counts.tolist(), found.means.tolist()
    (['a', 'b'], [2, 1], [[1.0, 1.0], [4.0, 1.0]])
    """
    sums: dict[Any, Any] = {}
    counts: dict[Any, int] = {}
    origin, largest = np.zeros(0), 0.0
    for block, labels in blocks(batches):
        if not sums:
            origin = block[0].copy()
        block -= origin
        largest = max(largest, float(block.max()), -float(block.min()))
        names, index = np.unique(labels, return_inverse=True)
        totals, members = _sums(block, index, len(names)), np.bincount(index)
        for name, total, count in zip(names.tolist(), totals, members.tolist(), strict=True):
            sums[name] = sums.get(name, 0.0) + total
            counts[name] = counts.get(name, 0) + count
    if len(sums) < 2:
        raise DataError(
            f"every label is {next(iter(sums))!r}: give rows of at least two classes"
            if sums
            else "there are no rows: give at least one of each class"
        )
    if 0.0 < largest < 1.0 / LARGEST:
        raise DataError(f"features vary by {largest:.0e}: their squares leave float64, rescale")
    ordered = sorted(sums)
    number = np.array([counts[name] for name in ordered])
    offsets = np.array([sums[name] for name in ordered]) / number[:, None]
    return Means(np.array(ordered), number, origin, offsets, largest)


def class_statistics(batches: Batches, means: Means, layer: Layer | None = None) -> ClassStatistics:
    """The second pass, over the same rows. Raises DataError where they are not the same.

    Ties between logits, and between distances to class means, go to the first class.
    """
    k, n = len(means.classes), int(means.counts.sum())
    directions = means.span()
    positions = means.centred @ directions
    halves = np.sum(positions**2, axis=1) / 2.0
    probes, r = directions, directions.shape[1]
    logits = np.zeros((k, 0))  # of the class means
    if layer is not None:
        probes = np.hstack([directions, layer.weight.T])
        logits = means.means @ layer.weight.T + layer.bias
    variances, within, moved = np.zeros(k), np.zeros((r, r)), np.zeros((k, r))
    seen, differing = np.zeros(k, dtype=np.int64), 0
    for block, labels in blocks(batches):
        index = np.minimum(np.searchsorted(means.classes, labels), k - 1)
        if (means.classes[index] != labels).any():
            raise DataError(CHANGED)
        seen += np.bincount(index, minlength=k)
        block -= means.origin
        block -= means.offsets[index]
        variances += np.bincount(index, np.einsum("ij,ij->i", block, block), k)
        with BLAS.limit(limits=1):  # blocks are small: threads would wait for one another
            along = block @ probes
            off = along[:, :r]
            within += off.T @ off
            scores = (off + positions[index]) @ positions.T - halves
        moved += _sums(off, index, k)
        if layer is not None:
            predicted = (along[:, r:] + logits[index]).argmax(axis=1)
            differing += int((scores.argmax(axis=1) != predicted).sum())
    if (seen != means.counts).any() or (
        np.abs(moved) > SAME * means.largest * means.counts[:, None]
    ).any():
        raise DataError(CHANGED)
    disagreement = float("nan") if layer is None else differing / n
    return ClassStatistics(means, directions, variances / means.counts, within / n, disagreement)


CHANGED = (
    "the second pass saw other rows than the first: give a function that returns a fresh iterator "
    "over the same batches at every call, without dropout or random changes of the inputs"
)


def statistics(features: Any, labels: Any = None) -> ClassStatistics:
    """Both passes, without a layer; features and labels as in neural_collapse. Raises DataError."""
    batches = batches_of(features, labels)
    return class_statistics(batches, class_means(batches))


def _sums(
    block: Float64[np.ndarray, "m d"], index: Int[np.ndarray, " m"], k: int
) -> Float64[np.ndarray, "k d"]:
    """Sum of the rows of every class: one addition per number, whatever K is."""
    m = len(block)
    belongs = csc_array((np.ones(m), index, np.arange(m + 1)), shape=(k, m))
    return belongs @ block
