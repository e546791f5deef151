"""How much room the features of a layer fill: effective rank, the dimensions that classify.

Rows are centred first, for a constant offset is what a bias takes away: so the singular values here
are sqrt(n) times the standard deviations along the principal directions. Those that rounding may
have made count as zero [derived]: storing x in its dtype moves every entry by at most eps/2 of its
own size, hence a singular value by at most eps/2 |x| (Frobenius norm); the sums behind x, in the
dtype or in float32 if that is wider, are right to tens of units of the largest entry
(svmconv.measures.collapse).
Memory: two copies of the features in float64. Time: O(n d min(n, d)).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from svmconv.errors import DataError
from svmconv.measures.batches import batches_of, blocks, read_features, read_labels
from svmconv.measures.class_statistics import class_means
from svmconv.measures.collapse import ROUNDING
from svmconv.measures.neural_collapse import read_layer

SHARE = 0.95
"""Of the accuracy, which a classification dimension keeps (Feng et al., NeurIPS 2022)."""
SINGLE = float(np.finfo(np.float32).eps)
"""Of float32, in which sums of narrower types are taken."""
BLOCK = 2048
"""Rows of which all distances are held at once, against as many others: 32 MB."""


def effective_rank(features: Any) -> float:
    """exp of the entropy of p_i = s_i / sum s, s the singular values (Roy and Vetterli, 2007).

    features (n, d), any real dtype; centred. Of singular values, not of variances; between 1 and
    the numerical rank, which it reaches where all are equal; 0 where all rows are one point.
    Raises DataError on features that are empty or not finite.

    >>> cross = [[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0], [0.0, -3.0]]
    >>> round(effective_rank(cross), 12), effective_rank([[1.0, 2.0], [1.0, 2.0]])
    (2.0, 0.0)
    >>> squeezed = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]  # p = 3/4, 1/4
    >>> round(effective_rank(squeezed), 6), round(4 / 3**0.75, 6)
    (1.754765, 1.754765)
    """
    sizes = _principal(features).sizes
    if not len(sizes):
        return 0.0
    p = sizes / sizes.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


def numerical_rank(features: Any) -> int:
    """Directions along which the centred rows spread (root mean square) by more than rounding.

    features (n, d); rounding is that of their own dtype (see the module), so float32 features and
    the same in float64 differ. In bfloat16 it is .004 of the root mean square length of the rows,
    which also counts what is constant. 0 where all rows are one point. Raises DataError.

    >>> numerical_rank([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    1
    """
    return len(_principal(features).sizes)


def classification_dimension(
    features: Any, labels: Any, weight: Any = None, bias: Any = None, share: float = SHARE
) -> int:
    """Fewest principal directions of the features that keep this share of the accuracy.

    Feng et al. (NeurIPS 2022). Features (n, d), projected on their first m principal directions
    through their mean, are classified by the given linear layer (weight, bias as in
    neural_collapse), or by the nearest class mean, projected likewise, where there is none; ties go
    to the first class. The smallest m at which accuracy is at least share times that of all
    directions; accuracy need not grow with m. 0 where a constant prediction is as good.
    Raises DataError as neural_collapse does, and for a share outside (0, 1].

    Classes along the second axis, of less variance: it takes both directions to tell them apart.

    >>> x = [[-9.0, -1.0], [9.0, -1.0], [-9.0, 1.0], [9.0, 1.0]]
    >>> classification_dimension(x, [0, 0, 1, 1]), classification_dimension(x, [0, 1, 0, 1])
    (2, 1)
    """
    if not 0.0 < share <= 1.0:
        raise DataError(f"share must be above 0 and at most 1, got {share!r}")
    found, means = _principal(features), class_means(batches_of(features, labels))
    index = np.searchsorted(means.classes, read_labels(labels))
    layer = read_layer(weight, bias, *means.offsets.shape)
    along = found.rows @ found.directions
    if layer is None:  # the nearest mean has the largest x.mu - |mu|^2 / 2
        slopes = (means.means - found.centre) @ found.directions
        constants, scores = -(slopes**2) / 2.0, np.zeros(len(slopes))
    else:
        slopes = layer.weight @ found.directions
        constants, scores = np.zeros_like(slopes), layer.weight @ found.centre + layer.bias
    scores = np.tile(scores, (len(along), 1))
    accuracy = [np.mean(scores.argmax(axis=1) == index)]
    for m in range(along.shape[1]):
        scores += np.outer(along[:, m], slopes[:, m]) + constants[:, m]
        accuracy.append(np.mean(scores.argmax(axis=1) == index))
    return int(np.argmax(np.array(accuracy) >= share * accuracy[-1]))


def diversity(features: Any) -> float:
    """Mean Euclidean distance over all pairs of different rows; features (n, d). O(n^2 d).

    Squared distances are |x|^2 + |y|^2 - 2 x.y of centred rows. A pair is wrong by at most
    sqrt(c eps) (|x| + |y|), c of order sqrt(d), the mean by twice that of the mean |x|, and that is
    at most the result: a relative 1e-6 at worst, where almost all rows coincide, 1e-15 else.
    Memory: one copy in float64. Raises DataError, on a single row too.

    >>> diversity([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])  # (5 + 0 + 5) / 3
    3.3333333333333335
    """
    rows = _rows(features)[0]
    n = len(rows)
    if n < 2:
        raise DataError("there is no pair in one row: give at least two")
    rows -= rows.mean(axis=0)
    squares, total = np.einsum("ij,ij->i", rows, rows), 0.0
    for start in range(0, n, BLOCK):
        for other in range(start, n, BLOCK):
            a, b = slice(start, start + BLOCK), slice(other, other + BLOCK)
            distances = rows[a] @ rows[b].T
            distances *= -2.0
            distances += squares[a, None] + squares[b]
            np.sqrt(np.maximum(distances, 0.0, out=distances), out=distances)
            total += np.triu(distances, 1).sum() if start == other else distances.sum()
    return float(total / (n * (n - 1) / 2))


class Principal(NamedTuple):
    """Centred rows and their principal directions, as far as rounding resolves them."""

    rows: Float64[np.ndarray, "n d"]
    centre: Float64[np.ndarray, " d"]
    sizes: Float64[np.ndarray, " r"]
    """Singular values, largest first."""
    directions: Float64[np.ndarray, "d r"]


def _principal(features: Any) -> Principal:
    rows, eps = _rows(features)
    n, d = rows.shape
    stored = eps / 2.0 * float(np.linalg.norm(rows))
    summed = ROUNDING * min(eps, SINGLE) * float(np.abs(rows).max()) * np.sqrt(n)
    first = rows[0].copy()
    rows -= first  # a long sum of what all rows share would round: first to differences
    mean = rows.mean(axis=0)
    rows -= mean
    centre = first + mean
    if n > d:  # the triangle has the singular values and right directions of the rows
        _, sizes, directions = np.linalg.svd(np.linalg.qr(rows, mode="r"))
    else:
        _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    resolved = sizes > stored + summed
    return Principal(rows, centre, sizes[resolved], directions[resolved].T)


def _rows(features: Any) -> tuple[Float64[np.ndarray, "n d"], float]:
    """A copy in float64, and machine epsilon of the dtype that the features came in."""
    given = read_features(features)
    labels = np.zeros(len(given), dtype=np.int64)
    rows = np.concatenate([block for block, _ in blocks(lambda: [(given, labels)])])
    floating = jnp.issubdtype(given.dtype, jnp.floating)
    return rows, float(jnp.finfo(given.dtype if floating else np.float64).eps)
