"""The best direction: known answers, its null, and the companions."""

import numpy as np
import pytest
from scipy.stats import norm

import svmconv as sc
from svmconv.measures.ascent import missed, smoothed
from svmconv.measures.directional import directional_measure, discrimination_value
from svmconv.measures.hulls import hull_distance
from svmconv.measures.ls_degree import ls_degree
from svmconv.measures.ranks import separability_along
from svmconv.measures.separability import linear_separability
from tests.measures.sets import TOUCHING, XOR, near_pair, overlapping
from tests.tolerances import LONG_SUM, ROUNDING

ORDERS = (0, 1, 2)
CLIMBED = 2e-4
"""How far ascent in the plane may end below the best of all angles; 1e-4 measured on the mean."""


@pytest.mark.parametrize("order", ORDERS)
def test_xor(order):
    """No direction is better than chance, exactly."""
    found = linear_separability(*XOR, order, permutations=0)
    assert found.value == pytest.approx(0.5, rel=ROUNDING)
    assert found.svm is None
    assert np.isnan(found.null)


def test_touching_hulls():
    values = [linear_separability(*TOUCHING, q, permutations=0) for q in ORDERS]
    assert [found.value for found in values] == [0.75, 1.0, 1.0]
    assert all(found.svm is None for found in values)
    assert (values[0].lower, values[0].upper) == (0.5, 1.0)


@pytest.mark.parametrize("order", ORDERS)
def test_with_a_margin_the_svm_is_the_proof(order):
    a, b = overlapping(distance=9.0)
    found = linear_separability(a, b, order, permutations=0)
    assert (found.value, found.candidate, found.lower, found.upper) == (1.0, "svm", 1.0, 1.0)
    assert found.svm.certificate.lower > 0
    assert (a @ found.direction).min() > (b @ found.direction).max()
    assert separability_along(found.direction, a, b, order) == 1.0


@pytest.mark.parametrize("order", ORDERS)
def test_value_direction_and_bounds_agree(order):
    a, b = overlapping()
    found = linear_separability(a, b, order, permutations=0)
    assert found.value == separability_along(found.direction, a, b, order)
    assert np.linalg.norm(found.direction) == pytest.approx(1.0, rel=ROUNDING)
    assert found.lower <= separability_along(found.direction, a, b) <= found.upper
    means = a.mean(axis=0) - b.mean(axis=0)
    assert found.value >= separability_along(means, a, b, order)


def test_gaussians_at_a_distance():
    """LS_0 = Phi(distance / sqrt 2); the best of the directions is above that of the truth, and by
    no more than its optimism: each of d - 1 directions gains about one variance of LS_0."""
    n, d, distance = 2000, 2, 1.0
    a, b = overlapping(n, d, distance, seed=1)
    found = linear_separability(a, b, permutations=0)
    error = np.sqrt((2 * n + 1) / (12 * n**2))  # of LS_0 along a fixed direction, no signal
    assert abs(found.value - norm.cdf(distance / np.sqrt(2))) < 3 * error
    assert found.value >= separability_along([1.0, 0.0], a, b)


def test_null_of_noise_in_the_plane():
    """LS_0(w) - 1/2 is nearly sigma w.g, g Gaussian in the plane, sigma^2 = (n + m + 1) / (12 n m):
    the mean of its maximum sigma |g| is sigma sqrt(pi / 2)."""
    n, permutations = 500, 20
    a, b = overlapping(n, 2, 0.0)
    found = linear_separability(a, b, permutations=permutations)
    sigma = np.sqrt((2 * n + 1) / (12 * n**2))
    error = sigma * np.sqrt((2 - np.pi / 2) / permutations)
    assert abs(found.null - 0.5 - sigma * np.sqrt(np.pi / 2)) < 3 * error


def test_null_is_that_of_its_seed():
    a, b = overlapping(20, 2)
    one, again, other = (linear_separability(a, b, permutations=2, seed=s).null for s in (0, 0, 1))
    assert one == again != other


@pytest.mark.parametrize("seed", range(2))
def test_near_the_best_of_all_angles(seed):
    a, b = overlapping(300, 2, 0.3, seed)
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    w = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for order in ORDERS:
        best = separability_along(w, a, b, order).max()
        assert linear_separability(a, b, order, permutations=0).value > best - CLIMBED


@pytest.mark.parametrize("order", ORDERS)
def test_invariances(order):
    """Rounding moves the ascent, and LS_0 is piecewise constant: so only as far as it gets."""
    a, b = overlapping()
    value = linear_separability(a, b, order, permutations=0).value
    m = np.array([[1.0, 5.0, 0.0], [0.0, 2.0, -1.0], [3.0, 0.0, 0.1]])
    for move in (lambda x: x + 1e3, lambda x: 1e4 * x, lambda x: x @ m):
        moved = linear_separability(move(a), move(b), order, permutations=0).value
        assert moved == pytest.approx(value, abs=CLIMBED)


@pytest.mark.parametrize("loss", [lambda u, v: missed(u, v, 2), lambda u, v: smoothed(u, v, 0.4)])
def test_slopes(loss):
    """Central differences; the losses are quadratic between kinks of the second derivative."""
    rng = np.random.default_rng(0)
    u, v, du, dv = rng.standard_normal((4, 30))
    _, of_u, of_v = loss(u, v)
    t = 1e-6
    ahead, behind = loss(u + t * du, v + t * dv)[0], loss(u - t * du, v - t * dv)[0]
    assert (ahead - behind) / (2 * t) == pytest.approx(du @ of_u + dv @ of_v, rel=1e-5)


def test_slope_of_the_first_order():
    rng = np.random.default_rng(0)
    u, v, du, dv = rng.standard_normal((4, 30))
    _, of_u, of_v = missed(u, v, 1)
    t = 1e-7  # within it no pair changes its order
    ahead, behind = missed(u + t * du, v + t * dv, 1)[0], missed(u - t * du, v - t * dv, 1)[0]
    assert (ahead - behind) / (2 * t) == pytest.approx(du @ of_u + dv @ of_v, rel=1e-6)


def test_smoothed_by_the_definition():
    rng = np.random.default_rng(0)
    u, v, h = rng.standard_normal(20), rng.standard_normal(30), 0.4
    t = u[:, None] - v
    plus = [np.maximum(t + s, 0.0) ** 2 for s in (h, 0.0, -h)]
    step = (plus[0] - 2 * plus[1] + plus[2]) / (2 * h**2)
    assert step.min() >= 0
    assert step.max() <= 1 + LONG_SUM
    assert smoothed(u, v, h)[0] == pytest.approx(1 - step.mean(), rel=LONG_SUM)


def test_one_point_for_all():
    point = [[2.0, 3.0]] * 3
    found = linear_separability(point, point, 0, permutations=2)
    assert (found.value, found.direction.tolist(), found.null) == (0.0, [0.0, 0.0], 0.0)
    assert np.isnan(linear_separability(point, point, 1, permutations=2).value)


def test_rows_of_one_and_dead_units():
    a, b = np.array([[1.0, 0.0, 5.0]]), np.array([[0.0, 0.0, 5.0]])
    found = linear_separability(a, b)
    assert (found.value, found.direction.tolist()) == (1.0, [1.0, 0.0, 0.0])
    assert linear_separability([[1.0], [2.0]], [[1.0], [0.0]], permutations=0).value == 0.75


def test_more_features_than_points():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((15, 400)), rng.standard_normal((20, 400))
    found = linear_separability(a, b, permutations=3)
    assert (found.value, found.candidate) == (1.0, "svm")
    assert (a @ found.direction).min() > (b @ found.direction).max()
    assert found.null > 0.99  # so are random labels
    exact = sc.max_margin(sc.Problem(np.vstack([a, b]), np.repeat([1, 0], [15, 20])), bias="free")
    hulls = hull_distance(a, b)
    assert hulls.lower <= 2 * exact.margin * (1 + ROUNDING)
    assert hulls.upper >= 2 * exact.margin * (1 - ROUNDING)
    assert (hulls.upper - hulls.lower) / hulls.upper < LONG_SUM


@pytest.mark.parametrize("arguments", [{"permutations": -1}, {"seed": -1}, {"order": 3}])
def test_bad_arguments(arguments):
    with pytest.raises(sc.DataError):
        linear_separability(*XOR, **arguments)


POWERS = (-670, -540, -253, 253, 515, 670, 1020)
"""Of two: beyond the range of squares, of rows of a Problem, or of sums."""


@pytest.mark.parametrize("power", POWERS)
def test_every_scale_has_the_same_values(power):
    """Exactly, or up to where the ascent gets."""
    a, b = near_pair(1e-3, 0.0, 0)
    scaled = np.ldexp(a, power), np.ldexp(b, power)
    assert ls_degree(*scaled)[:4] == pytest.approx(ls_degree(a, b)[:4], rel=LONG_SUM)
    found = linear_separability(*scaled, permutations=0)
    assert (found.value, found.candidate) == (1.0, "svm")
    assert directional_measure(*scaled).value == 0.0
    a, b = overlapping(40, 2)
    scaled = np.ldexp(a, power), np.ldexp(b, power)
    value = linear_separability(a, b, permutations=0).value
    assert linear_separability(*scaled, permutations=0).value == pytest.approx(value, abs=CLIMBED)
    assert directional_measure(*scaled).value == directional_measure(a, b).value
    assert ls_degree(*scaled).value == 0.0
    x, y = np.vstack([a, b]), np.repeat([0, 1], 40)
    value = discrimination_value(x, y)
    assert discrimination_value(np.ldexp(x, power), y) == pytest.approx(value, rel=ROUNDING)


@pytest.mark.parametrize("scale", [5e-324, 1e-200, 1e-162, 1e154, 1e200, 1.7e308])
def test_discrimination_value_of_two_points(scale):
    x = [[0.0], [0.0], [scale], [scale]]
    assert discrimination_value(x, [0, 0, 1, 1]) == pytest.approx(-1.0, rel=ROUNDING)


def test_points_of_sizes_that_one_float_cannot_hold():
    a, b = [[1e300, 1e-300]], [[-1e300, 2e-300]]
    for measure in (ls_degree, linear_separability, directional_measure):
        with pytest.raises(sc.DataError, match="rescale the features"):
            measure(a, b)


def test_directional_measure():
    assert directional_measure(*overlapping(distance=9.0)).value == 0.0
    # w = (1, 0): of the b, (1, 0) alone is not below min a = 1; w = -(1, 0): none is left out
    a, b = [[1.0, 0.0], [2.0, 1.0], [2.0, -1.0], [3.0, 0.0]], [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.5]]
    found = directional_measure(a, b)
    assert found.value == 0.25
    w = found.direction
    assert (np.array(b) @ w >= (np.array(a) @ w).min()).sum() == 1


def test_discrimination_value():
    """Two far clusters: within 0, between 1 / sqrt d x sqrt d; no signal: near 0."""
    x = np.repeat([[0.0, 5.0, 7.0], [1.0, 9.0, 7.0]], 4, axis=0)  # the last feature is constant
    y = np.repeat(["a", "b"], 4)
    assert discrimination_value(x[:, :2], y) == pytest.approx(-1.0, rel=ROUNDING)
    assert discrimination_value(x, y) == pytest.approx(-np.sqrt(2 / 3), rel=ROUNDING)
    a, b = overlapping(200, 5, 0.0)
    assert abs(discrimination_value(np.vstack([a, b]), np.repeat([0, 1], 200))) < 0.01
    with pytest.raises(sc.DataError, match="class 'c' has one row"):
        discrimination_value(x, [*y[:-1], "c"])
    with pytest.raises(sc.DataError, match="every label"):
        discrimination_value(x, [0] * 8)
