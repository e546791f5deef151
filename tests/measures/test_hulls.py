"""The distance of two hulls, and the proofs that they are apart or meet."""

import numpy as np
import pytest

import svmconv as sc
from svmconv.measures.directional import directional_measure
from svmconv.measures.hulls import hull_distance
from svmconv.measures.separability import linear_separability
from svmconv.svm.certificate import check_infeasible
from tests.measures.sets import TOUCHING, XOR, overlapping
from tests.tolerances import LONG_SUM, ROUNDING


def test_hulls_by_hand():
    """From the segment between (0, 0) and (0, 2) to the point (3, 1)."""
    found = hull_distance([[0.0, 0.0], [0.0, 2.0]], [[3.0, 1.0]])
    assert found.distance == pytest.approx(3.0, rel=ROUNDING)
    assert found.lower <= 3.0 <= found.upper
    np.testing.assert_allclose(found.direction, [-1.0, 0.0], atol=ROUNDING)


@pytest.mark.parametrize("sets", [XOR, TOUCHING, overlapping()])
def test_hulls_that_meet_have_a_common_point(sets):
    a, b = sets
    found = hull_distance(a, b)
    assert (found.separable, found.distance, found.svm) == (False, 0.0, None)
    assert not found.direction.any()
    proof, x = found.conflict, np.vstack(sets)
    upper = proof.rows < len(a)
    ours, theirs = (2 * proof.weights[side] @ x[proof.rows[side]] for side in (upper, ~upper))
    assert proof.weights[upper].sum() == pytest.approx(0.5, rel=ROUNDING)
    np.testing.assert_allclose(ours, theirs, atol=LONG_SUM)
    problem = sc.Problem(x, np.repeat([1, 0], [len(a), len(b)]))
    assert check_infeasible(problem, proof.rows, proof.weights, bias="free") <= 1e-13


def test_a_part_of_many_rows_is_proof_enough():
    a, b = overlapping(2000, 4, 2.0)
    proof, x = hull_distance(a, b).conflict, np.vstack([a, b])
    assert len(proof.rows) <= 6  # Caratheodory
    problem = sc.Problem(x, np.repeat([1, 0], 2000))
    assert check_infeasible(problem, proof.rows, proof.weights, bias="free") <= 1e-13
    apart = hull_distance(a + 9.0 * np.eye(1, 4), b)
    assert apart.separable
    assert apart.lower > 0


def test_a_point_of_both_sets_among_many_features():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 90)), rng.standard_normal((5, 90))
    assert hull_distance(a, b).separable
    found = hull_distance(np.vstack([a, b[2:3]]), b)
    assert found.conflict.rows.tolist() == [5, 8]


@pytest.mark.parametrize("margin", [0.02, 1.3])
def test_hulls_far_from_the_origin(margin):
    """Quarters: exact at 1e8, where an intercept of 1e8 in units of the margin is not."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 64, (2, 40, 3)) / 16.0
    a[:, 0] += 4.0 + np.round(64 * margin) / 64
    near, far = hull_distance(a, b), hull_distance(a + 1e8, b + 1e8)
    assert far.separable
    assert far.distance == pytest.approx(near.distance, rel=LONG_SUM)
    assert far.lower <= near.upper
    assert near.lower <= far.upper
    assert ((a + 1e8 - far.offset) @ far.svm.w + far.svm.b).min() == pytest.approx(1.0, rel=1e-9)
    assert linear_separability(a + 1e8, b + 1e8, permutations=0).candidate == "svm"
    assert directional_measure(a + 1e8, b + 1e8).candidate == "svm"


def test_hulls_that_meet_far_from_the_origin():
    """The proof holds for the points as given."""
    x = np.round(16 * np.vstack(overlapping(30, 2))) / 16 + 1e8
    problem = sc.Problem(x, np.repeat([1, 0], 30))
    proof = hull_distance(x[:30], x[30:]).conflict
    assert check_infeasible(problem, proof.rows, proof.weights, bias="free") <= 1e-13


@pytest.mark.parametrize("size", [1e-200, 1.7e308])
def test_sizes_whose_svm_is_no_float(size):
    with pytest.raises(sc.DataError, match="rescale"):
        hull_distance([[size], [-size]], [[size / 2]])
