"""The rules where no constants are known, fed with made-up runs: none but those whose share of |w|
vanishes may hold, whatever they look like at the end."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import svmconv as sc
from svmconv.geometry import norm
from svmconv.optimizers import Adam, NormalizedGD, SignDescent
from svmconv.theory import fan2025, gunasekar2018, other_norms, problems, zhang2024
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.other_norms import Run, Setting

PROBLEM = problems.two_of_three()
SVM = sc.max_margin(PROBLEM, geometry="linf")
GAMMA = SVM.margin
STEPS = np.unique(np.geomspace(1, 30_000, 192).round()).astype(int)
SIZES = 0.01 * STEPS  # |w|: the total length of the steps
END = SIZES[-1]


def run(shortfall=0.3, angle=0.0, log_loss=None, method=None, sizes=SIZES):
    """|w| = sizes in l_inf, a smallest margin of gamma |w| - shortfall, this angle to the SVM."""
    u = SVM.w / np.linalg.norm(SVM.w)
    away = np.array([1.0, -1.0, 0.5])
    away -= (away @ u) * u
    away /= np.linalg.norm(away)
    angle = (angle * np.ones_like(SIZES))[:, None]
    w = np.cos(angle) * u + np.sin(angle) * away
    w *= (sizes / np.abs(w).max(axis=1))[:, None]
    margin = GAMMA * sizes - shortfall
    found = xr.Dataset(
        {
            "w": (("log1p_t", "feature"), w),
            "margin": ("log1p_t", margin * np.ones_like(SIZES)),
            "log_loss": ("log1p_t", -margin if log_loss is None else log_loss),
        },
        {"log1p_t": np.log1p(0.01 * STEPS), "step": ("log1p_t", STEPS)},
    )
    method = SignDescent(0.01) if method is None else method
    return Run(Setting(lambda: PROBLEM, method, int(STEPS[-1]), "linf"), PROBLEM, SVM, found)


def octaves(count, phase=0.0):
    """Between 0 and 1, `count` times while |w| doubles; 0 at the end for phase 0."""
    return (1 - np.cos(2 * np.pi * (count * np.log2(SIZES / END) + phase))) / 2


def waves(count, phase=0.0):
    """The same, `count` times over the whole run."""
    return (1 - np.cos(2 * np.pi * (count * SIZES / END + phase))) / 2


BOUNDED = {
    "constant": 0.3 + 0 * SIZES,
    "fading": 5.0 / (1 + SIZES),
    "settling": 0.3 - np.exp(-SIZES),
    "alternating": 0.3 + 0.02 * (-1.0) ** np.arange(len(SIZES)),
    "oscillating": 0.3 + 0.02 * octaves(3),
    "slowly": 0.05 * np.log1p(SIZES),
}
SMALL = (1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.049, 0.07)
GROWING = {
    **{f"{share:g} of |w|": share * SIZES for share in SMALL},
    **{f"{share:g} of |w| and a constant": 0.1 + share * SIZES for share in (0.01, 0.03)},
    **{f"{n} octaves": 0.03 * SIZES * octaves(n) for n in (1, 2, 3, 7)},
    **{f"{n} waves": 0.03 * SIZES * waves(n) for n in (8, 40)},
    "|w|^.8": 0.01 * SIZES**0.8,
    "|w|^1.2": 0.001 * SIZES**1.2,
}


@pytest.mark.parametrize("shortfall", BOUNDED.values(), ids=BOUNDED)
def test_a_shortfall_that_stays_holds(shortfall):
    r = run(shortfall)
    assert other_norms.margin(r).verdict == "holds"
    assert other_norms.growth_of_margin(r).verdict == "holds"
    assert gunasekar2018.speed(r).verdict == "holds"


@pytest.mark.parametrize("shortfall", GROWING.values(), ids=GROWING)
def test_a_shortfall_that_grows_with_the_weights_does_not_hold(shortfall):
    """The wrong norm, or none: twice the early maximum would let every such share pass."""
    r = run(GAMMA * shortfall)
    found = other_norms.margin(r)
    assert found.missed
    assert found.verdict != "holds"


@pytest.mark.parametrize("share", SMALL)
def test_a_slope_or_speed_that_is_off_does_not_hold(share):
    r = run(GAMMA * share * SIZES)
    for found in (other_norms.growth_of_margin(r), gunasekar2018.speed(r)):
        assert found.missed
        assert found.verdict != "holds"


@pytest.mark.parametrize("angle", [1e-4, 0.01, 0.03, 0.049, 0.3])
@pytest.mark.parametrize("wave", [None, octaves(1), octaves(3), waves(40)], ids=range(4))
def test_an_angle_that_stays_does_not_hold(angle, wave):
    found = other_norms.direction(run(angle=angle * (1.0 if wave is None else wave)))
    assert found.missed
    assert found.verdict != "holds"


@pytest.mark.parametrize("shortfall", BOUNDED.values(), ids=BOUNDED)
def test_an_angle_that_falls_as_the_weights_grow_holds(shortfall):
    assert other_norms.direction(run(angle=0.5 * shortfall / (10 + SIZES))).verdict == "holds"


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize(
    "where", [slice(-20, -1), slice(-20, None)], ids=["on the way", "at the end"]
)
def test_weights_that_are_no_numbers_have_no_direction(broken, where):
    """They were once read as an angle of zero."""
    r = run(angle=0.001 / (10 + SIZES))
    w = r.run.w.values.copy()
    w[where] = broken
    found = other_norms.direction(replace(r, run=r.run.assign(w=(r.run.w.dims, w))))
    assert found.verdict != "holds"


def test_weights_of_zero_are_not_off_any_direction():
    """A run starts there."""
    r = run()
    w = r.run.w.values.copy()
    w[0] = 0.0
    aside = replace(r, run=r.run.assign(w=(r.run.w.dims, w))).aside
    assert aside[0] == 0.0
    assert np.isfinite(aside).all()


def test_a_margin_beyond_the_best_is_contradicted():
    """However little, and for all of the run."""
    for shortfall in (-1e-6, -1.0, -0.01 * SIZES):
        assert other_norms.margin(run(shortfall)).verdict == "contradicted"


def test_the_direction_and_the_margin_of_the_l2_svm_do_not_hold():
    w = sc.max_margin(PROBLEM).w
    w = w / np.abs(w).max()
    rows = PROBLEM.signs[:, None] * PROBLEM.x
    good = run()
    weights = good.run.w.copy(data=SIZES[:, None] * w)
    data = good.run.assign(w=weights, margin=("log1p_t", SIZES * (rows @ w).min()))
    r = replace(good, run=data)
    found = (other_norms.margin(r), other_norms.growth_of_margin(r), other_norms.direction(r))
    assert all(quantity.missed for quantity in found)
    assert "holds" not in {quantity.verdict for quantity in found}


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_weights_that_grow_at_another_power_of_time_do_not_hold(power):
    """The margin is right in the clock of |w|, but ln L does not fall by gamma a unit of time."""
    sizes = END * (SIZES / END) ** power
    r = run(sizes=sizes)
    assert other_norms.margin(r).verdict == "holds"
    assert gunasekar2018.speed(r).verdict != "holds"  # it is not even straight


def test_a_run_with_few_records_on_the_way_is_undecided():
    r = run()
    few = replace(r, run=r.run.isel(log1p_t=slice(None, None, 5)))
    found = (other_norms.margin(few), other_norms.growth_of_margin(few), other_norms.direction(few))
    assert {quantity.verdict for quantity in found} == {"undecided"}


def test_nan_does_not_hold():
    shortfall = 0.3 + 0 * SIZES
    shortfall[-1] = np.nan
    r = run(shortfall)
    assert other_norms.growth_of_margin(r).verdict == "undecided"
    assert other_norms.margin(r).verdict == "undecided"


ADAM = Adam(0.01, b2=0.99)


def adam_run(exponent, method=ADAM, jitter=1e-7):
    log_loss = -exponent * STEPS - 1.0 + jitter * np.cos(np.arange(len(STEPS)))
    return run(log_loss=log_loss, method=method)


def test_the_exponent_is_that_of_steady_averages():
    """Sums over the past of a gradient e^(-r t), and one step of them."""
    for method in (ADAM, Adam(1e-3, b2=0.9), Adam(0.3, b1=0.5, b2=0.5)):
        r, age = zhang2024.decay(GAMMA, method, method.rate), np.arange(40_000.0)
        assert method.b1 * np.exp(r) < 1
        assert method.b2 * np.exp(2 * r) < 1
        first = ((1 - method.b1) * np.exp(age * (np.log(method.b1) + r))).sum()
        second = ((1 - method.b2) * np.exp(age * (np.log(method.b2) + 2 * r))).sum()
        assert GAMMA * method.rate * first / np.sqrt(second) == pytest.approx(r, rel=1e-9)


@pytest.mark.parametrize("off_by", [1e-7, 1e-5, 1e-3, 0.1, -1e-5])
def test_another_exponent_does_not_hold(off_by):
    right = zhang2024.decay(GAMMA, ADAM, ADAM.rate)
    assert zhang2024.exponent(adam_run(right)).verdict == "holds"
    found = zhang2024.exponent(adam_run(right * (1 + off_by)))
    assert found.missed
    assert found.verdict != "holds"


@pytest.mark.parametrize("phase", np.linspace(0.0, 1.0, 6))
def test_jitter_neither_breaks_nor_widens_the_bar_of_the_exponent(phase):
    """Two averages that agree by luck are no error bar."""
    right = zhang2024.decay(GAMMA, ADAM, ADAM.rate)
    log_loss = -right * STEPS + 1e-6 * np.cos(20 * np.log(STEPS) + 2 * np.pi * phase)
    found = zhang2024.exponent(run(log_loss=log_loss, method=ADAM))
    assert found.verdict == "holds"
    assert found.error < 1e-5 * right


def test_adam_at_another_rate_or_with_other_averages_does_not_hold():
    right = zhang2024.decay(GAMMA, ADAM, ADAM.rate)
    for other in (
        replace(ADAM, rate=0.0101), replace(ADAM, b1=0.8), replace(ADAM, b2=0.95),
    ):  # fmt: skip
        found = zhang2024.exponent(adam_run(right, other))
        assert found.missed
        assert found.verdict != "holds"


def adiabatic_run(method, speed):
    """ln L falls by speed(t) a step t; |w| as the margin asks."""
    t = np.arange(1.0, STEPS[-1] + 1)
    fallen = np.cumsum(speed(t))[STEPS - 1]
    return run(0.1 / (1 + fallen), log_loss=-fallen, method=method, sizes=fallen / GAMMA)


def test_shrinking_steps_of_another_power_or_length_do_not_hold():
    method = Adam(0.5, 0.5, b2=0.9)

    def speed(power, length=0.5):
        at = np.geomspace(1, STEPS[-1], 25)
        known = [zhang2024.decay(GAMMA, method, length * t**-power) for t in at]
        return lambda t: np.exp(np.interp(np.log(t), np.log(at), np.log(known)))

    assert zhang2024.adiabatic(adiabatic_run(method, speed(0.5))).verdict == "holds"
    for wrong in (speed(0.45), speed(1.0), speed(0.5, 0.45)):
        found = zhang2024.adiabatic(adiabatic_run(method, wrong))
        assert found.missed
        assert found.verdict != "holds"


def test_k_class_weights_are_compared_up_to_a_vector_added_to_every_class():
    """The SVM of l_inf is unique up to such a shift only, and descent has one of its own."""
    problem = problems.gaussian_classes(30, 5, 3, 1)
    svm = sc.max_margin(problem, geometry="linf")
    sizes = np.geomspace(1.0, 1e3, len(STEPS))
    shift = np.array([1.0, -2.0, 0.5, 3.0, 1.0])
    w = sizes[:, None, None] * (svm.w + shift) / np.abs(svm.w).max()
    found = xr.Dataset(
        {
            "w": (("log1p_t", "class", "feature"), w),
            "margin": ("log1p_t", svm.margin * sizes),
            "log_loss": ("log1p_t", -sizes),
        },
        {"log1p_t": np.log1p(0.01 * STEPS), "step": ("log1p_t", STEPS)},
    )
    setting = Setting(lambda: problem, SignDescent(0.01), int(STEPS[-1]), "linf")
    r = Run(setting, problem, svm, found)
    assert r.aside.max() <= 1e-6 * sizes[-1]


def test_the_spectral_cases_have_a_margin_that_l2_does_not_reach():
    """Else the claim could not tell spectral descent from descent on ln L."""
    for setting in (fan2025.DESCENT, fan2025.THREE):
        problem = setting.problem()
        best, l2 = sc.max_margin(problem, geometry="spectral"), sc.max_margin(problem)
        assert 1.0 / norm(l2.w, "spectral") < 0.97 * best.margin
    l2_method = replace(fan2025.THREE, optimizer=NormalizedGD(0.2, power=0.5))
    assert CaseVerdict(fan2025.descent(l2_method), "holds").verdict == "contradicted"


def test_a_picture_shows_the_gap_in_the_norm_and_the_angle_if_it_is_one():
    r = run(shortfall=0.3, angle=0.01)
    found = other_norms.measured_case(r, (), other_norms.beside_l2(r, other_norms.margin(r)))
    curves = found.curves
    assert curves is not None
    assert (found.clock, curves.attrs["geometry"]) == ("steps", "linf")
    np.testing.assert_allclose(curves.margin_gap, 0.3 / (GAMMA * SIZES), rtol=1e-12)
    np.testing.assert_allclose(curves.angle, 0.01, rtol=1e-9)
    many = replace(r, svm=replace(SVM, unique=False))
    assert "angle" not in other_norms.curves(many)
