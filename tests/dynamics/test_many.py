"""Many runs at once: each what it is alone, whatever the others do and however many devices."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import svmconv as sc
from svmconv import devices
from svmconv.dynamics import flow, many_descents, many_flows
from svmconv.dynamics.many_descents import descents
from svmconv.dynamics.many_flows import flows
from svmconv.dynamics.recording import stacked
from svmconv.optimizers import (
    GD,
    SGD,
    Adam,
    CoordinateDescent,
    DualAcceleration,
    HeavyBall,
    NormalizedGD,
    SignDescent,
    Spectral,
)
from tests.tolerances import FLOW, LONG_SUM

STOPS = np.array([0, 1, 7, 60, 400])
METHODS = [
    GD(0.3), HeavyBall(0.05), NormalizedGD(0.2, power=0.5), DualAcceleration(0.05),
    SignDescent(0.1), CoordinateDescent(0.1), Adam(0.01, eps=0.1),
]  # fmt: skip


def problems(count=8, n=40, d=3):
    return [sc.data.half_spaces(n, d, 0.3, seed=seed) for seed in range(count)]


def alone(problem, method, steps=400, **options):
    run = sc.descend(problem, method, steps, **options)
    return stacked(run)[-1], float(run.margin[-1]), float(run.log_loss[-1])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_a_descent_is_what_it_is_alone(method):
    rates = [method.rate * (1.0 + k % 3) for k in range(8)]
    methods = [replace(method, rate=rate) for rate in rates]
    runs = descents(problems(), methods, STOPS, bias_scales=[1.0] * 8)
    for k in (0, 5):
        w, margin, log_loss = alone(problems()[k], methods[k])
        assert np.abs(runs.weights[k, -1] - w).max() <= LONG_SUM * np.abs(w).max()
        assert abs(runs.margin[k, -1] - margin) <= LONG_SUM * (1.0 + abs(margin))
        assert abs(runs.log_loss[k, -1] - log_loss) <= LONG_SUM * (1.0 + abs(log_loss))
    assert not runs.weights[:, 0].any()


@pytest.mark.parametrize("replacement", [False, True])
def test_stochastic_descents_draw_the_same_batches(replacement):
    methods = [SGD(0.2, batch=8, replacement=replacement, seed=seed) for seed in range(8)]
    runs = descents(problems(), methods, STOPS, bias_scales=[1.0] * 8)
    w = alone(problems()[3], methods[3])[0]
    assert np.abs(runs.weights[3, -1] - w).max() <= LONG_SUM * np.abs(w).max()


def test_classes_and_biases():
    several = [sc.data.planted(30, 6, 4, classes=3, seed=seed) for seed in range(8)]
    runs = descents(
        several, [Spectral(0.1)] * 8, STOPS, bias="augmented", bias_scales=[1.0, 4.0] * 4
    )
    w = alone(several[1], Spectral(0.1), bias="augmented", bias_scale=4.0)[0]
    assert np.abs(runs.weights[1, -1] - w).max() <= 1e3 * LONG_SUM * np.abs(w).max()


def test_methods_of_one_ensemble_are_alike():
    with pytest.raises(sc.DataError, match="rate and seed only"):
        descents(problems(2), [HeavyBall(0.1), HeavyBall(0.1, 0.5)], STOPS, bias_scales=[1.0] * 2)


def test_a_diverging_run_leaves_the_others_alone():
    sets = problems()
    sane = descents(sets, [HeavyBall(0.1)] * 8, STOPS, bias_scales=[1.0] * 8)
    # Momentum carries the last one beyond the largest number.
    methods = [HeavyBall(rate) for rate in [0.1] * 7 + [1e308]]
    runs = descents(sets, methods, STOPS, bias_scales=[1.0] * 8)
    assert not np.isfinite(runs.log_loss[7, -1])
    np.testing.assert_array_equal(runs.weights[:7], sane.weights[:7])


def test_flows_are_what_they_are_alone():
    sets = [*problems(3, d=2), sc.Problem(4096.0 * problems()[3].x[:, :2], problems()[3].y)]
    svms = [sc.max_margin(problem) for problem in sets]
    times = np.append(0.0, np.geomspace(0.01, 1e4, 12))
    runs = flows(sets, svms, times)
    for k in (0, 3):
        run = sc.gradient_flow(sets[k], log_t=1e4)
        w = stacked(run)[-1]
        assert np.abs(runs.weights[k, -1] - w).max() <= FLOW * np.abs(w).max()
        assert abs(runs.log_loss[k, -1] - float(run.log_loss[-1])) <= FLOW * 1e4
    assert runs.weights.shape == (4, 13, 2)
    np.testing.assert_allclose(runs.log_loss[:, 0], np.log(np.log(2.0)))


def test_a_flow_that_fails_leaves_the_others_alone(monkeypatch):
    sets = problems(3, d=2)
    svms = [sc.max_margin(problem) for problem in sets]
    times = np.append(0.0, np.geomspace(0.01, 100.0, 20))
    sane = flows(sets, svms, times)
    real, calls = many_flows._solve, []

    def failing(*given):
        v, seen, well = real(*given)
        calls.append(1)  # the second block, and once more
        return v, seen, np.asarray(well) & ~((np.arange(len(v)) == 1) & (len(calls) in (2, 3)))

    monkeypatch.setattr(many_flows, "_solve", failing)
    runs = flows(sets, svms, times)
    lost = np.isnan(runs.log_loss).any(axis=1)
    assert lost.sum() == 1
    np.testing.assert_array_equal(runs.weights[~lost], sane.weights[~lost])
    (row,) = np.flatnonzero(lost)
    assert np.isfinite(runs.log_loss[row, :9]).all()
    assert np.isnan(runs.log_loss[row, 9:]).all()


def test_a_velocity_beside_the_threshold_of_rest_does_not_stall(monkeypatch):
    """theta - 1 = .0024: near s = 9000 what is left fades over hundreds, just above rounding."""
    monkeypatch.setattr(flow, "_MAX_STEPS", 1000)  # nine times what the other blocks take
    problem = sc.data.half_spaces(100, 5, 0.3, seed=6415)
    svm = sc.max_margin(problem)
    times = np.append(0.0, np.geomspace(0.01, np.logaddexp(0.0, 1e6), 64))
    runs = flows([problem], [svm], times)
    assert abs(runs.log_loss[0, -1] + 1e6 + 2.0 * np.log(svm.margin)) <= FLOW * 1e6
    monkeypatch.setattr(flow, "PATIENCE", (1.0,))
    assert np.isnan(flows([problem], [svm], times).log_loss[0, -1])


def both_and_one(monkeypatch, run):
    """What two devices make of it, and what one does."""
    both = devices.at_hand()
    assert len(both) == 2
    two = run()
    monkeypatch.setattr(devices, "at_hand", lambda: both[:1])
    jax.clear_caches()
    return zip(two, run(), strict=True)


def test_one_device_or_two_make_no_difference_to_descents(monkeypatch):
    def run():
        return descents(problems(), [GD(0.3)] * 8, STOPS, bias_scales=[1.0] * 8)

    for a, b in both_and_one(monkeypatch, run):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow  # four compilations of an implicit solver
def test_one_device_or_two_make_no_difference_to_flows(monkeypatch):
    sets = problems(8, d=2)
    svms = [sc.max_margin(problem) for problem in sets]
    monkeypatch.setattr(many_flows, "WIDEST", 4)  # two groups

    def run():
        return flows(sets, svms, np.append(0.0, np.geomspace(0.01, 100.0, 9)))

    for a, b in both_and_one(monkeypatch, run):
        np.testing.assert_array_equal(a, b)


def test_every_device_takes_work_and_results_come_in_order():
    def work(item):
        return item, jnp.zeros(()).device

    found = devices.share_out(work, range(6))
    assert [item for item, _ in found] == list(range(6))
    assert {device for _, device in found} == set(devices.at_hand())
    with pytest.raises(ZeroDivisionError):
        devices.share_out(lambda item: 1 // item, [1, 0, 2])


def test_devices_are_chosen_before_jax_starts(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    with pytest.raises(sc.DataError, match="already started"):
        devices.use_cores(5)
    devices.use_cores(2)  # as it is


@pytest.mark.parametrize("runs", [1, 6, 8, 36, 1000, 1024])
@pytest.mark.parametrize("devices_there", [1, 3, 8])
def test_a_group_divides_the_runs(monkeypatch, runs, devices_there):
    monkeypatch.setattr(jax, "device_count", lambda: devices_there)
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        for n, p in ((6, 2), (10**5, 10)):
            assert runs % many_descents.group_of(runs, n, p) == 0
