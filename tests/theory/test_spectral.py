"""The inequalities of spectral descent beside a loop in numpy, and beside wrong margins."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import softmax

from svmconv.optimizers import Spectral
from svmconv.theory import fan2025, other_norms, problems
from svmconv.theory.other_norms import Setting
from tests.tolerances import LONG_SUM

STEPS = 200


@cache
def run():
    return other_norms.run(
        Setting(problems.three_classes, Spectral(0.1, power=0.5), STEPS, "spectral")
    )


@pytest.mark.slow
def test_what_the_steps_add_up_to():
    r = run()
    x, own = r.problem.x, r.problem.own
    w, idle, curved, worst = np.zeros((3, 4)), 0.0, 0.0, [-np.inf, -np.inf]
    for t in range(STEPS):

        def loss(w):
            return -np.log(softmax(x @ w.T, axis=1)[own]).mean()

        weights = softmax(x @ w.T, axis=1)
        slope = (weights - own).T @ x / r.problem.n / loss(w)
        total = (1 - weights[own]).mean() / loss(w)  # weights of the pairs of a row, summed
        u, s, v = np.linalg.svd(slope, full_matrices=False)
        length, before = 0.1 / np.sqrt(t + 1), loss(w)
        scores = x @ w.T
        margin = (scores[own][:, None] - np.where(own, -np.inf, scores)).min()
        size = np.linalg.norm(w, 2)
        w = w - length * u[:, :2] @ v[:2]
        bend = length**2 * np.square(x).sum(axis=1).max()
        idle, curved = idle + length * (1 - total), curved + bend
        descended = np.log(loss(w) / before) + length * s.sum() - bend
        for i, gamma in enumerate((r.svm.margin, fan2025.LARGER * r.svm.margin)):
            worst[i] = max(worst[i], descended, gamma * total - s.sum(), margin - gamma * size)
    found = fan2025._walk(r)
    np.testing.assert_allclose(found.worst, worst, atol=LONG_SUM)
    assert (found.idle, found.curved) == pytest.approx((idle, curved), rel=LONG_SUM)
    np.testing.assert_allclose(r.run.w.values[-1], w, atol=LONG_SUM * np.abs(w).max())


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.98, 1.001, 1.05])
def test_a_margin_that_is_not_the_largest_breaks_an_inequality(factor):
    """Too large a one is no bound of the gradient, too small a one none of the margin."""
    r = run()
    steps = 200 if factor > 1 else 20_000
    if steps != STEPS:
        r = other_norms.run(replace(r.setting, steps=steps))
    wrong = replace(r, svm=replace(r.svm, margin=factor * r.svm.margin))
    assert fan2025._nowhere("worst", fan2025._walk(r).worst[0]).verdict == "holds"
    assert fan2025._nowhere("worst", fan2025._walk(wrong).worst[0]).verdict == "contradicted"


@pytest.mark.slow
def test_the_bound_of_a_run_that_stays_behind_is_contradicted():
    r = other_norms.run(replace(run().setting, steps=20_000))
    assert fan2025.published_bound(r).verdict == "holds"
    walk = fan2025._walk(r)
    allowed = np.log(2.0 * r.problem.n) + float(r.run.log_loss[0])
    allowed += r.svm.margin * walk.idle + walk.curved
    for beyond, verdict in ((-1e-6, "holds"), (1e-6, "contradicted")):
        margin = r.run.margin.copy()
        margin[-1] = r.svm.margin * r.norms[-1] - allowed - beyond
        other = replace(r, run=r.run.assign(margin=margin))
        assert fan2025.published_bound(other).verdict == verdict


@pytest.mark.parametrize(
    ("excess", "verdict"),
    [(-1.0, "holds"), (0.0, "holds"), (1e-10, "holds"), (1e-8, "contradicted"),
     (np.nan, "undecided"), (np.inf, "undecided")],
)  # fmt: skip
def test_only_what_is_known_to_be_nowhere_holds(excess, verdict):
    assert fan2025._nowhere("x", excess).verdict == verdict
