"""Angles, norms and their duals, at sizes where the textbook formulas give up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from svmconv.geometry import angle, centre, direction_gap, dual_norm, length, norm, unit
from tests.tolerances import EPS, ROUNDING

GEOMETRIES = ("l2", "l1", "linf", "spectral")
SIZES = (1e-200, 1e-12, 1.0, 1e12, 1e200)
matrices = arrays(np.float64, (3, 4), elements=st.floats(-10, 10, allow_subnormal=False))


@pytest.mark.parametrize(
    ("u", "v", "radians"),
    [
        ([1.0, 0.0], [2.0, 0.0], 0.0),
        ([1.0, 0.0], [0.0, 3.0], np.pi / 2),
        ([1.0, 0.0], [-5.0, 0.0], np.pi),
        ([1.0, 1.0], [1.0, 0.0], np.pi / 4),
        ([1.0, 0.0, 0.0], [1.0, np.sqrt(3.0), 0.0], np.pi / 3),
    ],
)
def test_angle_by_hand(u, v, radians):
    u, v = np.array(u), np.array(v)
    assert angle(u, v) == pytest.approx(radians, abs=ROUNDING)
    assert direction_gap(u, v) == pytest.approx(1 - np.cos(radians), abs=ROUNDING)


@pytest.mark.parametrize("small", [1e-3, 1e-8, 1e-12, 1e-15, 1e-150])
def test_small_angles_are_resolved(small):
    u, v = np.array([1.0, small]), np.array([1.0, 0.0])
    assert angle(u, v) == pytest.approx(np.arctan(small), rel=ROUNDING)
    assert direction_gap(u, v) == pytest.approx(2 * np.sin(np.arctan(small) / 2) ** 2, rel=1e-12)


def test_arccos_would_not_resolve_them():
    u, v = np.array([1.0, 1e-12]), np.array([1.0, 0.0])
    assert np.arccos(u @ v / np.linalg.norm(u)) == 0.0


def test_angle_near_pi_is_resolved():
    u, v = np.array([-1.0, 1e-12]), np.array([1.0, 0.0])
    # pi itself is known to 1e-16 only
    assert np.pi - angle(u, v) == pytest.approx(1e-12, abs=4 * EPS)


@given(radians=st.floats(1e-12, 3.14), a=st.sampled_from(SIZES), b=st.sampled_from(SIZES))
def test_angle_ignores_lengths(radians, a, b):
    u = a * np.array([np.cos(radians), np.sin(radians)])
    v = b * np.array([1.0, 0.0])
    assert angle(u, v) == pytest.approx(radians, abs=4 * EPS * radians + 4 * EPS)
    assert angle(v, u) == angle(u, v)


def test_angle_of_a_zero_vector_is_nan_and_silent():
    found = angle(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal(found, [np.nan, 0.0])
    assert np.isnan(direction_gap(np.array([1.0, 0.0]), np.zeros(2)))


def test_angle_runs_along_a_batch():
    rng = np.random.default_rng(0)
    batch, v = rng.standard_normal((5, 3)), rng.standard_normal(3)
    np.testing.assert_array_equal(angle(batch, v), [angle(u, v) for u in batch])
    np.testing.assert_array_equal(direction_gap(batch, v), [direction_gap(u, v) for u in batch])


@pytest.mark.parametrize("size", [5e-324, 1e-310, *SIZES, 1e308])
def test_unit_and_length_of_any_size(size):
    v = size * np.array([1.0, -1.0, 0.0, 0.0])
    np.testing.assert_allclose(unit(v), np.array([1, -1, 0, 0]) / np.sqrt(2.0), rtol=ROUNDING)
    with np.errstate(under="ignore"):
        # below 1e-308 numbers are multiples of 5e-324, and so is the answer
        assert length(v) == pytest.approx(size * np.sqrt(2.0), rel=ROUNDING, abs=5e-324)


def test_length_of_zero_infinite_and_undefined():
    rows = np.array([[0.0, 0.0], [3.0, -4.0], [np.inf, 1.0], [np.nan, 1.0]])
    np.testing.assert_array_equal(length(rows), [0.0, 5.0, np.inf, np.nan])
    assert np.isnan(unit(rows[0])).all()


@given(w=matrices)
def test_centre_is_the_projection_that_predictions_see(w):
    centred = centre(w)
    np.testing.assert_allclose(centred.sum(axis=0), 0.0, atol=100 * EPS)
    np.testing.assert_allclose(centre(centred), centred, atol=100 * EPS)
    np.testing.assert_allclose(centre(w + w[0]), centred, atol=100 * EPS)
    np.testing.assert_allclose(np.diff(centred, axis=0), np.diff(w, axis=0), atol=100 * EPS)


def test_norms_by_hand():
    v = np.array([3.0, -4.0])
    assert [norm(v, g) for g in ("l2", "l1", "linf")] == [5.0, 7.0, 4.0]
    assert [dual_norm(v, g) for g in ("l2", "l1", "linf")] == [5.0, 4.0, 7.0]
    m = np.diag([3.0, -4.0])
    assert [norm(m, g) for g in GEOMETRIES] == [5.0, 7.0, 4.0, 4.0]
    assert dual_norm(m, "spectral") == pytest.approx(7.0, rel=ROUNDING)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("size", [1e-300, 1e-244, 1e200])
def test_norms_of_any_size(geometry, size):
    m = np.diag([3.0, -4.0])
    assert norm(size * m, geometry) == pytest.approx(size * norm(m, geometry), rel=ROUNDING)
    assert dual_norm(size * m, geometry) == pytest.approx(
        size * dual_norm(m, geometry), rel=ROUNDING
    )


@pytest.mark.parametrize("geometry", GEOMETRIES)
@given(w=matrices, z=matrices)
def test_hoelder(geometry, w, z):
    bound = norm(w, geometry) * dual_norm(z, geometry)
    assert abs(np.vdot(w, z)) <= bound * (1 + ROUNDING) + 1e-300


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_hoelder_is_attained(geometry):
    z = np.random.default_rng(1).standard_normal((3, 4))
    left, _, right = np.linalg.svd(z, full_matrices=False)
    best = {
        "l2": z / np.linalg.norm(z),
        "l1": np.where(np.abs(z) == np.abs(z).max(), np.sign(z), 0.0),
        "linf": np.sign(z),
        "spectral": left @ right,
    }[geometry]
    assert norm(best, geometry) == pytest.approx(1.0, rel=ROUNDING)
    assert np.vdot(best, z) == pytest.approx(dual_norm(z, geometry), rel=ROUNDING)
