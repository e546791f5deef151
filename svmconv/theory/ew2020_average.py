"""E, Wojtowytsch, arXiv:2012.05420, lemma 2: class averages of logits never raise the loss.

Jensen; what makes it a number is by how much the loss falls. For a row of deviation d from the mean
logits of its class, with r the range of d and V its variance under softmax of the mean, f(s) =
logsumexp(mean + s d) has |f'''| <= r f'' and f''(0) = V, hence

    V (e^-r + r - 1) / r^2 <= f(1) - f(0) - f'(0) <= V (e^r - r - 1) / r^2.

The first-order terms cancel over a class, and the fall is the mean of V / 2 to within those bounds:
zero only if every d is a multiple of (1, .., 1).
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import softmax

from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import EPS
from svmconv.theory.optima import cross_entropy, measured_case

SMALL = 0.003
"""Standard deviation of deviations whose third order is a hundredth of the second."""
SIZES = np.geomspace(0.01, 100.0, 100)
"""Standard deviations of those that may be of any order."""

Rows = Float64[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]


def averaged(z: Rows, y: Labels) -> Rows:
    """Every row replaced by the mean of the rows of the same label."""
    member = y[:, None] == np.unique(y)
    means = (member.T @ z) / member.sum(axis=0)[:, None]
    return means[member.argmax(axis=1)]


def loss(z: Rows, y: Labels) -> float:
    """Mean cross-entropy of logits z under labels y = 0 .. k - 1."""
    return float(cross_entropy(z, y[:, None] == np.arange(z.shape[1]))[0].mean())


def second_order(means: Rows, d: Rows) -> tuple[float, float]:
    """(fall of the loss to second order, bound of the rest) when deviations d are averaged out."""
    p = softmax(means, axis=1)
    variance = np.sum(p * (d - np.sum(p * d, axis=1, keepdims=True)) ** 2, axis=1)
    r = np.ptp(d, axis=1)
    beyond = (np.expm1(r) - r) / r**2 - 0.5, 0.5 - (np.expm1(-r) + r) / r**2
    return float(variance.mean()) / 2.0, float((variance * np.maximum(*beyond)).mean())


def rise(z: Rows, y: Labels, groups: Labels) -> float:
    """How much the loss of labels y rises if z is averaged over groups of rows."""
    return loss(averaged(z, groups), y) - loss(z, y)


def averages(k: int, n: int, seed: int) -> Measurement:
    """Random logits of n rows, class c about 3 e_c, averaged over classes and wrong groups."""
    rng = np.random.default_rng(seed)
    y = np.sort(np.concatenate([np.arange(k), rng.integers(k, size=n - k)]))
    means = (3.0 * np.eye(k) + 0.5 * rng.standard_normal((k, k)))[y]
    d = SMALL * rng.standard_normal((n, k))
    d -= averaged(d, y)
    along = np.repeat(rng.standard_normal((n, 1)), k, axis=1)
    draws = [means + size * rng.standard_normal((n, k)) for size in SIZES]

    rounding = 8 * EPS * k
    predicted, beyond = second_order(means, d)
    largest = float(max(rise(z, y, y) for z in draws))
    roundings = float(rounding * max(np.abs(z).max() for z in draws))
    level = 0.0 - rise(means + along, y, y)
    unmoved = float(rounding * np.abs(means + along).max())
    right = (
        Quantity(
            "fall of the loss", predicted, -rise(means + d, y, y), beyond + rounding,
            tolerances.SECOND_ORDER * predicted,
        ),
        Quantity("along (1, .., 1)", 0.0, level, unmoved, tolerances.EXACT),
        Quantity("largest rise", 0.0, max(0.0, largest), roundings, tolerances.EXACT),
    )  # fmt: skip
    # the last class and the first are one group: classes that are told apart no longer are
    merged = rise(means + d, y, np.where(y == k - 1, 0, y))
    wrong = Quantity("largest rise", 0.0, max(0.0, merged), rounding, tolerances.EXACT)
    control = Control("averaging over two classes at once does not raise it either", (wrong,))
    name = f"{n} rows of random logits, {k} classes"
    return measured_case(name, f"averages of {len(SIZES) + 2} draws", right, control)


CLAIMS = (
    Claim(
        "ew2020-lemma2",
        "E, Wojtowytsch, arXiv:2012.05420 (2020), lemma 2; second order derived",
        "Replacing logits by their mean over each class never raises the cross-entropy, and lowers "
        "it unless they differ along (1, .., 1) only: by half the variance of what differs.",
        (Case(partial(averages, 3, 30, 0)), Case(partial(averages, 10, 200, 1))),
    ),
)
