"""Margins and log-domain losses of a linear model, two classes and K classes alike.

Row n has one signed row per rival class: z_n = y_n x_n when there are two classes, and the pairs
(e_y - e_k) (x) x_n, k != y, when there are K. Everything is a function of the pair margins
D[n, k] = <w, pair row>, so a loss of e^-1000000 is as ordinary as one of 0.1. Losses are the MEAN
over rows; logarithms are natural.

Call these in float64 (under `jax.enable_x64(True)`).
"""

from __future__ import annotations

import operator
from functools import reduce
from math import factorial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float

from svmconv.problem import Bias, Loss, Problem

Weights = Float[Array, "*w"]
PairMargins = Float[Array, "n j"]

_TILE = 200
"""Rows of a tile, about: what a step knows of them stays in the first cache."""
_LANES = 8
"""Sums run side by side, as in a vector of the processor; tiles are multiples of it."""
FEW = 4
"""Features whose products are written out where the margins are used once: one pass less."""
_PADE = [
    factorial(12 - j) * factorial(6) / (factorial(12) * factorial(j) * factorial(6 - j))
    for j in range(7)
]
"""Numerator of the (6, 6) approximant of e^r, whose relative error is 2e-19 at r = ln(2) / 2."""


class Rows(NamedTuple):
    """The rows of a problem as jitted code reads them."""

    x: Float[Array, "n p"] | Float[Array, "tile p m"]
    """Two classes: the signed rows z. K classes: the plain rows. Or what `tiled` made of them."""
    own: Bool[Array, "n k"] | None
    """None for two classes; else own[n, k] says that row n belongs to class k."""
    tiled_rows: int | None = None
    """How many rows the tiles hold; rows of zero, which move nothing, fill up the last."""

    @property
    def mean_over(self) -> int:
        """The N of the mean loss."""
        return self.x.shape[0] if self.tiled_rows is None else self.tiled_rows


def rows_of(
    problem: Problem, bias: Bias = "none", bias_scale: float = 1.0, scale: float = 1.0
) -> Rows:
    """The problem's rows in the space of (w, b / sqrt c), divided by `scale` (a power of two)."""
    x = jnp.asarray(host_rows(problem, bias, bias_scale) / scale)
    return Rows(x, None if problem.binary else jnp.asarray(problem.own))


def host_rows(
    problem: Problem, bias: Bias = "none", bias_scale: float = 1.0
) -> Float[np.ndarray, "n p"]:
    """`Rows.x` in main memory."""
    x = problem.rows(bias, bias_scale)
    return problem.signs[:, None] * x if problem.binary else x


def tiled(rows: Rows) -> Rows:
    """The same rows for loops that go through them many times: in tiles, features first.

    XLA then vectorises over rows: two to three times as fast for ten features and fewer, and never
    slower (benchmarks/many.py). Rows of K classes are left as they are.
    """
    if rows.own is not None:
        return rows
    n, p = rows.x.shape
    count = -(-n // _TILE)
    size = _LANES * -(-n // (_LANES * count))
    tiles = jnp.pad(rows.x, ((0, count * size - n), (0, 0))).reshape(count, size, p)
    return Rows(tiles.swapaxes(1, 2), None, n)


def pair_margins(w: Weights, rows: Rows) -> PairMargins:
    """D (n, 1) for two classes, (n, K) for K, with +inf at a row's own class.

    Of tiled rows with 0 for each row of zero at the end.
    """
    if rows.tiled_rows is not None:
        each = jnp.broadcast_to(w, (len(rows.x), *w.shape))  # one product a tile, not one in all
        return jnp.einsum("tpm,tp->tm", rows.x, each).reshape(-1, 1)
    scores = rows.x @ w.T
    if rows.own is None:
        return scores[:, None]
    own_score = jnp.sum(jnp.where(rows.own, scores, 0.0), axis=1, keepdims=True)
    return jnp.where(rows.own, jnp.inf, own_score - scores)


def combine(a: PairMargins, rows: Rows) -> Weights:
    """sum over pairs of a[n, k] * pair row: the adjoint of `pair_margins`; zero at own classes."""
    if rows.tiled_rows is not None:
        return jnp.einsum("tpm,tm->tp", rows.x, a.reshape(len(rows.x), -1)).sum(axis=0)
    if rows.own is None:
        return a[:, 0] @ rows.x
    return (jnp.where(rows.own, a.sum(axis=1, keepdims=True), 0.0) - a).T @ rows.x


def log_row_losses(margins: PairMargins, loss: Loss) -> Float[Array, " n"]:
    """ln of each row's loss: ln softplus(logsumexp_k(-D)) (logistic), logsumexp_k(-D) (exp)."""
    hardest = _hardest(margins)
    return hardest if loss == "exponential" else _log_softplus(hardest)


def log_loss(margins: PairMargins, loss: Loss) -> Float[Array, ""]:
    """ln of the mean loss over rows."""
    return logsumexp(log_row_losses(margins, loss)) - jnp.log(margins.shape[0])


def log_pair_weights(margins: PairMargins, loss: Loss) -> PairMargins:
    """ln of -d(row loss)/dD[n, k]: -D (exp), -D - ln(1 + sum_k exp(-D)) (logistic)."""
    if loss == "exponential":
        return -margins
    return -margins - log1p_sum_exp(margins)[:, None]


def log1p_sum_exp(margins: PairMargins) -> Float[Array, " n"]:
    """ln(1 + sum_k exp(-D[n, k])): each row's logistic loss."""
    return jax.nn.softplus(_hardest(margins))


def pair_weights(margins: PairMargins, loss: Loss) -> PairMargins:
    """-d(row loss)/dD[n, k], the exp of `log_pair_weights` at a fraction of its cost."""
    if loss == "logistic" and margins.shape[1] == 1:
        over, under = _exp_ratio(jnp.minimum(-margins, 700.0))
        return over / (under + over)
    return grown_pair_weights(margins, -margins, loss)


def grown_pair_weights(margins: PairMargins, exponents: PairMargins, loss: Loss) -> PairMargins:
    """exp(s) times `pair_weights`, with exponents = s - D given where s and D are large.

    Without a log1p, which takes ten times as long as an exp.
    """
    if loss == "exponential":
        return jnp.exp(exponents)
    if margins.shape[1] == 1:
        return jnp.exp(exponents - jnp.maximum(0.0, -margins)) / (1.0 + jnp.exp(-jnp.abs(margins)))
    shift = jnp.maximum(0.0, -margins.min(axis=1, keepdims=True))
    rivals = jnp.exp(-margins - shift).sum(axis=1, keepdims=True)
    return jnp.exp(exponents - shift) / (jnp.exp(-shift) + rivals)


def grad_loss(w: Weights, rows: Rows, loss: Loss) -> Weights:
    """Gradient of the mean loss; underflows to zero where the log-loss is below -708."""
    if rows.tiled_rows is not None and len(w) <= FEW:
        margins = reduce(operator.add, (rows.x[:, p] * w[p] for p in range(len(w)))).reshape(-1, 1)
    else:
        margins = pair_margins(w, rows)
    return -combine(pair_weights(margins, loss), rows) / rows.mean_over


def log_loss_and_grad(w: Weights, rows: Rows, loss: Loss) -> tuple[Float[Array, ""], Weights]:
    """ln(mean loss) and its gradient, a weighted mean of rows: of order one however small L is."""
    margins = pair_margins(w, rows)
    if rows.mean_over < len(margins):
        margins = jnp.where(jnp.arange(len(margins))[:, None] < rows.mean_over, margins, jnp.inf)
    unit, grown, weights = _in_units(margins, loss)
    total = _sum(grown)
    log_loss = jnp.log(total) + unit - jnp.log(rows.mean_over)
    return log_loss, -combine(weights / total, rows)


def _in_units(
    margins: PairMargins, loss: Loss
) -> tuple[Float[Array, ""], Float[Array, " n"], PairMargins]:
    """`unit`, about ln of the largest row's loss, then row losses and pair weights over e^unit.

    Nothing that counts underflows so.
    """
    hardest = _hardest(margins)
    if loss == "exponential":
        unit = hardest.max()
        return unit, jnp.exp(hardest - unit), jnp.exp(-margins - unit)
    unit = jnp.minimum(hardest.max(), 0.0)
    right = hardest < 0.0  # where some row is not, unit is 0
    power = _exp(jnp.where(right, hardest - unit, -hardest))
    above = jnp.where(right, power, 1.0)
    small = power * jnp.exp(unit)  # e^-|hardest|
    ratio = _log1p_ratio(small)
    grown = jnp.where(right, above * ratio, hardest + small * ratio)
    if margins.shape[1] == 1:
        return unit, grown, (above / (1.0 + small))[:, None]
    return unit, grown, grown_pair_weights(margins, -margins - unit, loss)


def _sum(column: Float[Array, " n"]) -> Float[Array, ""]:
    """Of all; in lanes, where they come out even, since XLA keeps the order of a plain sum."""
    return column.sum() if len(column) % _LANES else column.reshape(-1, _LANES).sum(axis=0).sum()


def smallest_margin(margins: PairMargins) -> Float[Array, ""]:
    """The smallest functional margin over all rows and rivals."""
    return margins.min()


def _hardest(margins: PairMargins) -> Float[Array, " n"]:
    """logsumexp over rivals of -D; for two classes simply -D."""
    return -margins[:, 0] if margins.shape[1] == 1 else logsumexp(-margins, axis=1)


def _log_softplus(m: Float[Array, " n"]) -> Float[Array, " n"]:
    """ln ln(1 + e^m) without underflow: for m < -37, ln(1 + e^m) = e^m to the last bit."""
    return jnp.where(m < -37.0, m, jnp.log(jax.nn.softplus(jnp.maximum(m, -37.0))))


def _log1p_ratio(y: Float[Array, " n"]) -> Float[Array, " n"]:
    """ln(1 + y) / y for 0 <= y <= 1, by 2 artanh(y / (2 + y)): as exact as log1p and vectorised.

    The series goes on in steps of (y / (2 + y))^2 <= 1/9, so that 16 terms reach 1e-17.
    """
    square = (y / (2.0 + y)) ** 2
    series = jnp.zeros_like(y)
    for term in range(15, -1, -1):
        series = series * square + 1.0 / (2 * term + 1)
    return 2.0 / (2.0 + y) * series


def _exp(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """e^x for x <= 700, to two units of the last place; 0 below -708.

    Nearly twice as fast as XLA's on CPUs with wide vectors (benchmarks/many.py).
    """
    over, under = _exp_ratio(x)
    return over / under


def _exp_ratio(x: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Numerator and denominator of e^x, so that a sigmoid divides once; the latter is of order 1.

    x = k ln 2 + r (Cody & Waite), e^r = (even + r odd) / (even - r odd) (Pade), 2^k by its bits.
    """
    k = jnp.round(jnp.maximum(x, -708.0) * 1.4426950408889634)
    r = (jnp.maximum(x, -708.0) - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    square = r * r
    even = ((_PADE[6] * square + _PADE[4]) * square + _PADE[2]) * square + 1.0
    odd = r * ((_PADE[5] * square + _PADE[3]) * square + _PADE[1])
    bits = jax.lax.bitcast_convert_type(k + 1.5 * 2.0**52, jnp.int64)  # k in its lowest bits
    power = jax.lax.bitcast_convert_type((bits + 1023) << 52, jnp.float64)
    return jnp.where(x < -708.0, 0.0, power * (even + odd)), even - odd
