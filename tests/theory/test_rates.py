"""Exponents, growth, bounds and step limits on three rows whose constants are known by hand, and on
made-up runs that obey another law."""

from functools import cache

import numpy as np
import pytest

import svmconv as sc
from svmconv.optimizers import DualAcceleration, HeavyBall, NormalizedGD
from svmconv.theory import ji2019, ji2021, nacson2019, problems, rates, wang2022
from svmconv.theory import quantities as q
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Descent, Setting
from tests.theory.runs import made

S, P = 0.5, np.array([2 / 3, 1 / 3])
V = -np.log(2) / (3 * S)
"""z = (1, s), (1, -2 s), (3, s): p = (2, 1) / 3, so that exp(-3 s v) = 2; gamma = 1."""
LAMBDA = S**2 * (P @ [1.0, 4.0])


@cache
def toy():
    z = np.array([[1.0, S], [1.0, -2 * S], [3.0, S]])
    return sc.Problem(np.array([[1], [-1], [1]]) * z, [1, 0, 1], "three rows in the plane")


def setting(optimizer, steps=10_000, clock="loss"):
    return Setting(toy, Descent(optimizer, steps), clock=clock)


PLAIN, SLOWING, FAST = NormalizedGD(0.1), NormalizedGD(1.0, 0.5), DualAcceleration(0.1)
LONG = NormalizedGD(2.0)
POWERS = {PLAIN: 1.0, SLOWING: 0.5, FAST: 2.0}
FOUND = (rates.growth, q.scaled_gap, q.offset)


@pytest.mark.parametrize("method", POWERS, ids=repr)
def test_on_rows_whose_constants_are_known(method):
    c = compare(setting(method))
    k = c.constants
    entropy = -P @ np.log(P)
    np.testing.assert_allclose(k.v_bar, [0.0, V], atol=1e-12)
    assert rates.stability(c) == pytest.approx(LAMBDA, rel=1e-12)
    right = rates.exponent(c, POWERS[method])
    speed, gap = rates.growth(c), q.scaled_gap(c)
    assert [found.verdict for found in (right, speed, gap, q.offset(c))] == ["holds"] * 4
    assert (right.predicted, speed.predicted) == pytest.approx((-POWERS[method], 1.0))
    far = c.norm + float(c.weights[-1] @ k.u)
    assert gap.predicted == pytest.approx(entropy + np.log(2 / 3) + V**2 / far, rel=1e-9)
    assert method is FAST or rates.published_bound(c).verdict == "holds"


@pytest.mark.parametrize("method", POWERS, ids=repr)
def test_the_exponent_is_named_for_what_it_is(method):
    """Corrected: a line through the run itself has another slope, which the name must not hide."""
    c = compare(setting(method))
    found, first = rates.exponent(c, POWERS[method]), int(np.searchsorted(c.run.step, 1000))
    gaps, steps = c.gaps.margin_gap.values, c.run.step.values
    own = np.log(gaps[-1] / gaps[first]) / np.log(steps[-1] / steps[first])
    assert found.name == "exponent, corrected"
    assert abs(found.measured + POWERS[method]) < 0.1 * abs(own + POWERS[method])


@pytest.mark.parametrize("method", POWERS, ids=repr)
@pytest.mark.parametrize("other", [-3.0, 0.5, 0.999, 1.0, 1.001, 1.999, 2.0, 17.0])
def test_another_exponent_is_contradicted(method, other):
    c = compare(setting(method))
    wrong = rates.exponent(c, other)
    assert wrong.verdict == ("holds" if other == POWERS[method] else "contradicted")
    assert wrong.measured == pytest.approx(-POWERS[method], abs=1e-3)


@pytest.mark.parametrize(
    ("rule", "method"),
    [
        (ji2021.normalized, NormalizedGD(0.2, 0.3)),
        (ji2021.normalized, NormalizedGD(0.2, 0.05)),
        (ji2021.accelerated, PLAIN),
        (nacson2019.square_root, NormalizedGD(1.0, 0.4)),
        (nacson2019.square_root, PLAIN),
    ],
    ids=["normalized-.7", "normalized-.95", "accelerated-1", "sqrt-.6", "sqrt-1"],
)
def test_a_claim_is_contradicted_by_a_method_of_another_exponent(rule, method):
    found = CaseVerdict(rule(setting(method)), "holds")
    assert found.verdict == "contradicted"


def like(along, across=None):
    """Weights `along` u, and across it v_bar unless told."""

    def weights(steps, time):
        side = np.full(len(steps), V) if across is None else across(steps, time)
        return np.stack([along(steps, time), side * np.ones(len(steps))], axis=1)

    return weights


@pytest.mark.parametrize("method", POWERS, ids=repr)
@pytest.mark.parametrize("extra", [0.0, 0.7])
def test_a_run_that_obeys_the_law_holds(method, extra):
    c = made(setting(method), like(lambda _, t: t + extra * (1 - np.exp(-20 * t))))
    assert rates.exponent(c, POWERS[method]).verdict == "holds"
    assert [found(c).verdict for found in FOUND] == ["holds"] * 3


def test_what_the_momentum_of_dual_acceleration_keeps_of_the_first_steps():
    """A multiple of 1 + 1/2 + ... + 1/t is allowed; one of t is another law."""
    harmonic = like(lambda n, t: t + 0.3 * np.log1p(n) * (n > 0))
    c = made(setting(FAST), harmonic)
    assert rates.growth(c).error < 1e-3
    assert abs(rates.growth(c).measured - 1) < 1e-6
    linear = made(setting(FAST), like(lambda n, t: t + 0.03 * n))
    assert rates.growth(linear).verdict == "contradicted"
    assert rates.exponent(linear, 2.0).verdict == "contradicted"


@pytest.mark.parametrize("method", POWERS, ids=repr)
@pytest.mark.parametrize("by", [0.5, 0.99, 1.0001])
def test_another_speed_does_not_hold(method, by):
    c = made(setting(method), like(lambda _, t: by * t))
    assert rates.growth(c).verdict == "contradicted"
    assert q.scaled_gap(c).verdict == "holds"  # which does not ask when
    assert rates.exponent(c, POWERS[method]).verdict != "holds" or abs(by - 1) < 1e-3


OTHERS = [(m, p) for m in POWERS for p in (0.5, 1.0, 1.5, 2.0) if p != POWERS[m]]


@pytest.mark.parametrize(("method", "power"), OTHERS, ids=str)
def test_another_power_of_the_steps_does_not_hold(method, power):
    """|w| as it is at the end, but on another way there."""
    c = made(setting(method), like(lambda n, t: t[-1] * (n / n[-1]) ** power))
    found = rates.exponent(c, POWERS[method]).verdict, rates.growth(c).verdict
    assert "holds" not in found


@pytest.mark.parametrize("method", POWERS, ids=repr)
@pytest.mark.parametrize("share", [1e-6, 0.1])
def test_a_gap_that_does_not_close_does_not_hold(method, share):
    c = made(setting(method), like(lambda _, t: t, lambda _, t: V + share * t))
    assert rates.exponent(c, POWERS[method]).verdict != "holds"
    assert q.scaled_gap(c).verdict != "holds"
    assert q.offset(c).verdict != "holds"


@pytest.mark.parametrize("off_by", [1e-3, 0.1, 1.0])
def test_another_offset_does_not_hold(off_by):
    """Descent that settles, but elsewhere: what wrong steps of the right length would do."""
    c = made(setting(PLAIN), like(lambda _, t: t, lambda _, t: V + off_by + 0 * t))
    assert q.scaled_gap(c).verdict != "holds"
    assert q.offset(c).verdict != "holds"


def test_the_published_bound_by_hand():
    """gap <= (ln 3 + 1) / (gamma^2 T) at every time: a run just above it once is contradicted."""
    c = made(setting(PLAIN), like(lambda _, t: t))
    allowed = np.append(np.inf, (np.log(3) + 1) / np.expm1(c.run.log1p_t.values[1:]))
    for factor, verdict in ((0.999, "holds"), (1.001, "contradicted")):
        gap = c.gaps.margin_gap.values.copy()
        gap[100] = factor * allowed[100]
        gaps = c.gaps.assign(margin_gap=("log1p_t", gap))
        other = made(setting(PLAIN), like(lambda _, t: t))
        other.__dict__["gaps"] = gaps
        assert rates.published_bound(other).verdict == verdict


@pytest.mark.parametrize(("method", "limit"), [(NormalizedGD, 2.0), (DualAcceleration, 4 / 3)])
def test_step_limits(method, limit):
    """Of w across u, where rows weigh p: x <- x - rate lambda x, or its accelerated form. lambda =
    1/2, so that a step of 1 % less settles within thousands of steps, and of 1 % more never does.
    """
    left = []
    for factor in (0.99, 1.01):
        run = sc.descend(toy(), method(factor * limit / LAMBDA), 4000)
        left.append(np.abs(run.w.values[run.step.values > 3000, 1] - V).max())
    assert left[0] < 1e-6
    assert left[1] > 0.05


def test_the_minimiser_on_a_sphere_by_hand():
    """z = (1, s), (1, -2 s) at radius B: weights 2 : 1 bent by mu v, found by bisection."""
    z, radius = np.array([[1.0, S], [1.0, -2 * S]]), 500.0

    def slope(angle):
        """Of ln sum exp(-z.w) along the circle."""
        w = radius * np.array([np.cos(angle), np.sin(angle)])
        weights = np.exp(-(z @ w) + (z @ w).min())
        return -(weights @ z) @ [-np.sin(angle), np.cos(angle)]

    low, high = -0.1, 0.1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    found = ji2019.on_path(z, radius * np.array([np.cos(V / radius), np.sin(V / radius)]))
    assert np.arctan2(found[1], found[0]) == pytest.approx(low, abs=1e-12)


@cache
def on_the_way():
    return made(setting(LONG, 5000), like(lambda _, t: t))


def test_the_distance_of_the_path_by_hand():
    """gamma |(gamma^2 M)^+ v_bar| = |V| / lambda."""
    found = ji2019.distance(on_the_way())
    assert found.predicted == pytest.approx(abs(V) / LAMBDA, rel=1e-12)
    assert found.verdict == "holds"


@pytest.mark.parametrize("turn", [1e-9, 1e-7, 1e-5, 1e-3])
def test_a_point_that_is_not_the_minimiser_does_not_hold(turn, monkeypatch):
    right = ji2019.on_path

    def wrong(z, start):
        w = right(z, start)
        return w + turn * np.array([-w[1], w[0]])

    monkeypatch.setattr(ji2019, "on_path", wrong)
    assert ji2019.distance(on_the_way()).verdict != "holds"


@pytest.mark.parametrize("off_by", [1e-6, 1e-4, 0.01, 1.0])
def test_descent_with_another_offset_is_not_on_the_path(off_by):
    c = made(setting(LONG, 5000), like(lambda _, t: t, lambda _, t: V + off_by + 0 * t))
    found = ji2019.distance(c)
    assert found.missed
    assert found.verdict != "holds"


@cache
def heavy_ball():
    where = Setting(problems.for_steps, Descent(HeavyBall(0.05), 10**6))
    return made(where, lambda n, _: np.outer(np.log1p(n), np.ones(4)))


def heavy(b, constant=0.3):
    """A run with 1 / (gamma^2 L) = tau + rate (b ln t + constant)."""
    c, k, rate = heavy_ball(), heavy_ball().constants, 0.5
    t = np.maximum(c.run.step.values, 1.0)
    log_loss = -np.log(rate * np.maximum(t + b * np.log(t) + constant, 0.1)) - 2 * np.log(k.gamma)
    run = c.run.assign(log_loss=("log1p_t", log_loss))
    return type(c)(c.setting, c.problem, c.svm, c.constants, run, run)


def test_the_bracket_by_hand():
    """Without momentum 1/2, at .9 19/2, less (N gamma^2 / rate) sum alpha^2."""
    c = heavy(0.0)
    tail = c.constants.n * c.constants.gamma**2 * np.square(c.constants.alpha).sum()
    assert wang2022.bracket(c) == pytest.approx(9.5 - tail / 0.5, rel=1e-9)


@pytest.mark.parametrize("constant", [-3.0, 0.3, 3.0])
def test_the_correction_of_momentum(constant):
    b = wang2022.bracket(heavy(0.0))
    assert wang2022.correction(heavy(b, constant)).verdict == "holds"
    for wrong in (b + 9.0, b + 0.5, b - 0.5, 0.0, -b, 19.0 * b):
        found = wang2022.correction(heavy(wrong, constant))
        assert found.missed
        assert found.verdict != "holds"


def test_a_loss_constant_that_is_off_is_no_correction():
    c = heavy(wang2022.bracket(heavy(0.0)))
    for off_by in (1e-5, -1e-5, 1e-3):
        run = c.run.assign(log_loss=c.run.log_loss + off_by)
        other = type(c)(c.setting, c.problem, c.svm, c.constants, run, run)
        assert wang2022.correction(other).verdict != "holds"


def test_the_square_root_control_is_another_growth():
    found = nacson2019.square_root(setting(NormalizedGD(1.0, 0.5), 3000))
    assert {quantity.verdict for quantity in found.quantities} == {"holds"}
    assert found.control.verdict == "contradicted"
