"""Gaps of trajectories whose angles, margins and intercepts are known by hand."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import svmconv as sc
from svmconv.measures.last_layer import last_layer_gaps
from tests.measures.runs import trajectory

EPS = np.finfo(float).eps
# Two points: w_hat = (1, 0), gamma = 1.
TWO = sc.Problem([[1.0, 0.0], [-1.0, 0.0]], [1, -1])
# Tight for both: 3 w + b = 1, -(w + b) = 1, so w_hat = (1, 0), b = -2 for every bias scale.
SHIFTED = sc.Problem([[3.0, 0.0], [1.0, 0.0]], [1, -1])
# Rows e_k of class k: W_hat = I - 1/3, |W_hat|^2 = 2, by symmetry.
CORNERS = sc.Problem(np.eye(3), [0, 1, 2])
CORNERS_W = np.eye(3) - 1 / 3


@cache
def two_svm():
    return sc.max_margin(TWO)


def turned(*angles, length=1.0):
    return length * np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize(("geometry", "size"), [("l1", 1.5), ("linf", 1.0), ("spectral", 1.118034)])
def test_the_margin_gap_is_in_the_norm_of_the_svm(geometry, size):
    # w = (1, .5): margin 1 over a norm of 3/2, 1 or sqrt(5) / 2, beside the exact margin of 1
    svm = sc.max_margin(TWO, geometry=geometry)
    found = sc.gaps(trajectory(TWO, np.array([[1.0, 0.5], [0.0, 0.0]])), svm)
    np.testing.assert_allclose(found.margin_gap, [1 - 1 / size, np.nan], rtol=1e-6, atol=EPS)
    assert np.isnan(found.floor).all() == (geometry != "spectral")


def test_a_turned_vector_has_that_angle_and_its_cosine_for_a_margin():
    angles = np.array([0.0, 1e-12, 1e-5, 0.3, np.pi / 2, 3.0])
    found = sc.gaps(trajectory(TWO, turned(*angles, length=5.0)), sc.max_margin(TWO))
    np.testing.assert_allclose(found.angle, angles, rtol=4 * EPS, atol=4 * EPS)
    np.testing.assert_allclose(found.direction_gap, 2 * np.sin(angles / 2) ** 2, atol=4 * EPS)
    np.testing.assert_allclose(found.margin_gap, 1 - np.cos(angles), atol=4 * EPS)
    np.testing.assert_allclose(found.norm, 5.0, rtol=2 * EPS)
    np.testing.assert_array_equal(found.log_loss, -10.0 * np.arange(6))
    np.testing.assert_array_equal(found.bias_gap, 0.0)


def test_angles_that_arccos_cannot_see():
    """cos(1e-10) rounds to 1; the angle and 1 - cos = 5e-21 are still read to 5 digits."""
    found = sc.gaps(trajectory(TWO, turned(1e-10)), sc.max_margin(TWO))
    assert float(found.angle[0]) == pytest.approx(1e-10, rel=1e-5)  # eps / 1e-10 = 2e-6
    assert float(found.direction_gap[0]) == pytest.approx(5e-21, rel=1e-5)


@given(st.floats(-3.1, 3.1), st.integers(-290, 290))
def test_lengths_do_not_matter_even_where_their_squares_overflow(angle, exponent):
    unit, scaled = turned(angle), turned(angle, length=10.0**exponent)
    one, other = (sc.gaps(trajectory(TWO, w), two_svm()) for w in (unit, scaled))
    for name in ("angle", "margin_gap", "direction_gap"):
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=8 * EPS)
    assert float(other.norm[0]) == pytest.approx(10.0**exponent, rel=1e-14)


@pytest.mark.parametrize("c", [0.25, 1.0, 4.0])
def test_augmented_angle_counts_the_intercept_over_sqrt_c(c):
    svm = sc.max_margin(SHIFTED, bias="augmented", bias_scale=c)
    run = trajectory(SHIFTED, turned(0.2, length=2.0), [-3.0], bias="augmented", bias_scale=c)
    found = sc.gaps(run, svm)
    ours = np.array([2 * np.cos(0.2), 2 * np.sin(0.2), -3 / np.sqrt(c)])
    theirs = np.array([1.0, 0.0, -2 / np.sqrt(c)])
    cosine = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)
    assert float(found.angle[0]) == pytest.approx(np.arccos(cosine), rel=1e-12)
    assert float(found.angle_w[0]) == pytest.approx(0.2, rel=1e-14)
    assert float(found.bias_gap[0]) == pytest.approx(-3 / 2 + 2, rel=1e-14)
    # the margin of both rows is min(6 cos .2 - 3, 3 - 2 cos .2) over |(w, b / sqrt c)|
    best = 1 / np.linalg.norm(theirs)
    reached = (3 - 2 * np.cos(0.2)) / np.linalg.norm(ours)
    assert float(found.margin_gap[0]) == pytest.approx((best - reached) / best, rel=1e-12)


def test_classical_gap_is_that_of_w_alone():
    svm = sc.max_margin(SHIFTED, bias="free")
    run = trajectory(SHIFTED, turned(0.2, length=2.0), [-3.0], bias="free")
    found = sc.gaps(run, svm)
    assert float(found.angle[0]) == pytest.approx(0.2, rel=1e-14)
    assert float(found.margin_gap[0]) == pytest.approx(1 - (3 - 2 * np.cos(0.2)) / 2, rel=1e-14)
    assert float(found.bias_gap[0]) == pytest.approx(0.5, rel=1e-14)


@pytest.mark.parametrize("bias", ["none", "augmented"])
def test_angle_w_only_where_it_differs(bias):
    run = trajectory(TWO, turned(0.1), bias=bias)
    assert ("angle_w" in sc.gaps(run, sc.max_margin(TWO, bias=bias))) == (bias == "augmented")


def test_a_common_part_of_all_classes_is_no_gap():
    shift = np.array([3.0, -1.0, 7.0])  # added to every class: no prediction changes
    run = trajectory(CORNERS, [2 * CORNERS_W, 2 * CORNERS_W + shift])
    found = sc.gaps(run, sc.max_margin(CORNERS))
    np.testing.assert_allclose(found.angle, 0.0, atol=1e-14)
    np.testing.assert_allclose(found.margin_gap, 0.0, atol=1e-14)
    np.testing.assert_allclose(found.norm, 2 * np.sqrt(2), rtol=1e-14)
    assert found.bias_gap.dims == ("log1p_t", "class")


def test_three_classes_turned_by_a_known_angle():
    """E = antisymmetric part, orthogonal to W_hat in the Frobenius product, columns centred."""
    e = np.array([[0.0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / np.sqrt(3)  # |E|^2 = 2 = |W_hat|^2
    found = sc.gaps(
        trajectory(CORNERS, [np.cos(0.3) * CORNERS_W + np.sin(0.3) * e]), sc.max_margin(CORNERS)
    )
    assert float(found.angle[0]) == pytest.approx(0.3, rel=1e-13)
    # smallest pair margin: cos - sin / sqrt 3, against 1 at the same length
    assert float(found.margin_gap[0]) == pytest.approx(
        1 - (np.cos(0.3) - np.sin(0.3) / np.sqrt(3)), rel=1e-13
    )


def test_intercepts_of_three_classes_are_centred():
    svm = sc.max_margin(CORNERS, bias="augmented")
    run = trajectory(CORNERS, [svm.w, svm.w], [svm.b, np.asarray(svm.b) + 5.0], bias="augmented")
    found = sc.gaps(run, svm)
    np.testing.assert_allclose(found.bias_gap, 0.0, atol=1e-14)
    np.testing.assert_allclose(found.angle, 0.0, atol=1e-14)


def test_zero_weights_have_no_direction():
    """Warnings are errors in these tests: nan comes without one."""
    for problem, w in ((TWO, np.zeros((1, 2))), (CORNERS, np.ones((1, 3, 3)))):
        found = sc.gaps(trajectory(problem, w), sc.max_margin(problem))
        for name in ("angle", "direction_gap", "margin_gap", "bias_gap"):
            assert np.isnan(found[name]).all(), name
        assert float(found.norm[0]) == 0.0


def test_an_intercept_alone_has_no_direction_either():
    found = last_layer_gaps(TWO.x, TWO.y, np.zeros((2, 2)), np.array([-1.0, 1.0]))
    for name in ("angle", "margin_gap", "bias_gap"):
        assert np.isnan(found[name].sel(against="free")), name


def test_floor_is_what_the_certificate_leaves():
    problem = sc.data.half_spaces(n=60, d=4)
    svm = sc.max_margin(problem)
    found = sc.gaps(trajectory(problem, np.ones((3, 4))), svm)
    np.testing.assert_array_equal(found.floor, svm.certificate.angle_bound)
    assert 0 < svm.certificate.angle_bound < 1e-6
    np.testing.assert_array_equal(found.attrs["margin"], svm.margin)


@pytest.mark.parametrize(
    ("run", "svm", "key"),
    [
        ({"bias": "augmented"}, {"problem": SHIFTED, "bias": "augmented"}, "problem_id"),
        ({}, {"problem": TWO, "bias": "augmented"}, "bias"),
        ({"bias": "augmented"}, {"problem": TWO}, "bias"),
        (
            {"bias": "augmented", "bias_scale": 2.0},
            {"problem": TWO, "bias": "augmented"},
            "bias_scale",
        ),
    ],
    ids=["problem", "none against augmented", "augmented against none", "scale"],
)
def test_a_run_is_compared_with_its_own_svm_only(run, svm, key):
    with pytest.raises(sc.DataError, match=f"has {key} .*same problem and bias kind"):
        sc.gaps(trajectory(TWO, turned(0.1), **run), sc.max_margin(**svm))
