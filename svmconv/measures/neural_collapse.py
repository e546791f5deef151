"""Neural collapse of a layer: do its classes become points, the points a regular simplex?

mu_c are the class means, mu_G the mean of the class means (not of the rows), M the K x d matrix of
mu_c - mu_G, S_W the within-class covariance over all rows, S_B = M^T M / K, W the (K, d) weights.

S_B has rank K - 1, so its pseudo-inverse is never formed: a thin SVD of M gives the K - 1
directions it acts on, and features are projected on them in float64. No d x d matrix is made, and
no threshold decides which of its eigenvalues were meant to be zero.

Conventions, all tested. Class means that span fewer than K - 1 directions (some equal, or d < K -
1): the pseudo-inverse ignores the others, and `rank` tells. All class means equal: NC1, C and CDNV
are infinite, or nan where every class is a point, for then all rows are one. A ratio to zero is
nan: angles to a class mean at mu_G, to weights of zero. Two centred class means are always
opposite: for K = 2 NC2 is 0 whatever the features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.spatial.distance import pdist, squareform

from svmconv.errors import DataError
from svmconv.geometry import unit
from svmconv.measures.batches import batches_of
from svmconv.measures.class_statistics import (
    ClassStatistics,
    Layer,
    class_means,
    class_statistics,
    statistics,
)
from svmconv.problem import readable

NAN = float("nan")


class NeuralCollapse(NamedTuple):
    """Zero for a collapsed layer, each of them but `rank`; what needs a layer is nan without."""

    nc1: float
    """tr(S_W pinv(S_B)) / K."""
    nc2_norm: float
    """Standard deviation (of the K, not K - 1) of |mu_c - mu_G| over their mean."""
    nc2_angle: float
    """Mean of |cos + 1/(K-1)| over pairs of mu_c - mu_G."""
    nc3: float
    """| W/|W| - M/|M| |^2, Frobenius norms; between 0 and 4."""
    nc4: float
    """Share of rows that W x + b puts into another class than the nearest class mean does."""
    cdnv: float
    """Mean over pairs of (Var_i + Var_j) / (2 |mu_i - mu_j|^2)."""
    nc2_gram: float
    """| MM^T/|MM^T| - (I - 11^T/K) / sqrt(K-1) |, norms and angles at once."""
    nc2_weight_norm: float
    """nc2_norm of the rows of W, as they are."""
    nc2_weight_angle: float
    """nc2_angle of the rows of W, as they are."""
    nc2_weight_gram: float
    """nc2_gram of W."""
    nc3_gram: float
    """The same of W M^T: W and M may differ in length and by what M does not see."""
    bias_residual: float
    """|b + W mu_G|: 0 where the bias moves mu_G to the origin, in units of the logits."""
    rank: int
    """Numerical rank of M; min(K - 1, d) unless class means are degenerate."""


def neural_collapse(
    features: Any, labels: Any = None, weight: Any = None, bias: Any = None
) -> NeuralCollapse:
    """NC1 to NC4 and companions of a layer's outputs and, if given, the linear layer on them.

    features (n, d), any real dtype and any d, one label per row; weight (K, d) in the order of the
    sorted labels, or (1, d) for two classes; bias (K,). Hidden layers have no weight: what needs
    one is nan. Features beyond memory: a function that returns an iterator over (features, labels)
    batches, the same rows at every call; it is called twice, and labels is None.

    Sources: NC1 to NC4 Papyan, Han and Donoho (PNAS 2020); cdnv Galanti, Gyorgy and Hutter (ICLR
    2022); *_gram and bias_residual Zhu et al. (NeurIPS 2021, arXiv 2105.02375). Their means over
    classes and ours are those of the definitions; Papyan's script has sqrt(K/(K-1)) times nc2_norm.

    Raises DataError on a single class, a class of the layer without rows, values that are not
    finite, zero units, and shapes that do not match.

    Two classes at -1, 1 and 3, 5 on the first axis: S_W = 1, S_B = 4 there, nc1 = (1/4) / 2, and
    cdnv = (1 + 1) / (2 * 16). A second layer points along the first axis but cuts at 3.5, so the
    row at 3 is nearer to the mean of class 1 and yet predicted 0: one in four.

    >>> x, y = [[-1.0, 0.0], [1.0, 0.0], [3.0, 0.0], [5.0, 0.0]], [0, 0, 1, 1]
    >>> found = neural_collapse(x, y, weight=[[-1.0, 0.0], [1.0, 0.0]], bias=[3.5, -3.5])
    >>> [round(value, 12) for value in (found.nc1, found.cdnv, found.nc3, found.nc4)]
    [0.125, 0.0625, 0.0, 0.25]
    >>> round(found.bias_residual / 2**0.5, 12)  # b + W mu_G = (3.5 - 2, -3.5 + 2)
    1.5
    """
    batches = batches_of(features, labels)
    means = class_means(batches)
    layer = read_layer(weight, bias, *means.offsets.shape)
    found = class_statistics(batches, means, layer)
    positions, variant = found.positions, dict.fromkeys(NeuralCollapse._fields[7:12], NAN)
    nc3 = NAN
    if layer is not None:
        w = layer.weight
        nc3 = float(np.sum((_normalised(w) - _normalised(means.centred)) ** 2))
        variant = {
            "nc2_weight_norm": _spread_of_lengths(w),
            "nc2_weight_angle": _distance_from_equal_angles(w),
            "nc2_weight_gram": _distance_from_simplex(w @ w.T),
            "nc3_gram": _distance_from_simplex(w @ found.directions @ positions.T),
            "bias_residual": float(np.linalg.norm(layer.bias + w @ means.means.mean(axis=0))),
        }
    return NeuralCollapse(
        nc1=_ratio(found, np.full(found.k, 1 / found.k)) / found.k,
        nc2_norm=_spread_of_lengths(positions),
        nc2_angle=_distance_from_equal_angles(positions),
        nc3=nc3,
        nc4=found.disagreement,
        cdnv=float(np.mean(_pairs(found))),
        nc2_gram=_distance_from_simplex(positions @ positions.T),
        **variant,
        rank=found.rank,
    )


def data_separation(features: Any, labels: Any = None) -> float:
    """D = tr(SS_W pinv(SS_B)) of a layer (He and Su, PNAS 2023): their law is D_l = rho^l D_0.

    As they have it, SS_B weighs every class by its rows and centres on the mean of all rows, so
    that D = K nc1 for classes of equal size, and for no others. Features, labels and errors as in
    neural_collapse; infinite where all class means are equal.

    >>> round(data_separation([[-1.0], [1.0], [3.0], [5.0]], [0, 0, 1, 1]), 12)  # 1 / 4
    0.25
    >>> round(data_separation([[-1.0], [1.0], [4.0]], [0, 0, 1]), 12)  # (2/3) / (2/9 * 4**2)
    0.1875
    """
    found = statistics(features, labels)
    return _ratio(found, found.shares)


def spread_ratio(features: Any, labels: Any = None) -> float:
    """C = tr S_W / tr S_B of a layer (Wang et al., JMLR 2025: feature compression).

    Unlike NC1 it counts spread in all directions. Arguments and errors as in neural_collapse.

    >>> spread_ratio([[0.0, 1.0], [0.0, -1.0], [4.0, 1.0], [4.0, -1.0]], [0, 0, 1, 1])  # 1 / 4
    0.25
    """
    found = statistics(features, labels)
    return _over(found.trace_within, found.trace_between)


def discrimination(features: Any, labels: Any = None) -> float:
    """D = 1 - max cos(mu_i, mu_j) over different classes (Wang et al., JMLR 2025).

    Class means as they are, not centred: 0 where two have one direction, K/(K-1) for a simplex
    around the origin. nan where a mean is zero. Arguments and errors as in neural_collapse.

    >>> discrimination([[1.0, 0.0], [0.0, 2.0]], [0, 1]), discrimination([[1.0], [-1.0]], [0, 1])
    (1.0, 2.0)
    """
    directions = unit(class_means(batches_of(features, labels)).means)
    return float(np.min(pdist(directions, "sqeuclidean")) / 2.0)


def cdnv(features: Any, labels: Any = None) -> Float64[np.ndarray, "k k"]:
    """Class-distance normalised variance of every pair (Galanti, Gyorgy and Hutter, ICLR 2022).

    (Var_i + Var_j) / (2 |mu_i - mu_j|^2), Var_i the mean squared distance from mu_i; classes in
    sorted order, nan on the diagonal. Infinite where two classes share their mean, nan where they
    are one point. Arguments and errors as in neural_collapse.

    >>> cdnv([[-1.0], [1.0], [4.0]], [0, 0, 1])[0, 1]  # (1 + 0) / (2 * 16)
    np.float64(0.03125)
    """
    pairs = squareform(_pairs(statistics(features, labels)), checks=False)
    np.fill_diagonal(pairs, np.nan)
    return pairs


def _ratio(found: ClassStatistics, shares: Float64[np.ndarray, " k"]) -> float:
    """tr(S_W pinv(S_B)), S_B with these shares of the classes; both on the r directions.

    pinv(A^T A) = A^+ A^+^T for the weighted class means A, which have full column rank there: the
    condition number of A counts, not its square.
    """
    if found.rank == 0:
        return _over(found.trace_within, 0.0)
    off = found.positions - shares @ found.positions
    inverse = np.linalg.pinv(np.sqrt(shares)[:, None] * off, rcond=0.0)
    return float(np.einsum("ik,ij,jk->", inverse, found.within, inverse))


def _pairs(found: ClassStatistics) -> Float64[np.ndarray, " pairs"]:
    """CDNV of the pairs (0, 1), (0, 2), ..."""
    i, j = np.triu_indices(found.k, 1)
    distances = pdist(found.positions, "sqeuclidean") if found.rank else np.zeros(len(i))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (found.variances[i] + found.variances[j]) / (2.0 * distances)


def _spread_of_lengths(rows: Float64[np.ndarray, "k d"]) -> float:
    lengths = np.linalg.norm(rows, axis=1)
    return _over(float(lengths.std()), float(lengths.mean()))


def _distance_from_equal_angles(rows: Float64[np.ndarray, "k d"]) -> float:
    """Mean over pairs of |cos + 1/(K-1)|."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        return NAN
    k, directions = len(rows), rows / lengths
    cosines = (directions @ directions.T)[np.triu_indices(k, 1)]
    return float(np.mean(np.abs(cosines + 1.0 / (k - 1))))


def _distance_from_simplex(gram: Float64[np.ndarray, "k k"]) -> float:
    k = len(gram)
    simplex = (np.eye(k) - 1.0 / k) / np.sqrt(k - 1)
    return float(np.linalg.norm(_normalised(gram) - simplex))


def _normalised(array: Float64[np.ndarray, "k p"]) -> Float64[np.ndarray, "k p"]:
    """Of Frobenius norm 1; zero becomes nan."""
    size = np.linalg.norm(array)
    return array / (size or NAN)


def _over(above: float, below: float) -> float:
    """Their ratio; to zero infinite, or nan for 0 / 0."""
    return above / below if below else (float("inf") if above else NAN)


def read_layer(weight: Any, bias: Any, k: int, d: int) -> Layer | None:
    """(K, d) and (K,), a bias of zeros where there is none. Raises DataError."""
    if weight is None:
        if bias is not None:
            raise DataError("a bias came without its weight: give both, or neither")
        return None
    w, b = _numbers("weight", weight), None if bias is None else _numbers("bias", bias)
    if k == 2 and w.shape in ((d,), (1, d)):  # the logit of the second class over the first
        w = w.reshape(1, d) * [[-0.5], [0.5]]
        b = b if b is None else b.reshape(-1) * [-0.5, 0.5]
    if w.shape != (k, d):
        if w.ndim == 2 and w.shape[1] == d and len(w) > k:
            raise DataError(
                f"the layer tells {len(w)} classes apart but the labels name {k}: give rows of "
                "every class"
            )
        hint = ": it looks transposed, pass weight.T" if w.shape[::-1] == (k, d) else ""
        raise DataError(f"weight must have shape ({k}, {d}), got {w.shape}{hint}")
    b = np.zeros(k) if b is None else b
    if b.shape != (k,):
        raise DataError(f"bias must have one entry per row of weight, ({k},), got {b.shape}")
    return Layer(w, b)


def _numbers(name: str, given: Any) -> Float64[np.ndarray, "..."]:
    try:
        array = readable(name, given).astype(np.float64)
    except DataError:
        raise
    except (TypeError, ValueError):
        raise DataError(f"{name} must be an array of numbers") from None
    if not np.isfinite(array).all():
        raise DataError(f"{name} has NaN or infinite values: give a trained, finite layer")
    return array
