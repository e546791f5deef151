"""The exponent of the remainder against solutions by hand and by another integrator."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from svmconv import data
from svmconv.problem import Problem
from svmconv.theory import residual
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Flow, Setting

SETTINGS = (residual.FAR, residual.SLOWER, residual.FREE)


@cache
def remainder(setting):
    return residual.Remainder(compare(setting))


def test_one_far_row_by_hand():
    """z = 1, 1.5 in R^1: M = 1, w_tilde = -ln 2, a = 2^1.5 / 2, r_F = 2 x 1.5 sqrt(2) t^-1/2."""
    problem = Problem([[1.0], [-1.5]], [1, -1])
    r = residual.Remainder(compare(Setting(lambda: problem, Flow(50.0, rtol=1e-10))))
    assert r.is_forced
    expected = 3.0 * np.sqrt(2.0) * np.exp(-r.c.clock / 2)
    np.testing.assert_allclose(np.abs(r.forced[1:, 0]), expected[1:], rtol=1e-12)
    assert residual.exponent(r).measured == pytest.approx(0.5, abs=1e-3)
    assert residual.amplitude(r).measured == pytest.approx(3.0 * np.sqrt(2.0), rel=1e-3)


def test_the_flow_at_the_window_is_that_of_another_integrator():
    """LSODA in the same frame, from zero; an error there would be one of the exponent too."""
    r = remainder(residual.FREE)
    z = r.c.problem.signs[:, None] * r.c.problem.x
    w_hat, at = r.c.svm.w, list(r.window)

    def field(s, v):
        w = v + s * w_hat
        return np.exp(s - np.logaddexp(0.0, z @ w)) @ z / len(z) - w_hat

    s = r.c.run.log1p_t.values[at]
    found = solve_ivp(field, (0, s[-1]), np.zeros(4), "Radau", s, rtol=1e-10, atol=1e-13).y.T
    away = np.linalg.norm(found + s[:, None] * w_hat - r.c.weights[at], axis=1)
    assert (away <= 10 * r.rounding[at]).all()


def test_the_normal_form_takes_away_the_quadratic_term():
    """The slope before the correction is farther off at the start of the window's scale."""
    r = remainder(residual.FREE)
    s, (values, vectors) = r.c.clock, r.modes
    early = (s > 20) & (s < 40)
    raw, law = np.log(np.abs(r.rest @ vectors[:, 0]))[early], np.log(np.abs(r.law[0]))[early]
    off = [abs(np.polyfit(s[early], y, 1)[0] + values[0]) for y in (raw, law)]
    assert off[1] < 0.2 * off[0]


@pytest.mark.parametrize("setting", SETTINGS, ids=("far", "farther", "free"))
def test_exponents_hold_and_are_sharp(setting):
    r = remainder(setting)
    found = residual.exponent(r)
    assert found.verdict == "holds"
    assert found.error < 1e-3
    assert r.unresolved is None


def test_a_raw_slope_would_not_do():
    """At t = 10^9 to 10^18: far rows with theta - 1 = .5, .53, .63 make it .517."""
    assert residual.raw_exponent(remainder(residual.FAR)) == pytest.approx(0.517, abs=2e-3)


@pytest.mark.parametrize(
    ("seed", "theta", "lambda_min"),
    [
        (1, 1.3, 1.0),
        (1, 2.5, 0.25),
        *(
            pytest.param(seed, *rates, marks=pytest.mark.slow)
            for seed in range(2, 6)
            for rates in ((1.3, 1.0), (2.5, 0.25), (1.6, 0.9), (1.9, 0.5))
        ),
    ],
)
def test_bars_are_honest_over_seeds(seed, theta, lambda_min):
    problem = data.planted(
        n=30, d=3, n_support=3, spanning=True, theta=theta, lambda_min=lambda_min, seed=seed
    )
    r = residual.Remainder(compare(Setting(lambda: problem, Flow(80.0, rtol=1e-10))))
    assert not residual.exponent(r).missed
    if r.is_forced:
        assert not residual.amplitude(r).missed


def test_two_rates_that_are_one_say_so():
    r = remainder(residual.ALIKE)
    assert residual.exponent(r).verdict == "undecided"
    assert not residual.exponent(r).missed
    assert r.unresolved == "t^-0.5 and t^-0.55 are one in any run"


def faded(r, rate):
    """The same run with its remainder times t^-rate: the weights, at either tolerance."""
    c = r.c
    factor = np.exp(-rate * np.maximum(c.clock, 0.0))[:, None]

    def change(run):
        w = run.w.values + np.nan_to_num(c.residual) * (factor - 1.0)
        return run.assign(w=(run.w.dims, w))

    return residual.Remainder(replace(c, run=change(c.run), coarse=change(c.coarse)))


@pytest.mark.parametrize("rate", [0.01, -0.01, 0.1])
@pytest.mark.parametrize("setting", SETTINGS, ids=("far", "farther", "free"))
def test_another_exponent_is_contradicted(setting, rate):
    found = residual.exponent(faded(remainder(setting), rate))
    assert found.missed, (found.measured, found.error)
    assert found.verdict != "holds"


@pytest.mark.parametrize("setting", SETTINGS[:2], ids=("far", "farther"))
def test_another_amplitude_is_contradicted(setting):
    r = remainder(setting)
    w = r.c.run.w.values + 0.01 * np.nan_to_num(r.forced, posinf=0.0, neginf=0.0)
    run, coarse = (old.assign(w=(old.w.dims, w)) for old in (r.c.run, r.c.coarse))
    off = residual.Remainder(replace(r.c, run=run, coarse=coarse))
    assert residual.amplitude(off).verdict != "holds"


@pytest.mark.parametrize("wrong", [0.45, 0.55, 0.7])
def test_another_theta_is_contradicted(wrong):
    """Constants that take theta for something else predict another exponent."""
    r = remainder(residual.FAR)
    constants = replace(r.c.constants, theta=1.0 + wrong)
    found = residual.exponent(residual.Remainder(replace(r.c, constants=constants)))
    assert found.missed
