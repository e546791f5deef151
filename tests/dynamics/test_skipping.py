"""Rows that may be left out: what the sum loses is less than its last bit, wherever w goes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from svmconv.dynamics.skipping import kept, needed


@given(st.integers(0, 10**6), st.floats(0.0, 5.0), st.sampled_from([1, 4]))
def test_what_is_left_out_is_below_the_last_bit(seed, reach, rivals):
    """For the worst motion within reach: every row's margin falls, that of the smallest rises."""
    rng = np.random.default_rng(seed)
    margins = rng.uniform(-5.0, 120.0, (1, 50))
    sizes = np.exp(rng.uniform(-3.0, 3.0, (1, 50)))
    must = needed(margins, sizes, np.array([reach]), rivals)[0]
    m, r = margins[0], sizes[0]
    first = m.argmin()
    assert must[first]
    largest = r[first] / (1.0 + np.exp(m[first] + r[first] * reach))
    lost = (rivals * np.exp(-m + r * reach) * r)[~must].sum()
    assert lost <= np.finfo(float).eps / 4 * largest


def test_a_row_that_counts_is_never_left_out():
    margins = np.array([[1.0, 36.0, 60.0]])
    must = needed(margins, np.ones((1, 3)), np.zeros(1), 1)
    np.testing.assert_array_equal(must, [[True, True, False]])
    must = needed(margins, np.ones((1, 3)), np.array([12.0]), 1)  # 60 - 12 against 1 + 12
    np.testing.assert_array_equal(must, [[True, True, True]])


def test_a_run_that_is_lost_asks_for_nothing():
    margins = np.full((1, 3), np.nan)
    assert not needed(margins, np.ones((1, 3)), np.zeros(1), 1).any()


def test_runs_keep_equally_many_rows_those_that_must_first():
    margins = np.tile(np.arange(100.0), (2, 1))
    must = margins < [[3.0], [10.0]]
    must[0, 70] = True
    chosen = kept(margins, must)
    assert chosen.shape == (2, 16)
    assert 70 in chosen[0]
    np.testing.assert_array_equal(chosen[1], np.arange(16))
    assert (np.diff(chosen) > 0).all()
    assert kept(margins, margins < 20.0) is None  # 64 of 100 would not pay
    assert kept(margins[:, :10], must[:, :10]) is None
