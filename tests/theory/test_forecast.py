"""The forecast at finite times: closed forms, the flow itself, and what it has to refuse."""

from dataclasses import replace

import numpy as np
import pytest

import svmconv as sc
from svmconv.theory import forecast, problems
from svmconv.theory.forecast import log_tau
from tests.measures.runs import trajectory
from tests.theory import runs


def at(problem, *times, **attrs):
    """A trajectory of zero weights that says only when."""
    w = np.zeros((len(times), problem.d))
    run = trajectory(problem, w, rate=1.0, **attrs)
    return run.assign_coords(log1p_t=np.logaddexp(0.0, times))


@pytest.mark.parametrize(
    ("log_t", "angle", "gap"),
    [
        (np.log(1e6), 0.0041842092, 0.0027545907),
        (50.0, 0.00101440028, 0.00066700817),
        (200.0, 0.00024499879, 0.00016104926),
    ],
)
def test_the_table_of_the_theory_page(log_t, angle, gap):
    """F1 of the seven rows, mean loss, ln N included; through the same gaps as any run."""
    problem = problems.theory_example()
    svm = sc.max_margin(problem)
    k = sc.theory.constants(problem, svm)
    found = sc.gaps(forecast(at(problem, log_t), k), svm)
    assert float(found.angle[0]) == pytest.approx(angle, abs=6e-11)  # the digits printed there
    # the page prints gamma - margin / |w|, not divided by gamma
    assert k.gamma * float(found.margin_gap[0]) == pytest.approx(gap, abs=6e-11)
    without_n = replace(k, n=1, w_tilde=k.w_tilde + np.log(k.n) * k.u / k.gamma)
    summed = sc.gaps(forecast(at(problem, log_t), without_n), svm)
    assert abs(k.gamma * float(summed.margin_gap[0]) - gap) > 1e-6  # control


@pytest.mark.parametrize("log_t", [5.0, 40.0, 1e4])
def test_f1_in_closed_form(log_t):
    """angle = atan2(|v_bar|, par), gap = (H - H_inf + gamma (|w_F| - par)) / (gamma |w_F|)."""
    problem = sc.data.planted(n=40, d=4, n_support=4, spanning=True)
    svm = sc.max_margin(problem)
    k = sc.theory.constants(problem, svm)
    found = sc.gaps(forecast(at(problem, log_t), k), svm)
    across = np.linalg.norm(k.v_bar)
    par = (log_t + np.log(k.gamma**2 / k.n) + k.entropy) / k.gamma
    length = np.hypot(par, across)
    gap = (k.entropy - k.min_entropy + k.gamma * (length - par)) / (k.gamma * length)
    assert float(found.norm[0]) == pytest.approx(length, rel=1e-12)
    assert float(found.angle[0]) == pytest.approx(np.arctan2(across, par), rel=1e-10)
    assert float(found.margin_gap[0]) == pytest.approx(gap, rel=1e-9)
    assert float(found.log_loss[0]) == pytest.approx(-log_t - 2 * np.log(k.gamma), rel=1e-14)


def test_the_flow_comes_to_its_forecast_like_a_power_of_time():
    """kappa = lambda_min = .3: |r| falls by e^-3 per ten units of ln t, the next mode by e^-4.5."""
    c = runs.flow(0, 200.0, 3.0, 0.3)
    falling = (c.clock > 35.0) & (c.clock < 65.0)
    residual = np.interp([40.0, 50.0, 60.0], c.clock[falling], np.log(c.residual_norm[falling]))
    np.testing.assert_allclose(np.diff(residual), -3.0, rtol=0.01)  # the next mode: e^-(.15 x 40)
    # rounding of w = 200 and the integrator's 1e-10 a step are left
    assert c.residual_norm[c.clock > 150.0].max() < 1e-9


def test_the_flow_and_its_forecast_have_the_same_gaps():
    c = runs.flow(1)
    late = c.clock > 60.0
    for name in ("angle", "margin_gap", "log_loss", "norm"):
        np.testing.assert_allclose(
            c.gaps[name][late], c.forecast_gaps[name][late], rtol=1e-9, err_msg=name
        )
        early = c.clock < 3.0  # control: long before, they differ
        assert np.abs(c.gaps[name] - c.forecast_gaps[name])[early].max() > 0.01


def test_the_start_has_no_forecast_and_no_warning():
    """ln tau = -inf at t = 0; warnings are errors in these tests. u = (1, 0, 0) here."""
    problem = problems.theory_example()
    svm = sc.max_margin(problem)
    run = at(problem, -np.inf, 50.0)
    found = forecast(run, sc.theory.constants(problem, svm))
    assert np.isfinite(found.w[1]).all()
    assert not np.isfinite(found.w[0]).all()
    gaps = sc.gaps(found, svm)
    assert np.isfinite(gaps.angle[1])


def test_the_start_of_three_classes_gives_no_warning_either():
    problem = sc.Problem(np.eye(3), [0, 1, 2])
    svm = sc.max_margin(problem)
    run = sc.descend(problem, sc.optimizers.GD(1.0), 20)  # compiles sooner than a flow
    gaps = sc.gaps(forecast(run, sc.theory.constants(problem, svm)), svm)
    assert np.isnan(gaps.angle[0])
    assert np.isfinite(gaps.angle[1:]).all()


def test_log_tau_is_exact_early_and_late():
    problem = problems.theory_example()
    times = np.array([-30.0, -1.0, 0.0, 40.0, 1e6])
    np.testing.assert_allclose(log_tau(at(problem, *times)), times, rtol=1e-10, atol=1e-10)


def test_what_theory_leaves_open_is_read_off_the_run():
    """Support vectors that do not span: w_out comes from 3/4 of the run, nothing else does."""
    problem = sc.data.planted(n=30, d=4, n_support=3)
    svm = sc.max_margin(problem)
    k = sc.theory.constants(problem, svm)
    assert k.w_out is None
    outside = np.linalg.svd(k.span.T)[2][-1]
    run = at(problem, 10.0, 20.0)
    run["w"][0] = 1e3 * k.u + 0.7 * outside
    found = forecast(run, k)
    np.testing.assert_allclose(found.w.values @ outside, 0.7, atol=1e-10)
    bare = forecast(at(problem, 10.0, 20.0), k)
    np.testing.assert_allclose(k.inside(found.w.values), k.inside(bare.w.values), atol=1e-10)


def test_augmented_forecasts_are_split_into_w_and_b():
    problem, c = runs.shifted(0), 4.0
    svm = sc.max_margin(problem, bias="augmented", bias_scale=c)
    k = sc.theory.constants(problem, svm)
    run = at(problem, 1e8, bias="augmented", bias_scale=c)
    found = sc.gaps(forecast(run, k), svm)
    assert float(found.angle[0]) < 1e-7
    assert abs(float(found.bias_gap[0])) < 1e-7


@pytest.mark.parametrize("rate", [2.0, "custom"])
def test_constants_of_another_rate_are_refused(rate):
    problem = problems.theory_example()
    k = sc.theory.constants(problem, sc.max_margin(problem))
    run = at(problem, 10.0).assign_attrs(rate=rate)
    with pytest.raises(sc.DataError, match=r"rate .*effective_rate"):
        forecast(run, k)
    assert float(forecast(run, k, clock=np.array([10.0])).log_loss[0]) == pytest.approx(
        -10 - 2 * np.log(k.gamma)
    )
