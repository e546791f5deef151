"""Li, Ding, Gao (arXiv 1808.05385): the whole network trained, and its last layer trained again."""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64

from svmconv.geometry import norm
from svmconv.measures.last_layer import midpoint
from svmconv.measures.layer import read
from svmconv.svm.solve import max_margin
from svmconv.theory import joint, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity, worst
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.li2018 import FEATURES, SOURCE
from svmconv.theory.setting import Setting

SEEDS = range(10)


def direction(depth: int, classes: tuple[int, int]) -> Measurement:
    """Angle, margin and growth of the last layer, against the exact SVM of its current features."""
    run = joint.joint(depth, classes)
    length, away = run.at("norm"), run.at("angle")
    exponent, doubt = joint.slope(run, length)
    grows = Quantity(
        "growth of |w|", 1.0 / depth, exponent, doubt, tolerances.EXPONENT
    )  # fmt: skip
    within = joint.bound_outside(run) / length[-1]
    turns = Quantity("angle", 0.0, float(away[-1]), within, tolerances.DIRECTION)
    stays = joint.growth_outside(run, "sin(angle)", np.sin(away))
    # The margins of the support vectors differ by O(1), in a network at rest by ln |S| at most.
    spread = np.log(run.final.n) / run.depth_reached[-1] + 1.0 - np.cos(within)
    gap = float(run.at("margin_gap")[-1])
    margin = Quantity("margin / best", 1.0, 1.0 - gap, float(spread), tolerances.JOINT)
    # no layer is better than the best: a margin beyond it would be measured against a wrong SVM
    certified = float(run.at("floor")[-1]) + 1e-12
    beyond = Quantity("margin beyond the best", 0.0, max(-gap, 0.0), certified, tolerances.FLOW)
    initial = joint.growth_outside(run, "sin(angle)", np.sin(run.at("angle_initial")))
    control = Control("the class means of the initial features", (initial,))
    return joint.measured(run, (turns, stays, margin, beyond, grows), control)


def reinitialised(classes: tuple[int, ...]) -> Measurement:
    """Ten last layers from random weights on the same features: one direction, and one bias."""
    found = [compare(_from_seed(classes, seed)) for seed in SEEDS]
    first = found[0]
    turned = [q.direction(c) for c in found]
    bias = [q.intercept(c) for c in found]
    free = max_margin(first.problem, bias="free")
    limits = [q.largest_intercept(first, svm.b) / norm(svm.w) for svm in (first.svm, free)]
    control = q.classical_svm(first, bias[0], *limits)
    quantities = (_least_sure("angle, of ten", turned), _least_sure("b/|w|, of ten", bias))
    return q.measured_case(first, (*quantities, _agreement(found)), control)


def _from_seed(classes: tuple[int, ...], seed: int) -> Setting:
    return Setting(FEATURES[classes], bias="augmented", init=partial(_random, classes, seed))


def _random(classes: tuple[int, ...], seed: int) -> Float64[np.ndarray, "*w"]:
    """Normal weights of the size of a fresh layer's, in the space of (w, b)."""
    d = FEATURES[classes]().d
    shape = (d + 1,) if len(classes) == 2 else (len(classes), d + 1)
    return np.random.default_rng(seed).standard_normal(shape) / np.sqrt(d)


def _least_sure(name: str, each: list[Quantity]) -> Quantity:
    """The one with the worst verdict, and of these the one farthest off in error bars."""
    verdict = worst(one.verdict for one in each)
    found = max(
        (one for one in each if one.verdict == verdict),
        key=lambda one: abs(one.measured - one.predicted) / one.error,
    )
    return Quantity(name, found.predicted, found.measured, found.error, found.tolerance)


def _agreement(found: list[Comparison]) -> Quantity:
    """How far the intercepts of ten layers spread, against the spread that was forecast."""
    each = [q.intercept(c) for c in found]
    predicted = float(np.ptp([one.predicted for one in each]))
    bar = 2.0 * max(one.error for one in each)
    spread = float(np.ptp([one.measured for one in each]))
    return Quantity("spread of b/|w|", predicted, spread, bar, each[0].tolerance)


def midpoint_of_frozen(classes: tuple[int, int]) -> Measurement:
    """The threshold tends to the middle of the gap, with the finite-t forecast of both margins."""
    c = compare(Setting(FEATURES[classes], bias="augmented"))
    positions = []
    for run in (c.forecast_run, c.run):
        w, b = run.w.values[-1], float(run.b.values[-1])
        positions.append(midpoint(read(c.problem.x, c.problem.y, w, b)))
    gap = 2.0 * float(c.clock[-1])
    doubt = c.reach * (c.error + c.drift + c.floor) / gap
    predicted, found = positions
    right = Quantity("threshold in the gap", predicted, found, doubt, c.tolerance)
    between = joint.between_means(c.problem, c.run.w.values[-1])
    control = q.refuted("halfway between the class means", right, between)
    return q.measured_case(c, (right,), control)


def midpoint_of_joint(classes: tuple[int, int]) -> Measurement:
    """Ten networks with biases, trained as a whole: each ends with its threshold in the middle."""
    ends = [joint.with_biases(classes, seed) for seed in SEEDS]
    farthest = max(ends, key=lambda end: abs(end.position - 0.5))
    # both classes' smallest margins are at least |log L| - ln N and at most |log L| + ln N
    doubt = np.log(farthest.final.n) / -joint.BIASED_LOG_LOSS
    right = Quantity("threshold, of ten", 0.5, farthest.position, float(doubt), tolerances.JOINT)
    means = max((end.between_means for end in ends), key=lambda position: abs(position - 0.5))
    control = q.refuted("halfway between the class means, of ten", right, means)
    return Measurement(
        problem=farthest.final.name,
        bias="augmented",
        method="3 layers with biases trained on log L",
        log_t=(0.0, -joint.BIASED_LOG_LOSS),
        kappa=1.0 / 3.0,
        quantities=(right,),
        control=control,
        clock="1 / L",
    )


CLAIMS = (
    Claim(
        "li2018-joint-direction",
        SOURCE,
        "Trained as a whole, the last layer tends to the SVM of its current features; in a "
        "homogeneous network of D layers |w| grows like |log L|^(1/D) and the angle is at most "
        "|w_out| / |w|.",
        (
            Case(partial(direction, 2, (3, 8))),
            Case(partial(direction, 3, (3, 8))),
            Case(partial(direction, 3, (4, 9))),
        ),
        extended=True,
    ),
    Claim(
        "li2018-bias-midpoint",
        SOURCE,
        "Training puts the threshold of two classes halfway between their closest rows: on frozen "
        "features by the bias, in a whole network by its weights as well, bias or not.",
        (
            Case(partial(midpoint_of_frozen, (3, 8))),
            Case(partial(midpoint_of_frozen, (1, 7))),
            Case(partial(midpoint_of_joint, (3, 8))),
        ),
        extended=True,
    ),
    Claim(
        "li2018-reinit",
        SOURCE,
        "A last layer trained again from random weights on the same features finds the same "
        "direction and, in the limit, the same bias: that of the augmented SVM.",
        (
            Case(partial(reinitialised, (3, 8))),
            Case(partial(reinitialised, (4, 9))),
        ),
        extended=True,
    ),
)
