"""Values by hand, from the formulas of TensorFlow 1 (losses_impl.py)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from svmconv.training.objectives import OBJECTIVES

LOGITS = np.array([[0.5, 0.25], [0.2, 0.6]])
OWN = np.array([[True, False], [True, False]])

BY_HAND = {
    # gaps .25 and -.4
    "cross_entropy": (np.log1p(np.exp(-0.25)) + np.log1p(np.exp(0.4))) / 2,
    # 1 - .5, 1 + .25, 1 - .2, 1 + .6
    "hinge_loss": (0.5 + 1.25 + 0.8 + 1.6) / 4,
    # -.5, .25, -.8, .6
    "mean_squared_error": (0.25 + 0.0625 + 0.64 + 0.36) / 4,
    "absolute_difference": (0.5 + 0.25 + 0.8 + 0.6) / 4,
    "log_loss": -np.log(np.array([0.5, 0.75, 0.2, 0.4]) + 1e-7).mean(),
    # one pair a row: (-.5 - .25)^2, (-.8 - .6)^2
    "mean_pairwise_squared_error": (0.5625 + 1.96) / 2,
}


VALUES = {name: jax.jit(f) for name, f in OBJECTIVES.items()}
SLOPES = {name: jax.jit(jax.value_and_grad(f)) for name, f in OBJECTIVES.items()}


def value(name, logits, own):
    with jax.enable_x64(True):
        return float(VALUES[name](np.asarray(logits), np.asarray(own)))


def value_and_grad(name, logits, own):
    with jax.enable_x64(True):
        found = SLOPES[name](np.asarray(logits), np.asarray(own))
        return float(found[0]), np.asarray(found[1])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_by_hand(name):
    assert value(name, LOGITS, OWN) == pytest.approx(BY_HAND[name], rel=1e-14)


def test_every_objective_has_a_value_by_hand():
    assert set(BY_HAND) == set(OBJECTIVES)


def rows(seed=0, n=7, k=5):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, k)), np.eye(k, dtype=bool)[rng.integers(k, size=n)]


def test_pairwise_is_tensorflows_own_expression():
    z, own = rows()
    d, k = z - own, z.shape[1]
    term1 = 2.0 * np.square(d).sum(axis=1) / (k - 1)
    term2 = 2.0 * np.square(d.sum(axis=1)) / (k * (k - 1))
    assert value("mean_pairwise_squared_error", z, own) == pytest.approx((term1 - term2).mean())


def test_pairwise_is_a_mean_over_pairs():
    z, own = rows()
    d = z - own
    pairs = [(d[:, i] - d[:, j]) ** 2 for i in range(5) for j in range(i)]
    assert value("mean_pairwise_squared_error", z, own) == pytest.approx(np.mean(pairs))


def test_log_loss_epsilon_keeps_a_certain_mistake_finite():
    """1e-7 inside both logarithms: a logit of 1 at the wrong class costs -ln 1e-7."""
    wrong = value("log_loss", [[0.0, 1.0]], [[True, False]])
    assert wrong == pytest.approx(-np.log(1e-7), rel=1e-9)
    assert value("log_loss", [[1.0, 0.0]], [[True, False]]) == pytest.approx(-1e-7, rel=1e-6)
    assert np.isnan(value("log_loss", [[0.5, 1.1]], [[True, False]]))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_invariances(name):
    z, own = rows()
    z = 0.5 + 0.1 * z  # log_loss takes nothing outside [0, 1]
    whole = value(name, z, own)
    order = np.random.default_rng(1).permutation(len(z))
    assert value(name, z[order], own[order]) == pytest.approx(whole, rel=1e-13)
    assert value(name, np.tile(z, (3, 1)), np.tile(own, (3, 1))) == pytest.approx(whole, rel=1e-13)
    shifted = value(name, z + 0.1, own)  # only these two compare logits with one another
    only_gaps = name in ("cross_entropy", "mean_pairwise_squared_error")
    assert (abs(shifted - whole) < 1e-12) == only_gaps


def test_cross_entropy_is_optax_where_optax_is_right_and_goes_on_beyond():
    z, own = rows(k=3)
    ours, slope = value_and_grad("cross_entropy", z, own)
    with jax.enable_x64(True):
        integer = jnp.asarray(own.argmax(axis=1))
        loss = optax.softmax_cross_entropy_with_integer_labels
        assert ours == pytest.approx(float(loss(jnp.asarray(z), integer).mean()), rel=1e-14)
    far, slope = value_and_grad("cross_entropy", [[600.0, 0.0, 0.0]], [[True, False, False]])
    assert far == pytest.approx(2 * np.exp(-600.0), rel=1e-12)
    np.testing.assert_allclose(slope, np.exp(-600.0) * np.array([[-2.0, 1.0, 1.0]]), rtol=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_against_differences(name):
    z, own = rows(n=2, k=3)
    z = 0.5 + 0.1 * z  # log_loss takes nothing outside [0, 1]
    _, slope = value_and_grad(name, z, own)
    for place in np.ndindex(*z.shape):
        step = np.zeros_like(z)
        step[place] = 1e-6
        rise = value(name, z + step, own) - value(name, z - step, own)
        assert slope[place] == pytest.approx(rise / 2e-6, abs=1e-8)
