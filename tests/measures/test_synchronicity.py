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
    rise = np.tile(np.arange(6.0), (3, 1))
    flat = rise.copy()
    flat[0] = 1.0
    found = synchronicity(flat, rise, np.ones(rise.shape, bool))
    assert found.spearman == (1.0, 1.0, 1.0, 2)
    assert found.spearman_increments.seeds == 0  # increments are all one
    assert found.same_sign == (1.0, 1.0, 1.0, 2)
    one = synchronicity(rise[:1], rise[:1], np.ones((1, 6), bool)).spearman
    assert one.mean == pytest.approx(1.0)
    assert np.isnan(one[1:3]).all()


def test_different_shapes_are_one_sentence():
    with pytest.raises(sc.DataError, match="one shape"):
        synchronicity(np.zeros((2, 3)), np.zeros((2, 4)), np.ones((2, 3), bool))
