"""Adam with eps > 0: made-up runs whose loss or way is not that of l2."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from svmconv.optimizers import Adam
from svmconv.theory import problems, wang2021
from svmconv.theory.setting import Descent, Setting
from tests.theory.runs import made

METHOD = Adam(0.01, b2=0.99, eps=1e-6)
SETTING = Setting(problems.two_of_three, Descent(METHOD, 10**6), clock="loss")


@cache
def blank():
    return made(SETTING, lambda n, _: np.zeros((len(n), 3)))


def run(turn=lambda _: 0.0, inverse=lambda tau: tau):
    """w = (ln tau, turned by `turn` from u) after a start elsewhere; 1 / (gamma^2 L) of tau."""
    c = blank()
    k, step = c.constants, np.maximum(c.run.step.values, 1.0)
    across = np.array([0.3, -1.0, 0.7])
    across -= (across @ k.u) * k.u
    across /= np.linalg.norm(across)
    along = np.log(step) / k.gamma
    w = np.outer(along, k.u) + np.outer(turn(step) * along + 5.0, across)
    tau = step * METHOD.rate / METHOD.eps
    log_loss = -np.log(inverse(tau)) - 2 * np.log(k.gamma)
    found = c.run.assign(w=(c.run.w.dims, w), log_loss=("log1p_t", log_loss))
    return replace(c, run=found, coarse=found)


def test_a_way_that_turns_to_u_holds():
    """What the first phase has left, 5 across, does not count."""
    for kappa in (0.5, 1.0):
        c = run(lambda t, kappa=kappa: 0.1 * t**-kappa)
        found = wang2021.way(c)
        assert found.verdict == "holds"


@pytest.mark.parametrize("angle", [1e-6, 1e-3, 0.01, 0.04, 0.06, 0.5])
def test_a_way_at_an_angle_that_stays_does_not_hold(angle):
    """Bars as wide as the angle was before would let it pass."""
    found = wang2021.way(run(lambda _: np.tan(angle)))
    assert found.measured == pytest.approx(angle, rel=1e-6)
    assert found.missed
    assert found.verdict != "holds"


@pytest.mark.parametrize("constant", [-1e4, 1.0, 1e4])
def test_the_growth_of_the_inverse_loss_holds_after_any_start(constant):
    c = run(inverse=lambda tau: np.maximum(tau + constant * np.log(tau), 1.0))
    assert wang2021.inverse_loss(c).verdict == "holds"


@pytest.mark.parametrize(
    "inverse",
    [
        lambda tau: 1.001 * tau,
        lambda tau: 0.9 * tau,
        lambda tau: tau / 10,  # as with the rate of the plain form, (1 - b1) = .1
        lambda tau: tau**0.99,
        lambda tau: tau**2 / 1e9,
        lambda tau: np.exp(1e-9 * tau),
        lambda tau: tau * (1 + 0.01 / np.log(tau)),
    ],
    ids=range(7),
)
def test_another_growth_of_the_inverse_loss_does_not_hold(inverse):
    assert wang2021.inverse_loss(run(inverse=inverse)).verdict != "holds"


def test_another_rate_or_eps_does_not_hold():
    for other in (replace(METHOD, rate=0.0101), replace(METHOD, eps=2e-6)):
        setting = replace(SETTING, method=Descent(other, 10**6))
        c = replace(run(), setting=setting)
        assert wang2021.inverse_loss(c).verdict == "contradicted"
