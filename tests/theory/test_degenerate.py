"""The second logarithm, against integrations of their own, hand derivations and broken runs."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from svmconv.errors import DataError
from svmconv.problem import Problem
from svmconv.theory import problems
from svmconv.theory import soudry2018_degenerate as claim
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.comparison import compare
from svmconv.theory.degenerate import degenerate
from svmconv.theory.setting import Flow, Setting

TOY = Setting(problems.degenerate)
TWO = Setting(problems.two_zero_duals)
ALL = (claim.direction, claim.margin_gap, claim.zero_dual, claim.coupling, claim.loss_constant)


@cache
def doubly(setting):
    c = compare(setting)
    return claim.Doubly(c, degenerate(c))


def reduced(s, v, z, n):
    """dv/ds, v = w - s w_hat, of rows z that all touch the margin: exponential loss."""
    w_hat = z.T @ np.linalg.lstsq(z @ z.T, np.ones(len(z)), rcond=None)[0]
    return np.exp(-z @ v) @ z / n - w_hat


@pytest.mark.parametrize("problem", [problems.degenerate, problems.two_zero_duals])
@pytest.mark.parametrize("log_t", [1e4, 3e4, 1e5, 3e5])
def test_the_bar_of_the_coupling_covers_shorter_runs(problem, log_t):
    """What is left out changes sign near ln t = 1e4, where two windows in a row have the same."""
    d = doubly(Setting(problem, Flow(log_t)))
    assert not claim.coupling(d).missed


def integrated(z, n, s, start=0.0):
    return solve_ivp(
        reduced, (start, s[-1]), np.zeros(z.shape[1]), "LSODA", s, args=(z, n), rtol=1e-11,
        atol=1e-13,
    ).y.T  # fmt: skip


@pytest.mark.parametrize(
    ("log10_t", "away"), [(5, -0.113), (10, -0.091), (50, -0.033), (100, -0.019)]
)
def test_the_published_example_of_the_summed_loss(log10_t, away):
    """z = (1, 0), (1, 1), sum of losses, w(0) = 0: w_2 - ln ln t at t = 10^5 and on."""
    z = np.array([[1.0, 0.0], [1.0, 1.0]])
    s = log10_t * np.log(10.0)
    v = integrated(z, 1, np.array([s]))[0]
    assert v[1] - np.log(s) == pytest.approx(away, abs=6e-4)
    constant = (v[1] - np.log(s) + np.log(s) / s) * s
    assert constant == pytest.approx(1.0, abs=0.15)
    assert v[0] * s == pytest.approx(1.0, abs=0.2)


def test_the_flow_is_that_of_an_integrator_of_its_own():
    """Mean logistic loss in the plain log-time frame, w and not v, up to ln t = 300."""
    d = doubly(TOY)
    z, at = np.array([[1.0, 0.0], [1.0, 1.0]]), np.flatnonzero(d.run.run.log1p_t < 300)[::10]
    s = d.run.run.log1p_t.values[at]

    def field(s, w):
        return np.exp(s - np.logaddexp(0.0, z @ w)) @ z / 2

    w = solve_ivp(field, (0, s[-1]), np.zeros(2), "LSODA", s, rtol=1e-11, atol=1e-12).y.T
    np.testing.assert_allclose(d.run.weights[at], w, rtol=1e-8, atol=1e-8)


def test_the_constants_of_the_example_by_hand():
    """M = 1 on (1, 0), d = (0, 1), G = 1, beta = 1, N = 2: a = e^(ln 2) / 2 = 1."""
    k = doubly(TOY).constants
    assert k.beta == pytest.approx([1.0], rel=1e-14)
    np.testing.assert_allclose(k.growth, [0.0, 1.0], atol=1e-14)
    np.testing.assert_allclose(k.limit, [-np.log(2.0), 0.0], atol=1e-14)
    s = np.array([10.0, 1e3, 1e6])
    expected = np.column_stack([1 / s - np.log(2.0), np.log(s) - np.log(s) / s])
    np.testing.assert_allclose(k.forecast(s), expected, rtol=1e-7)
    gap = doubly(TOY).forecast.margin_gap[-1]
    assert float(gap) == pytest.approx(np.log(1e6) ** 2 / 2e12, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_one_row_beside_two_support_vectors(seed):
    """z_j.v = ln s + ln(|d|^2 / N) - (G / |d|^2) ln s / s + C / s, from the reduced equations."""
    rng = np.random.default_rng(seed)
    z = np.array([[1.0, 0.8, 0.0], [1.0, -0.5, 0.0], [1.0, *rng.normal(0.0, 0.4, 1), 1.3]])
    s = np.array([1e3, 1e4, 1e5])
    v = integrated(z, 3, s)
    alpha = np.array([0.5, 0.8]) / 1.3
    m = (z[:2, :2].T * alpha) @ z[:2, :2]
    g = z[2, :2] @ np.linalg.solve(m, z[2, :2]) / 1.3**2
    forecast = np.log(s) + np.log(1.3**2 / 3) - g * np.log(s) / s
    left = (v @ z[2] - forecast) * s
    assert np.ptp(left) < 1e-3


def test_what_is_left_is_a_constant_over_ln_t():
    for setting in (TOY, TWO):
        d = doubly(setting)
        s = d.run.clock[d.late]
        late = (s > 3e3) & (s < 3e5)
        times_s = np.linalg.norm(d.residual[late], axis=1) * s[late]
        assert np.ptp(times_s) < 0.1 * times_s.mean()


@pytest.mark.parametrize("quantity", ALL, ids=lambda quantity: quantity.__name__)
@pytest.mark.parametrize("setting", [TOY, TWO], ids=["toy", "two"])
def test_bars_are_honest(setting, quantity):
    found = quantity(doubly(setting))
    assert found.verdict == "holds"
    assert not found.missed


def with_constants(d, **changed):
    return claim.Doubly(d.run, replace(d.constants, **changed))


def with_run(d, change):
    run = replace(d.run, run=change(d.run.run), coarse=change(d.run.coarse))
    return claim.Doubly(run, d.constants)


def stretched(run):
    """ln t off by a millionth: by one at the end."""
    return run.assign_coords(log1p_t=(1 + 1e-6) * run.log1p_t)


def more_across(run):
    """w_2 (and what little is in its plane) grown by a part in a thousand."""
    w = run.w.values.copy()
    w[:, 1:] *= 1.001
    return run.assign(w=(run.w.dims, w))


def stopped(run):
    """The part across stays where it was at ln t = 1e5."""
    w, s = run.w.values.copy(), run.log1p_t.values
    at = int(np.searchsorted(s, 1e5))
    w[at:, 1] = w[at, 1]
    return run.assign(w=(run.w.dims, w))


WRONG = {
    "w_2 too long": lambda d: with_constants(d, growth=1.01 * d.constants.growth),
    "w_2 halved": lambda d: with_constants(d, growth=0.5 * d.constants.growth),
    "another |d|": lambda d: with_constants(d, limit=d.constants.limit + 0.01 * d.constants.growth),
    "forcing absent": lambda d: with_constants(d, forcing=0.0 * d.constants.forcing),
    "forcing reversed": lambda d: with_constants(d, forcing=-d.constants.forcing),
    "ln t stretched": lambda d: with_run(d, stretched),
    "more across": lambda d: with_run(d, more_across),
    "stopped": lambda d: with_run(d, stopped),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_constants_and_broken_runs_do_not_hold(wrong):
    d = WRONG[wrong](doubly(TOY))
    found = [q(d).verdict for q in (claim.direction, claim.zero_dual, claim.coupling)]
    assert "contradicted" in found, found


def test_the_same_forecast_misses_a_row_just_beyond_the_margin():
    c = compare(claim.NEARLY)
    d = claim.Doubly(c, degenerate(c, np.array([1])))
    assert all(q(d).missed for q in (claim.direction, claim.margin_gap, claim.zero_dual))


def test_rows_that_theory_does_not_cover_are_refused():
    with pytest.raises(DataError, match="must be independent"):
        degenerate(compare(claim.NEARLY))  # nothing touches with zero dual
    c = doubly(TWO).run
    tight = np.flatnonzero(c.problem.signs * (c.problem.x @ c.svm.w) < 1 + 1e-9)
    zero = [n for n in tight if c.constants.alpha[n] == 0]
    assert len(zero) == 2
    with pytest.raises(DataError, match="span all rows"):
        degenerate(c, np.array(zero[:1]))


def mirrored(h, g):
    """Two support vectors in the first plane; d = (0, 0, 1, +-h): beta = 1/2, mu = h^2 beside 1."""
    z = np.array([[1, 0.8, 0, 0], [1, -0.5, 0, 0], [1, g, 1, h], [1, -0.2, 1, -h]])
    y = np.array([1, -1, 1, -1])
    return Problem(y[:, None] * z, y, f"four rows, mu = {h * h:.2g}")


@pytest.mark.parametrize("g", [0.3, 1.5])
@pytest.mark.parametrize("mu", [0.36, 0.49, 0.56, 0.64, 0.72, 0.9])
def test_the_bar_of_the_coupling_knows_of_slower_modes(mu, g):
    """s^-mu across w_2 enters it squared: s^(1 - 2 mu) in the slope that is read."""
    d = doubly(Setting(partial(mirrored, mu**0.5, g)))
    assert d.constants.rates == pytest.approx([mu, 1.0])
    assert not claim.coupling(d).missed
    wrong = claim.coupling(with_constants(d, forcing=0.9 * d.constants.forcing))
    assert wrong.verdict != "holds" or mu > 0.5
    assert mu < 0.7 or claim.coupling(d).verdict == "holds"
    assert (claim.coupling(d).error == np.inf) is (d.unresolved is not None)


@pytest.mark.parametrize("start", [(14.0, 14.0), (0.0, 12.0), (0.0, 20.0), (5e5, 0.0)])
def test_a_start_that_rows_have_not_outgrown_is_undecided(start):
    """One row: e^(d.v) = s - s_0 + e^(d.w(0)), of which the forecast knows s alone."""
    setting = Setting(problems.degenerate, init=lambda: np.array(start))
    assert doubly(setting).arrival == pytest.approx(max(start[1], np.log(start[0] + 1)), abs=0.1)
    found = claim.measure(setting, claim.stays)
    assert CaseVerdict(found, "undecided").met


def test_a_start_that_they_have_outgrown_is_forgotten():
    d = doubly(Setting(problems.degenerate, init=lambda: np.array([3.0, 3.0])))
    assert d.unresolved is None
    assert {quantity(d).verdict for quantity in ALL} == {"holds"}
