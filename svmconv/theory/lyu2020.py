"""Lyu, Li: Gradient descent maximizes the margin of homogeneous neural networks. ICLR 2020."""

from __future__ import annotations

from functools import partial

import numpy as np

from svmconv.theory import joint, tolerances
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity

SOURCE = "Lyu, Li, ICLR 2020, theorem {}"


def normalised_margin(depth: int, classes: tuple[int, int]) -> Measurement:
    """(-ln N L) / |params|^D never falls once L < 1 / N."""
    run = joint.joint(depth, classes)
    right = _largest_fall(run, depth)
    # One degree too many: the quotient then falls, as the network goes on growing.
    control = Control(f"degree {depth + 1}", (_largest_fall(run, depth + 1),))
    return joint.measured(run, (right,), control)


def _largest_fall(run: joint.Joint, degree: int) -> Quantity:
    """Of the normalised margin between two records, as a part of it; predicted to be none."""
    depth = -run.phase.log_loss - np.log(run.final.n)
    counted = depth > 1.0
    margin = depth[counted] / run.phase.norm[counted] ** degree
    fall = float(np.maximum(-np.diff(margin) / margin[:-1], 0.0).max())
    return Quantity("largest fall", 0.0, fall, 1e-12, 1e-9)


def kkt(depth: int, classes: tuple[int, int]) -> Measurement:
    """The last layer comes to the cone of its closest rows: w = sum alpha z, alpha >= 0.

    What stays outside is part of w_out: its share of w is at most |w_out| / |w|, and falls as that.
    """
    run = joint.joint(depth, classes)
    bar, share = joint.bound_outside(run) / run.at("norm")[-1], run.at("cone")
    near = Quantity(
        "distance from the cone", 0.0, float(share[-1]), float(bar), tolerances.DIRECTION
    )  # fmt: skip
    initial = joint.growth_outside(run, "distance", run.at("cone_initial"))
    control = Control("the class means of the initial features", (initial,))
    return joint.measured(run, (near, joint.growth_outside(run, "distance", share)), control)


CLAIMS = (
    Claim(
        "lyu2020-normalised-margin",
        SOURCE.format("4.1"),
        "In a homogeneous network of degree D the normalised margin -ln(N L) / |params|^D never "
        "falls once the data are fitted.",
        (Case(partial(normalised_margin, 2, (3, 8))), Case(partial(normalised_margin, 3, (3, 8)))),
        extended=True,
    ),
    Claim(
        "kkt-last-layer",
        SOURCE.format("4.4"),
        "The last layer tends to a nonnegative combination of its closest rows, the KKT condition "
        "of its own SVM.",
        (Case(partial(kkt, 2, (3, 8))), Case(partial(kkt, 3, (3, 8)))),
        extended=True,
    ),
)
