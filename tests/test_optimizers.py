"""The named methods: what they refuse, and that each is the update rule it stands for."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

import svmconv as sc
from svmconv.optimizers import Optimizer
from tests.tolerances import ROUNDING

GRADIENTS = np.random.default_rng(0).standard_normal((6, 3))


def path(optimizer):
    """The parameters after each of GRADIENTS, from zero."""
    with jax.enable_x64(True):
        transformation, w = optimizer.build(), np.zeros(3)
        state, found = transformation.init(w), []
        for gradient in GRADIENTS:
            updates, state = transformation.update(gradient, state, w)
            w = np.asarray(optax.apply_updates(w, updates))
            found.append(w)
    return np.array(found)


@pytest.mark.parametrize("method", [sc.optimizers.GD, sc.optimizers.NormalizedGD])
def test_plain_steps(method):
    expected = -0.1 * np.cumsum(GRADIENTS, axis=0)
    np.testing.assert_allclose(path(method(rate=0.1)), expected, atol=ROUNDING)


def test_heavy_ball_steps():
    w, m, expected = np.zeros(3), np.zeros(3), []
    for gradient in GRADIENTS:
        m = 0.9 * m + gradient
        w = w - 0.1 * m
        expected.append(w)
    np.testing.assert_allclose(path(sc.optimizers.HeavyBall(0.1)), expected, atol=ROUNDING)


def test_heavy_ball_without_momentum_is_gradient_descent():
    found = path(sc.optimizers.HeavyBall(0.1, momentum=0.0))
    np.testing.assert_allclose(found, path(sc.optimizers.GD(0.1)), rtol=ROUNDING)


def test_effective_rate():
    assert sc.optimizers.GD(0.1).effective_rate == 0.1
    assert sc.optimizers.NormalizedGD(0.1).effective_rate == 0.1
    assert sc.optimizers.HeavyBall(0.1, 0.75).effective_rate == 0.4


def test_only_normalized_gd_descends_on_the_log_loss():
    assert sc.optimizers.NormalizedGD.on_log_loss
    assert not sc.optimizers.GD.on_log_loss
    assert not sc.optimizers.HeavyBall.on_log_loss


@pytest.mark.parametrize("method", Optimizer.__subclasses__())
@pytest.mark.parametrize("rate", [0.0, -0.1, np.nan, np.inf])
def test_rate_must_be_positive(method, rate):
    with pytest.raises(sc.DataError, match="rate must be a positive number, got"):
        method(rate)


@pytest.mark.parametrize("momentum", [1.0, -0.1, 2.0, np.nan])
def test_momentum_must_be_below_one(momentum):
    with pytest.raises(sc.DataError, match=r"momentum must be in \[0, 1\), got"):
        sc.optimizers.HeavyBall(0.1, momentum)


def test_methods_are_values():
    assert sc.optimizers.GD(0.1) == sc.optimizers.GD(rate=0.1)
    assert sc.optimizers.GD(0.1) != sc.optimizers.NormalizedGD(0.1)
    assert hash(sc.optimizers.HeavyBall(0.1)) == hash(sc.optimizers.HeavyBall(0.1, 0.9))
    assert repr(sc.optimizers.HeavyBall(0.1)) == "HeavyBall(rate=0.1, momentum=0.9)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        sc.optimizers.GD(0.1).rate = 1.0  # pyright: ignore[reportAttributeAccessIssue]
