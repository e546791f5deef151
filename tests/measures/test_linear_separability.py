"""The best direction: known answers, its null, the hulls, and the companions."""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations

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
from svmconv.svm.certificate import check_infeasible
from tests.tolerances import LONG_SUM, ROUNDING

ORDERS = (0, 1, 2)
XOR = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
TOUCHING = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
CLIMBED = 2e-4
"""How far ascent in the plane may end below the best of all angles; 1e-4 measured on the mean."""


def overlapping(n=200, d=3, distance=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + distance * np.eye(1, d), rng.standard_normal((n, d))


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


def test_ls_degree_by_hand():
    """Directions (1, 0) and (cos t, sin t): half the angle is left, LS_Degree = 1 - sin(t / 2)."""
    t = 0.8
    found = ls_degree([[1.0, 0.0], [3 * np.cos(t), 3 * np.sin(t)]], [[0.0, 0.0]])
    assert found.lower <= 1 - np.sin(t / 2) + ROUNDING
    assert found.upper >= 1 - np.sin(t / 2) - ROUNDING
    assert found.upper - found.lower < LONG_SUM
    np.testing.assert_allclose(found.direction, [np.cos(t / 2), np.sin(t / 2)], rtol=1e-6)


def test_ls_degree_against_all_pairs():
    """g is the exact SVM, through the origin, of all normalised differences (and one mirrored)."""
    a, b = overlapping(25, 3, 7.0)
    d = (a[:, None] - b).reshape(-1, 3)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    svm = sc.max_margin(sc.Problem(np.vstack([d, -d[:1]]), np.append(np.ones(len(d)), 0)))
    found = ls_degree(a, b)
    assert found.g == pytest.approx(svm.margin, rel=LONG_SUM)
    assert (d @ found.direction).min() == pytest.approx(found.g, rel=LONG_SUM)
    assert found.value == pytest.approx(1 - np.sqrt(1 - svm.margin**2), rel=LONG_SUM)
    moved = ls_degree(1e3 * (a + 50.0), 1e3 * (b + 50.0))
    assert moved.value == pytest.approx(found.value, rel=1e-10)  # rows rounded at 5e4


@pytest.mark.parametrize("sets", [XOR, TOUCHING, overlapping()])
def test_ls_degree_of_hulls_that_meet(sets):
    found = ls_degree(*sets)
    assert (found.value, found.lower, found.g) == (0.0, 0.0, 0.0)
    assert found.upper <= ROUNDING**2  # half the square of the rounding of the proof
    assert not found.direction.any()


def near_pair(distance, offset, seed):
    """Sets around (3, 0) and (-3, 0) and a pair between them, so near that its points nearly agree.

    All differences point right, as far as rounding at the offset leaves the near one alone.
    """
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, (2, 4, 2)) + np.array([[[3.0, 0.0]], [[-3.0, 0.0]]])
    middle, angle = rng.uniform(-1, 1, 2), rng.uniform(-1.2, 1.2)
    a[0], b[0] = middle + distance * np.array([np.cos(angle), np.sin(angle)]), middle
    return a + offset, b + offset


def degree_in_the_plane(a, b):
    """1 - sin(t / 2), t the largest angle between two differences, to 60 digits; all in a half."""
    with localcontext() as context:
        context.prec = 60
        differences = [
            [Fraction(float(p)) - Fraction(float(q)) for p, q in zip(one, other, strict=True)]
            for one in a
            for other in b
        ]
        assert all(x > 0 for x, _ in differences)

        def cosine(p, q):
            dot = p[0] * q[0] + p[1] * q[1]
            square = (p[0] ** 2 + p[1] ** 2) * (q[0] ** 2 + q[1] ** 2)
            root = (Decimal(square.numerator) / square.denominator).sqrt()
            return Decimal(dot.numerator) / dot.denominator / root

        least = min(cosine(p, q) for p, q in combinations(differences, 2))
        return 1 - ((1 - least) / 2).sqrt()


@pytest.mark.parametrize(
    ("distance", "offset"), [(1e-6, 1e6), (1e-6, 0.0), (1e-9, 1e3), (1e-9, 0.0), (1e-12, 0.0)]
)
@pytest.mark.parametrize("seed", range(8))
def test_ls_degree_bounds_hold_for_a_near_pair(distance, offset, seed):
    a, b = near_pair(distance, offset, seed)
    found = ls_degree(a, b)
    assert Decimal(found.lower) <= degree_in_the_plane(a, b) <= Decimal(found.upper)
    assert found.lower <= found.value <= found.upper
    assert found.upper - found.lower < LONG_SUM


def test_ls_degree_of_a_near_pair_by_exact_arithmetic():
    """Centred copies of the points lose eight digits of the difference: 0.38324359874."""
    a, b = [[0.1, 0.7], [3.0, 0.0]], [[0.1 - 1e-10, 0.7 + 2e-10], [-3.0, 0.0]]
    assert ls_degree(a, b).value == pytest.approx(0.383243610211, abs=1e-12)


def test_ls_degree_of_a_near_pair_among_many_features():
    """The plane in 40 coordinates, permuted: exact, and more features than points."""
    a, b = near_pair(1e-9, 0.0, 1)
    wide = [np.hstack([np.zeros((4, 30)), x, np.zeros((4, 8))]) for x in (a, b)]
    assert ls_degree(*wide).value == pytest.approx(ls_degree(a, b).value, abs=LONG_SUM)


def test_ls_degree_far_down_the_line():
    """More pairs than the working set holds, most of them by the expanded square."""
    a, b = overlapping(80, 6, 12.0)
    d = (a[:, None] - b).reshape(-1, 6)
    found = ls_degree(a, b)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    assert (d @ found.direction).min() == pytest.approx(found.g, rel=ROUNDING)
    assert found.upper - found.lower < LONG_SUM


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


def test_ls_degree_of_one_unit_is_one():
    assert ls_degree([[1.0], [2.0]], [[0.0], [-3.0]]).value == 1.0


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
