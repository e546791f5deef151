"""Features that have become points or lines, and those that have not."""

import numpy as np
import pytest

import svmconv as sc
from svmconv.measures import last_layer_gaps
from svmconv.measures.collapse import collapse

EPS32, EPS64 = (float(np.finfo(t).eps) for t in (np.float32, np.float64))
RNG = np.random.default_rng(0)
Y = np.arange(60) % 2
CLOUD = RNG.standard_normal((60, 3)) + 6.0 * np.eye(2, 3)[Y]


def found_in(x, y=Y):
    """In the dtype of the features."""
    return collapse(sc.Problem(x, y), float(np.finfo(x.dtype).eps))


def test_spread_by_hand():
    """Within each class 1; overall sqrt((36 + 16 + 16 + 36) / 4)."""
    found = collapse(sc.Problem([[-1.0], [1.0], [9.0], [11.0]], [0, 0, 1, 1]), EPS64)
    np.testing.assert_allclose(found.spread, 1 / np.sqrt(26), rtol=1e-15)
    assert not found.collapsed.any()


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_size_place_and_orientation_do_not_matter(factor):
    turn = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
    one = collapse(sc.Problem(CLOUD, Y), EPS64)
    other = collapse(sc.Problem(factor * (CLOUD @ turn + 5.0), Y), EPS64)
    np.testing.assert_allclose(other.spread, one.spread, rtol=1e-12)
    assert one.rank == other.rank == 3
    assert not one.collapsed.any()
    assert not other.collapsed.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_relu_class_at_the_origin(dtype):
    x = np.where(Y[:, None] == 0, 0.0, np.abs(CLOUD)).astype(dtype)
    found = found_in(x)
    assert found.collapsed.tolist() == [True, False]
    assert found.spread[0] == 0.0
    assert found.spread[1] > 0.1
    assert not found_in(CLOUD.astype(dtype)).collapsed.any()  # control


def test_the_record_of_a_last_layer_goes_by_the_dtype_of_its_features():
    near = 1.0 - EPS32 * RNG.integers(0, 5, (60, 3))
    x = np.where(Y[:, None] == 0, near, CLOUD).astype(np.float32)
    for features, expected in ((x, True), (x.astype(np.float64), False)):
        found = last_layer_gaps(features, Y, np.eye(2, 3), np.zeros(2))
        assert found.collapsed.item() is expected
        assert found.separable.item() is True
        np.testing.assert_array_equal(found.spread, found_in(features).spread)
        assert found["rank"] == 3


def test_one_point_up_to_the_rounding_of_the_dtype():
    """Saturated tanh units: 1, or 1 less a few units in the last place of float32."""
    near = 1.0 - EPS32 * RNG.integers(0, 5, (60, 3))
    x = np.where(Y[:, None] == 0, near, CLOUD).astype(np.float32)
    assert found_in(x).collapsed.tolist() == [True, False]
    assert not found_in(x.astype(np.float64)).collapsed.any()  # there it is a spread
    near = 1.0 - 1e3 * EPS32 * RNG.random((60, 3))
    x = np.where(Y[:, None] == 0, near, CLOUD).astype(np.float32)
    assert not found_in(x).collapsed.any()


def test_a_class_of_one_row_has_not_collapsed():
    x, y = np.vstack([CLOUD[Y == 0], [[9.0, 9.0, 9.0]]]), np.append(np.zeros(30, int), 1)
    assert not found_in(x, y).collapsed.any()
    twice = found_in(np.vstack([x, x[-1:]]), np.append(y, 1))
    assert twice.collapsed.tolist() == [False, True]


def test_all_features_on_one_point():
    found = found_in(np.full((60, 3), 0.1))
    assert found.collapsed.all()
    assert found.rank == 0
    assert found.spread.tolist() == [0.0, 0.0]
    assert found_in(np.zeros((60, 3))).rank == 0
    record = last_layer_gaps(np.full((60, 3), 0.1), Y, np.eye(2, 3), np.zeros(2))
    assert (record.separable.item(), record.conflicting) == (False, 2)
    assert record.collapsed.item() is True


def test_rank():
    line = np.outer(CLOUD[:, 0], [1.0, 2.0, 2.0]) + 7.0  # off the origin
    assert found_in(line).rank == 1
    single = (line / 3.0).astype(np.float32)
    assert found_in(single).rank == 1
    assert found_in(single.astype(np.float64)).rank > 1  # its rounding, taken at its word
    dead = CLOUD * [1.0, 0.0, 1.0]
    assert found_in(dead).rank == 2
    assert found_in(CLOUD).rank == 3
    assert found_in(CLOUD[:2], Y[:2]).rank == 1  # two rows
