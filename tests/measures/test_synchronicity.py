"""Correlations over seeds: by hand, beside scipy, and near nothing where nothing binds the two."""

import doctest
from importlib import import_module

import numpy as np
import pytest
from scipy import stats

import svmconv as sc
from svmconv.measures.synchronicity import before_saturation, synchronicity
from tests.tolerances import ROUNDING

module = import_module("svmconv.measures.synchronicity")  # its function has the same name


def test_documented_example():
    failed, tried = doctest.testmod(module)
    assert (tried > 0, failed) == (True, 0)


def walks(seeds=6, steps=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, seeds, steps)).cumsum(axis=2)


def test_beside_scipy():
    a, b = walks()
    everywhere = np.ones(a.shape, bool)
    found = synchronicity(a, b, everywhere)
    ranks = [stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    steps = [stats.pearsonr(np.diff(x), np.diff(y)).statistic for x, y in zip(a, b, strict=True)]
    assert found.spearman.mean == pytest.approx(np.mean(ranks), rel=ROUNDING)
    assert found.pearson_increments.mean == pytest.approx(np.mean(steps), rel=1e-12)
    told = stats.ttest_1samp(ranks, 0.0).confidence_interval(0.95)
    assert found.spearman[1:3] == pytest.approx((told.low, told.high), rel=1e-12)


def test_a_common_trend_correlates_levels_but_not_increments():
    """The control: independent steps, both drifting upward."""
    a, b = walks(seeds=20, steps=60)
    drift = 3.0 * np.arange(60)
    found = synchronicity(a + drift, b + drift, np.ones(a.shape, bool))
    assert found.spearman.low > 0.99
    assert found.spearman_increments.low < 0 < found.spearman_increments.high


def test_increments_that_are_bound_are_found():
    a, b = walks(seeds=20, steps=60)
    found = synchronicity(a + 2 * b, b, np.ones(a.shape, bool))  # correlation 2 / sqrt 5
    assert found.pearson_increments.low < 2 / np.sqrt(5) < found.pearson_increments.high
    assert found.pearson_increments.low > 0.8


def test_only_what_comes_before_saturation_counts():
    accuracy = np.array(
        [[0.1, 0.5, 0.9, 0.95, 1.0, 0.99, 1.0], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]]
    )
    before = before_saturation(accuracy)
    assert before.sum(axis=1).tolist() == [5, 7]
    measure = accuracy.copy()
    measure[0, 5:] = [-7.0, np.nan]  # not looked at
    assert synchronicity(measure, accuracy, before).pearson.mean == pytest.approx(1.0)
    with pytest.raises(sc.DataError, match="not finite"):
        synchronicity(measure, accuracy, np.ones_like(before))


def test_what_does_not_move_counts_for_no_seed():
    rise = np.tile(np.arange(6.0), (4, 1))
    flat = rise.copy()
    flat[0] = 1.0
    found = synchronicity(flat, rise, np.ones(rise.shape, bool))
    assert found.spearman == (1.0, 1.0, 1.0, 3)
    assert found.spearman_increments.seeds == 0  # increments are all one
    assert found.same_sign == (1.0, 1.0, 1.0, 3)
    few = synchronicity(rise[:2], rise[:2], np.ones((2, 6), bool)).spearman
    assert few.mean == pytest.approx(1.0)
    assert np.isnan(few[1:3]).all()


def test_different_shapes_are_one_sentence():
    with pytest.raises(sc.DataError, match="one shape"):
        synchronicity(np.zeros((2, 3)), np.zeros((2, 4)), np.ones((2, 3), bool))


def level_off(seeds=5, steps=18, bound=0.0, seed=0):
    """A measure and accuracy that both level off, each with noise of its own, and some shared."""
    rng = np.random.default_rng(seed)
    own, shared = rng.standard_normal((2, seeds, steps)), rng.standard_normal((seeds, steps))
    fall = np.exp(-np.arange(steps) / 4.0)
    return (1 - 0.9 * fall + 0.02 * (noise + bound * shared) for noise in own)


def test_curves_that_both_level_off_have_correlated_increments_but_no_excess():
    """The control that increments alone do not pass: nothing binds a run's two curves."""
    a, b = level_off(seeds=20)
    found = synchronicity(a, b, np.ones(a.shape, bool))
    assert found.spearman_increments.low > 0
    assert found.excess.low < 0 < found.excess.high


def test_curves_of_one_run_that_share_more_than_a_trend_have_excess():
    a, b = level_off(seeds=20, bound=2.0)
    found = synchronicity(a, b, np.ones(a.shape, bool))
    assert found.excess.low > 0.2


def test_excess_is_over_the_other_seeds():
    """By hand: 1 with their own, -1 with the other's, whose increments are the same reversed."""
    moves = np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    rise = np.hstack([np.zeros((2, 1)), moves.cumsum(axis=1)])
    found = synchronicity(rise, rise, np.ones((2, 5), bool))
    assert found.excess.mean == 2.0


def test_no_increment_runs_over_a_record_that_is_left_out():
    rise = np.tile(np.arange(9.0) ** 2, (3, 1))
    measure, before = rise.copy(), np.ones(rise.shape, bool)
    measure[:, 4:] -= 60.0  # the only fall is from record 3 to record 4
    before[:, 3] = False
    assert synchronicity(measure, rise, before).same_sign.mean == 1.0
