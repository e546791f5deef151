"""E, Wojtowytsch, arXiv:2012.05420, lemma 16: the largest margin need not be constant on a class.

Two-layer ReLU networks on the line, classes [-2, -1] and [1, 2], of size sum |a_j| |(w_j, b_j)|.
Weights 1/2 on the rows x = 1 and -1 bound the margin [derived]: F(w, b) = (relu(w + b) - relu(b -
w)) / 2 is w where b >= |w| and (w + b) / 2 where |b| <= w. With |w| + |b| = 1 it is at most 1/2, at
every w = 1 - b in [1/2, 1], where h(2) / h(1) = 1 + w; with w^2 + b^2 = 1 at most 1 / sqrt 2, at
w = b only: 3/2.

*How near* [derived]. With w^2 + b^2 = 1 and D = 1 -+ sqrt 2 F, by the sign of a, every neuron has
|relu(2 w + b) - (3/2) relu(w + b)| <= sqrt(5 D / 4) (a test goes round the circle: the worst is
sqrt(1.225 D), at b = -2 w > 0). At size 1 and a margin of (1 - e) / sqrt 2 sum |a_j| D_j <= e,
hence by Cauchy-Schwarz

    |h(2) / h(1) - 3/2| <= sqrt(5 e / 2) / (1 - e),   and the same at -2, -1.
"""

from __future__ import annotations

import numpy as np

from svmconv.theory import quantities as q
from svmconv.theory import tolerances
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import EPS
from svmconv.theory.ew2020_relu_networks import OUTER, X, descend, extreme, largest_margin
from svmconv.theory.optima import farthest, measured_case, slope

PROBLEM = "[-2, -1] against [1, 2], two-layer ReLU"
CONSTANT = "constant on each class"
ROOM = 1e-9
"""By how much less than the largest margin the two extreme networks may have."""
WIDTH, SEEDS, STEPS, RATE = 100, 2, 5000, 0.25


def bend(shortfall: float) -> float:
    """How far h(2) / h(1) may be from 3/2 at a margin (1 - shortfall) / sqrt 2."""
    positive = max(shortfall, 0.0) + 8 * EPS
    return float(np.sqrt(2.5 * positive)) / (1.0 - positive) if positive < 1.0 else float("inf")


def sum_of_sizes() -> Measurement:
    """|a| (|w| + |b|): the margin is attained by two networks, of the least and largest ratio."""
    best = largest_margin("l1")
    h2 = np.zeros_like(X)
    h2[OUTER[1]] = 1.0
    floor = best.value * (1.0 - ROOM)
    least, most = (extreme("l1", sign * h2, floor, best.network) for sign in (-1.0, 1.0))
    margins = np.array([best.value, least.network.margin, most.network.margin])
    error = max(best.bound - best.value, 0.0) + 2.0 * (best.value - floor)
    attained = farthest("margin", 0.5, margins, error, tolerances.OPTIMUM)
    bars = [
        (abs(s.bound - s.value) + s.price * (best.bound - floor)) / best.value + 4.0 * ROOM
        for s in (least, most)
    ]
    ratios = [float(s.network.ratios[1]) for s in (least, most)]
    right = (
        attained,
        Quantity("least h(2)/h(1)", 1.5, ratios[0], bars[0], tolerances.OPTIMISER),
        Quantity("largest h(2)/h(1)", 2.0, ratios[1], bars[1], tolerances.OPTIMISER),
    )
    control = q.refuted(CONSTANT, right[1], 1.0)
    return measured_case(PROBLEM, "linear program, |a| (|w| + |b|)", right, control)


def euclidean_size() -> Measurement:
    """|a| |(w, b)|: one network attains the margin."""
    best = largest_margin("l2")
    gamma = float(np.sqrt(0.5))
    error = max(best.bound - best.value, 0.0) + 8 * EPS
    bar = bend((best.bound - best.value) / best.bound)
    right = (
        Quantity("margin", gamma, best.value, error, tolerances.OPTIMUM),
        farthest("h(2)/h(1)", 1.5, best.network.ratios, bar, tolerances.OPTIMISER),
    )
    control = q.refuted(CONSTANT, right[1], 1.0)
    return measured_case(PROBLEM, "linear program, |a| |(w, b)|", right, control)


def trained() -> Measurement:
    """Descent tends to the network of largest margin in |a| |(w, b)|.

    The bar of the ratio comes from how much of that margin, gamma as predicted, is missing.
    """
    gamma = float(np.sqrt(0.5))
    runs = [descend(WIDTH, seed, STEPS, RATE) for seed in range(SEEDS)]
    slopes = [slope(size, margin) for _, size, margin in runs]
    grown = max(slopes, key=lambda found: abs(found[0] - gamma) - found[1])
    networks = [network for network, _, _ in runs]
    bars = [bend(1.0 - f.margin / f.size("l2") / gamma) for f in networks]
    worst = int(np.argmax([np.abs(f.ratios - 1.5).max() - bar for f, bar in
                           zip(networks, bars, strict=True)]))  # fmt: skip
    ratio = farthest("h(2)/h(1)", 1.5, networks[worst].ratios, bars[worst], 1.5 * tolerances.LIMIT)
    right = (
        Quantity("d margin / d size", gamma, *grown, tolerances.OTHER_NORMS * gamma),
        ratio,
    )
    control = q.refuted(CONSTANT, ratio, 1.0)
    log_t = float(np.log(STEPS / 4)), float(np.log(STEPS))
    method = f"descent on ln L, {WIDTH} neurons, {SEEDS} starts"
    return Measurement(
        PROBLEM, "none", method, log_t, float("nan"), right, control, clock="steps"
    )  # fmt: skip


CLAIMS = (
    Claim(
        "ew2020-lemma16",
        "E, Wojtowytsch, arXiv:2012.05420 (2020), lemma 16; Euclidean size derived",
        "Shallow ReLU networks of largest margin are not constant on a class: with |a| (|w| + |b|) "
        "bounded h(2) / h(1) may be anything from 3/2 to 2, with |a| |(w, b)| it is 3/2, and "
        "descent goes there.",
        (Case(sum_of_sizes), Case(euclidean_size), Case(trained)),
    ),
)
