"""Every method beside a loop of its published recursion in plain numpy, at all recordings."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.linalg import polar
from scipy.special import logsumexp

import svmconv as sc
from svmconv.optimizers import (
    Adam,
    CoordinateDescent,
    DualAcceleration,
    HeavyBall,
    NormalizedGD,
    SignDescent,
    Spectral,
    steepest,
)
from tests.dynamics.references import check_path, small, small_three_classes
from tests.tolerances import LONG_SUM, PATH, ROUNDING

STEPS = 300
TWO, THREE = small(), small_three_classes()
slow = pytest.mark.slow  # by the time that compilation takes
both = pytest.mark.parametrize(
    "problem", [pytest.param(TWO, id="two", marks=slow), pytest.param(THREE, id="three")]
)
DEEP = 3000.0 * TWO.truth.w
"""A start with log L = -3000 and less."""


def lengths(rate, power):
    return lambda t: rate / (t + 1.0) ** power


@pytest.mark.slow
@both
def test_heavy_ball(problem):
    m = 0.0

    def update(_, w, log_loss, slope):
        nonlocal m
        m = 0.7 * m + np.exp(log_loss) * slope
        return w - 0.2 * m

    check_path(problem, HeavyBall(0.2, 0.7), update)


@pytest.mark.parametrize(
    ("problem", "loss", "power"),
    [
        pytest.param(THREE, "logistic", 0.5, id="three"),
        pytest.param(TWO, "exponential", 1.0, id="exponential", marks=slow),
        pytest.param(TWO, "logistic", 0.5, id="two", marks=slow),
        pytest.param(THREE, "logistic", 0.0, id="constant", marks=slow),
    ],
)
def test_normalized_gd(problem, loss, power):
    length = lengths(0.3, power)
    method = NormalizedGD(0.3, power)
    check_path(problem, method, lambda t, w, _, slope: w - length(t) * slope, loss=loss)


@both
def test_dual_acceleration_is_the_published_recursion(problem):
    """Ji, Srebro, Telgarsky: q = softmax of the dual variables, g <- t / (t + 1) (g + h)."""
    g, rate = 0.0, 0.05

    def update(t, w, _, slope):
        nonlocal g
        g = t / (t + 1) * (g - slope)
        return w + rate * (g - slope)

    check_path(problem, DualAcceleration(rate), update)


def test_dual_acceleration_with_one_row():
    """h = z at every step of the exponential loss: g = (t / 2) z and w = z rate t (t + 3) / 4."""
    z = np.array([3.0, -4.0])
    problem = sc.Problem([z, -z], [1, 0])
    run = sc.descend(problem, DualAcceleration(0.01), 100, loss="exponential")
    t = run.step.values
    expected = 0.01 * t * (t + 3.0) / 4.0
    np.testing.assert_allclose(run.w.values, np.outer(expected, z), rtol=LONG_SUM)
    np.testing.assert_allclose(np.expm1(run.log1p_t), expected, rtol=LONG_SUM)


@pytest.mark.slow
@both
@pytest.mark.parametrize("power", [0.5, 0.0])
def test_sign_descent(problem, power):
    length = lengths(0.1, power)
    method = SignDescent(0.1, power)
    check_path(problem, method, lambda t, w, _, slope: w - length(t) * np.sign(slope))


@both
@pytest.mark.parametrize("power", [0.5, pytest.param(0.0, marks=slow)])
def test_coordinate_descent(problem, power):
    length = lengths(0.1, power)

    def update(t, w, _, slope):
        place = np.unravel_index(np.abs(slope).argmax(), slope.shape)
        w = w.copy()
        w[place] -= length(t) * np.sign(slope[place])
        return w

    check_path(problem, CoordinateDescent(0.1, power), update)


def test_of_equal_entries_the_first_moves():
    problem = sc.Problem([[0.5, -2.0, 2.0], [-0.5, 2.0, -2.0]], [1, 0])
    run = sc.descend(problem, CoordinateDescent(0.125), 40)
    expected = np.outer(run.step, [0.0, -0.125, 0.0])
    np.testing.assert_array_equal(run.w, expected)


@pytest.mark.slow
def test_an_entry_that_no_row_sees_stays():
    padded = sc.Problem(np.column_stack([TWO.x, np.zeros(TWO.n)]), TWO.y)
    init = np.array([0.0, 0.0, 0.0, 0.0, 0.7])
    for method in (Spectral(0.1), Adam(0.1)):
        run = sc.descend(padded, method, 100, init=init)
        np.testing.assert_array_equal(run.w[:, 4], 0.7)


@both
def test_spectral_descent_beside_the_singular_vectors(problem):
    length = lengths(0.1, 0.5)

    def update(t, w, _, slope):
        """Over the K - 1 values that can differ from zero: the rows of the slope sum to it."""
        u, _, v = np.linalg.svd(np.atleast_2d(slope), full_matrices=False)
        rank = 1 if problem.binary else problem.n_classes - 1
        return w - length(t) * (u[:, :rank] @ v[:rank]).reshape(w.shape)

    check_path(problem, Spectral(0.1, 0.5), update)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (7,)])
def test_the_polar_factor_beside_scipy(shape):
    matrix = np.random.default_rng(0).standard_normal(shape)
    with jax.enable_x64(True):
        found = np.asarray(steepest.polar(jnp.asarray(matrix)))
    expected = matrix / np.linalg.norm(matrix) if matrix.ndim == 1 else polar(matrix)[0]
    np.testing.assert_allclose(found, expected, atol=100 * ROUNDING)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_the_polar_factor_of_less_than_full_rank(size):
    """On the range alone, however small the whole: a projection times a rotation."""
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(2))
    with jax.enable_x64(True):
        matrix = jnp.asarray(size * (left[:, :2] * [3.0, 1e-6]) @ right[:2])
        found = np.asarray(steepest.polar(matrix))
        np.testing.assert_array_equal(steepest.polar(jnp.zeros((3, 2))), 0.0)
    # the gap between the values kept and rounding is 1e-6
    np.testing.assert_allclose(found, left[:, :2] @ right[:2], atol=1e6 * ROUNDING)


@pytest.mark.slow
def test_the_mean_over_classes_does_not_move():
    """The gradient's singular value along it is rounding; made 1, it would be a step in W."""
    for margin in (1.0, 1e-4):
        problem = small(n=60, n_support=9, classes=3, margin=margin)
        run = sc.descend(problem, Spectral(0.1), 1000)
        mean = np.abs(run.w.values[-1].mean(axis=0)).max()
        assert mean <= LONG_SUM * np.abs(run.w.values[-1]).max()


@pytest.mark.parametrize("newton_schulz", [None, pytest.param(5, marks=slow)])
def test_nor_does_it_on_a_long_run(newton_schulz):
    """A value that fades meets the rounding of the sum; left alone, the mean comes to 11."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 6)).repeat(15, axis=0)
    problem = sc.Problem(centres + 0.1 * rng.normal(size=(60, 6)), np.repeat(np.arange(4), 15))
    run = sc.descend(problem, Spectral(0.05, newton_schulz=newton_schulz), 40_000)
    mean = np.abs(run.w.values[-1].mean(axis=0)).max()
    assert mean <= LONG_SUM * np.abs(run.w.values[-1]).max()


def test_a_slope_whose_rows_do_not_cancel_is_not_centred():
    matrix = np.random.default_rng(0).standard_normal((3, 5))
    with jax.enable_x64(True):
        step = steepest.keeping_sums(steepest.polar)
        for slope in (matrix, matrix[:1], matrix[0]):
            expected = steepest.polar(jnp.asarray(slope))
            np.testing.assert_array_equal(step(jnp.asarray(slope)), expected)


@pytest.mark.slow
@both
def test_newton_schulz(problem):
    """Five steps of Muon's polynomial, and what it makes of singular values."""

    def update(_, w, __, slope):
        matrix = np.atleast_2d(slope)
        u, s, v = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        return w - 0.1 * ((u * s) @ v).reshape(w.shape)

    check_path(problem, Spectral(0.1, newton_schulz=5), update, 100)


def test_newton_schulz_brings_singular_values_near_one():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((8, 12))
    with jax.enable_x64(True):
        found = np.linalg.svd(
            np.asarray(steepest.orthogonalised(jnp.asarray(matrix), 5)), compute_uv=False
        )
    assert found.min() > 0.65
    assert found.max() < 1.25
    assert np.ptp(found) > 0.1  # not to 1, as said


def textbook(rate, b1, b2, eps, power=0.0):
    """Kingma, Ba, algorithm 1, on L itself."""
    m, v = 0.0, 0.0

    def update(t, w, log_loss, slope):
        nonlocal m, v
        g = np.exp(log_loss) * slope
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        mean, square = m / (1 - b1 ** (t + 1)), v / (1 - b2 ** (t + 1))
        return w - rate * (t + 1.0) ** -power * mean / (np.sqrt(square) + eps)

    return update


@pytest.mark.slow
@both
@pytest.mark.parametrize(
    ("b1", "b2", "eps", "power"),
    [
        (0.5, 0.99, 0.0, 0.5),
        (0.9, 0.99, 1e-3, 0.0),
        (0.9, 0.999, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_adam(problem, b1, b2, eps, power):
    check_path(problem, Adam(0.05, power, b1, b2, eps), textbook(0.05, b1, b2, eps, power))


@both
@pytest.mark.parametrize("eps", [1e-3, pytest.param(0.0, marks=slow)])
def test_adam_beside_optax(problem, eps):
    ours = sc.descend(problem, Adam(0.05, eps=eps), STEPS)
    theirs = sc.descend(problem, optax.adam(0.05, eps=eps), STEPS)
    np.testing.assert_allclose(ours.w, theirs.w, atol=PATH * np.abs(ours.w.values).max())


def test_adam_far_below_underflow():
    """Moments as sums over all gradients, each by its own logarithm."""
    rate, b1, b2, logs, slopes = 0.05, 0.9, 0.99, [], []

    def update(t, w, log_loss, slope):
        logs.append(log_loss)
        slopes.append(slope)
        age, sizes = np.arange(t, -1, -1)[:, None], np.array(logs)[:, None] - log_loss
        m = ((1 - b1) * b1**age * np.exp(sizes) * slopes).sum(axis=0) / (1 - b1 ** (t + 1))
        with np.errstate(divide="ignore"):
            squares = np.log1p(-b2) + age * np.log(b2) + 2 * (sizes + np.log(np.abs(slopes)))
        root = np.exp(logsumexp(squares, axis=0) / 2) / np.sqrt(1 - b2 ** (t + 1))
        return w - rate * m / root

    run = check_path(TWO, Adam(rate, b1=b1, b2=b2), update, start=DEEP)
    assert float(run.log_loss[0]) < -2000
    assert float(run.log_loss[-1]) < float(run.log_loss[0]) - 1


@pytest.mark.slow
def test_adam_with_eps_rests_once_the_gradient_is_nothing_beside_it():
    run = sc.descend(TWO, Adam(0.05, eps=1e-8), STEPS, init=DEEP)
    np.testing.assert_array_equal(run.w[-1], DEEP)


def test_adam_goes_on_where_an_entry_of_the_gradient_fades_beside_the_others():
    """Only the far row sees the second entry, e^-(2 w_1 + w_2) of the first: its square would
    underflow at 2 w_1 + w_2 = 354, itself it does at 708."""
    rows = np.array([[1.0, 0.0], [3.0, 1.0]])
    problem = sc.Problem(np.concatenate([rows, -rows]), [1, 1, 0, 0])
    rate, b1, b2 = 0.01, 0.5, 0.9
    run = sc.descend(problem, Adam(rate, b1=b1, b2=b2), 60_000)
    assert float(run.log_loss[-1]) < -500
    faded = 2 * run.w.values[:, 0] + run.w.values[:, 1]
    before, moving = (faded > 200) & (faded < 350), (faded > 360) & (faded < 700)
    assert before.sum() > 3
    assert moving.sum() > 3
    speeds = [np.polyfit(run.step[part], run.w.values[part, 1], 1)[0] for part in (before, moving)]
    assert speeds[1] == pytest.approx(speeds[0], rel=1e-3)
    assert np.ptp(run.w.values[faded > 800, 1]) < 10 * rate  # at rest
