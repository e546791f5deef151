"""K classes: the mean over classes, and hypotheses about two classes at a time."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

from svmconv.geometry import angle, centre
from svmconv.optimizers import NormalizedGD
from svmconv.svm.solve import max_margin
from svmconv.theory import problems
from svmconv.theory import quantities as q
from svmconv.theory import soudry2018_multiclass as claim
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Descent, Setting


@cache
def moved():
    """Three classes from uncentred weights, by a method without an implicit solver."""
    method = Descent(NormalizedGD(0.01), 20_000)
    return compare(replace(claim.THREE, method=method, clock="loss"))


def test_the_mean_over_classes_lengthens_w_as_predicted():
    c = moved()
    right = claim.uncentred_gap(c)
    assert right.verdict == "holds"
    assert q.scaled_gap(c).verdict == "holds"
    # gamma |W_bar|^2 / (2 |W|), |W_bar|^2 = 3 sum of squared column means
    mean = claim.uncentred().mean(axis=0)
    expected = c.constants.gamma * 3 * (mean @ mean) / (2 * c.run.norm.values[-1])
    added = right.predicted - q.scaled_gap(c).predicted
    assert added == pytest.approx(expected, rel=1e-2)
    assert q.refuted("nothing", right, right.predicted - added).verdict == "contradicted"


@pytest.mark.parametrize("by", [1.001, 0.999, 0.0])
def test_a_mean_that_changed_is_contradicted(by):
    c = moved()
    mean = c.run.w.mean("class")
    w = c.run.w + (by - 1.0) * mean
    norm = np.linalg.norm(w.values.reshape(len(w), -1), axis=1)
    run = c.run.assign(w=w.transpose(*c.run.w.dims), norm=("log1p_t", norm))
    found = claim.uncentred_gap(replace(c, run=run, coarse=run))
    assert found.missed
    assert found.verdict == "contradicted"


def test_the_part_across_counts_no_mean_over_classes():
    """Centred before it is measured: W_bar = 11 would be all of it."""
    c = moved()
    centred = centre(c.weights[-1])
    across = centred - np.vdot(centred, c.constants.u) * c.constants.u
    assert q.w_perp(c) == pytest.approx(np.linalg.norm(across), rel=1e-6)


def test_one_against_the_rest_is_another_direction():
    """Its three SVMs exist, and are 0.28 rad away from W_hat."""
    c = moved()
    control = claim.one_against_the_rest(c)
    assert control.verdict == "contradicted"
    assert "rest" in control.hypothesis
    assert control.quantities[0].predicted > 0.1
    rest = np.zeros((3, 5))
    for k in range(3):
        sign = np.where(c.problem.index == k, 1.0, -1.0)
        two = claim.Problem(c.problem.x, sign.astype(int))
        rest[k] = max_margin(two).w
        assert (sign * (c.problem.x @ rest[k])).min() >= 1 - 1e-12
    away = angle(centre(rest).ravel(), c.constants.u.ravel())
    assert control.quantities[0].predicted == pytest.approx(float(away), rel=1e-12)


@pytest.mark.slow
def test_without_such_svms_the_control_is_another():
    problem = partial(problems.gaussian_classes, 100, 12, 10, 2)
    setting = Setting(problem, Descent(NormalizedGD(0.1), 10), clock="loss")
    assert claim.one_against_the_rest(compare(setting)).hypothesis == "the class-mean direction"
