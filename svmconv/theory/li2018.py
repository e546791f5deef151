"""Li, Ding, Gao: On the decision boundary of deep neural networks. arXiv 1808.05385.

Their claim, on features of real images: the last layer of a trained network is the SVM of its own
penultimate features. Here the features are frozen, so that theory has something to say about every
constant; the SVM that descent on (w, b) reaches is the augmented one.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import optax
from flax import nnx

from svmconv import data
from svmconv.geometry import norm
from svmconv.models.mlp import MLP
from svmconv.optimizers import GD, NormalizedGD
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.setting import Descent, Setting
from svmconv.training.fit import features, fit

SOURCE = "Li, Ding, Gao, arXiv 1808.05385, abstract; constants derived (docs/theory.md)"
OPTIMIZER = optax.adam(1e-2)
STEPS = 100
SETS = ((3, 8), (4, 9), (1, 7), (3, 5, 8))
BOTTLENECK = {2: 32, 3: 8}
"""Penultimate units by number of classes: the flow's cost grows with their product squared."""


@cache
def trained(classes: tuple[int, ...]) -> tuple[Problem, Problem]:
    """Penultimate features of an MLP on embedded digits, before and after training.

    Its bottleneck is leaky, hence injective: it cannot collapse a class to a point.
    """
    digits = data.digits(classes=classes)
    module = MLP(
        (64, BOTTLENECK[len(classes)], len(classes)), activation="leaky_relu", rngs=nnx.Rngs(0)
    )
    initial = features(module, digits)
    fit(module, digits, OPTIMIZER, STEPS)
    return initial, features(module, digits)


def final(classes: tuple[int, ...]) -> Problem:
    """The features after training."""
    return trained(classes)[1]


FEATURES: dict[tuple[int, ...], partial[Problem]] = {c: partial(final, c) for c in SETS}


def last_layer(setting: Setting, classes: tuple[int, ...]) -> Measurement:
    """Angle, margin, bias, loss constant and duals of the last layer against its exact SVM."""
    c = compare(setting)
    return q.measured_case(c, constants_of(c), q.initial_svm(c, trained(classes)[0]))


def constants_of(c: Comparison) -> tuple[Quantity, ...]:
    """All that theory says of a last layer on frozen features."""
    found = (
        q.direction(c), q.classical_margin(c), q.intercept(c), q.scaled_gap(c), q.dual_error(c)
    )  # fmt: skip
    return found if c.setting.clock == "loss" else (*found, q.loss_constant(c))


def classical(setting: Setting) -> Measurement:
    """The intercept the layer tends to: that of the augmented SVM, not of the classical one."""
    c = compare(setting)
    free = max_margin(c.problem, bias="free")
    limits = [q.largest_intercept(c, svm.b) / norm(svm.w) for svm in (c.svm, free)]
    right = q.intercept(c)
    control = q.classical_svm(c, right, *limits)
    return q.measured_case(c, (right, q.classical_margin(c)), control)


def support_vectors(setting: Setting, classes: tuple[int, ...]) -> Measurement:
    """The |S| (pair) rows of highest loss are the support vectors, all of them (F6)."""
    c = compare(setting)
    margins, support = c.run_margins.ravel(), c.constants.alpha.ravel() > 0
    count = int(support.sum())
    highest = np.argsort(margins, kind="stable")[:count]
    overlap = float(support[highest].mean())
    # Settled with room for the error bar of every margin, the ranking cannot be another.
    on, off = c.end_margins[c.supporting], c.end_margins[~c.supporting]
    room = float(off.min(initial=np.inf) - on.max()) / 2
    doubt = c.swing + c.constants.gamma * c.along_error + c.clock[-1] * c.certified
    error = 0.0 if doubt < room else float("inf")
    right = Quantity("overlap", 1.0, overlap, error, 0.5 / count)
    if right.verdict == "undecided":
        return q.measured_case(c, (right,), q.initial_svm(c, trained(classes)[0]))
    chance = count / int(np.isfinite(margins).sum())
    return q.measured_case(c, (right,), q.refuted(f"a random subset of {count}", right, chance))


def _flow(classes: tuple[int, ...]) -> Setting:
    return Setting(FEATURES[classes], bias="augmented")


def _normalized(classes: tuple[int, ...]) -> Setting:
    method = Descent(NormalizedGD(0.01), 10**5)
    return Setting(FEATURES[classes], method, "augmented", clock="loss")


EARLY = Setting(FEATURES[3, 8], Descent(GD(0.5), 10**5), "augmented")
"""A hundred thousand steps of plain GD: at ln t = 11 these features are far from their limit."""

CLAIMS = (
    Claim(
        "li2018-last-layer",
        SOURCE,
        "The last layer of a network, trained on its frozen penultimate features, tends to their "
        "hard-margin SVM: the augmented one, with every constant of its own.",
        (
            *(Case(partial(last_layer, _flow(classes), classes)) for classes in SETS),
            *(Case(partial(classical, _flow(classes))) for classes in SETS[:1]),
            Case(partial(last_layer, _normalized((3, 8)), (3, 8))),
            Case(partial(last_layer, EARLY, (3, 8)), "undecided"),
        ),
    ),
    Claim(
        "li2018-support-vectors",
        SOURCE,
        "The rows of highest loss are the support vectors of the penultimate features.",
        (
            *(Case(partial(support_vectors, _flow(classes), classes)) for classes in SETS),
            Case(partial(support_vectors, _normalized((3, 8)), (3, 8))),
            Case(partial(support_vectors, EARLY, (3, 8)), "undecided"),
        ),
    ),
)
