"""Interrupted and continued runs are the same, bit for bit, as those left alone."""

import numpy as np
import optax
import pytest

import svmconv as sc
from svmconv.dynamics import descent, flow
from svmconv.optimizers import GD, HeavyBall, NormalizedGD
from tests.dynamics.references import check_same_run, small, small_three_classes


def interrupt(monkeypatch, module, name, calls):
    """Ctrl-C in call number `calls` of module.name."""
    original, count = getattr(module, name), 0

    def block(*arguments):
        nonlocal count
        count += 1
        if count == calls:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, name, block)


@pytest.mark.parametrize(
    ("problem", "bias"),
    [(small(), "none"), pytest.param(small(d=3), "augmented", marks=pytest.mark.slow)],
    ids=["none", "augmented"],
)
@pytest.mark.parametrize("calls", [1, 4])
def test_interrupted_flow(monkeypatch, problem, bias, calls):
    whole = sc.gradient_flow(problem, 100.0, bias=bias)
    with monkeypatch.context() as patch:
        interrupt(patch, flow, "_solve", calls)
        with pytest.raises(sc.Interrupted, match="pass it as resume= to continue") as caught:
            sc.gradient_flow(problem, 100.0, bias=bias)
    part = caught.value.trajectory
    done = 1 + flow._BLOCK * (calls - 1)
    assert part.sizes["log1p_t"] == done
    np.testing.assert_array_equal(part.w, whole.w[:done])
    check_same_run(sc.gradient_flow(problem, 100.0, bias=bias, resume=part), whole)


@pytest.mark.parametrize(
    "method",
    [GD(0.1), HeavyBall(0.1), NormalizedGD(0.1), optax.adam(0.1)],
    ids=["GD", "HeavyBall", "NormalizedGD", "adam"],
)
def test_interrupted_descent(monkeypatch, method):
    problem = small_three_classes()
    monkeypatch.setattr(descent, "_BLOCK_WORK", 50.0 * problem.x.size)  # 50 steps a block
    whole = sc.descend(problem, method, 1000)
    with monkeypatch.context() as patch:
        interrupt(patch, descent, "_advance", 100)
        with pytest.raises(sc.Interrupted) as caught:
            sc.descend(problem, method, 1000)
    part = caught.value.trajectory
    done = part.sizes["log1p_t"]
    assert 1 < done < whole.sizes["log1p_t"]
    np.testing.assert_array_equal(part.w, whole.w[:done])
    check_same_run(sc.descend(problem, method, 1000, resume=part), whole)


def test_interrupted_twice(monkeypatch):
    problem = small()
    whole, part = sc.gradient_flow(problem, 100.0), None
    for _ in range(2):
        with monkeypatch.context() as patch:
            interrupt(patch, flow, "_solve", 3)
            with pytest.raises(sc.Interrupted) as caught:
                sc.gradient_flow(problem, 100.0, resume=part)
        part = caught.value.trajectory
    assert part is not None
    assert part.sizes["log1p_t"] == 1 + 4 * flow._BLOCK
    check_same_run(sc.gradient_flow(problem, 100.0, resume=part), whole)


def test_interrupted_before_anything_new_keeps_what_there_was(monkeypatch):
    problem = small()
    part = sc.gradient_flow(problem, 1.0)
    with monkeypatch.context() as patch:
        interrupt(patch, flow, "_solve", 1)
        with pytest.raises(sc.Interrupted) as caught:
            sc.gradient_flow(problem, 100.0, resume=part)
    check_same_run(caught.value.trajectory, part)


def test_block_length_does_not_matter(monkeypatch):
    problem = small()
    whole = sc.descend(problem, GD(0.1), 1000)
    monkeypatch.setattr(descent, "_BLOCK_WORK", 7.0 * problem.x.size)
    check_same_run(sc.descend(problem, GD(0.1), 1000), whole)


def test_a_longer_run_continues_a_shorter_one():
    """100 + 900 steps end where 1000 do, though they record at other steps."""
    problem, method = small(), HeavyBall(0.1)
    whole = sc.descend(problem, method, 1000)
    both = sc.descend(problem, method, 1000, resume=sc.descend(problem, method, 100))
    np.testing.assert_array_equal(both.w[-1], whole.w[-1])
    np.testing.assert_array_equal(both.state_opt0, whole.state_opt0)
    assert (np.diff(both.step) > 0).all()


def test_momentum_is_part_of_the_state():
    """Control: starting afresh from the same weights is another run."""
    problem, method = small(), HeavyBall(0.1)
    part = sc.descend(problem, method, 100)
    afresh = sc.descend(problem, method, 100, init=part.w.values[-1])
    continued = sc.descend(problem, method, 200, resume=part)
    assert np.abs(afresh.w.values[-1] - continued.w.values[-1]).max() > 1e-4


def test_a_finished_run_is_returned_as_it_is():
    problem = small()
    run = sc.descend(problem, GD(0.1), 10)
    check_same_run(sc.descend(problem, GD(0.1), 10, resume=run), run)


def test_resuming_another_run_is_refused():
    problem = small()
    run = sc.gradient_flow(problem, 1.0)
    for key, arguments in {
        "problem_id": (small(seed=1), {}),
        "loss": (problem, {"loss": "exponential"}),
        "rtol": (problem, {"rtol": 1e-6}),
        "frame": (problem, {"frame": "plain"}),
        "bias": (problem, {"bias": "augmented"}),
        "bias_scale": (problem, {"bias_scale": 2.0}),
    }.items():
        other, options = arguments
        with pytest.raises(sc.DataError, match=f"resume= holds another run: its {key} is"):
            sc.gradient_flow(other, 2.0, resume=run, **options)


def test_resuming_with_another_method_is_refused():
    problem = small()
    run = sc.descend(problem, HeavyBall(0.1), 10)
    for method, key in (
        (HeavyBall(0.2), "optimizer"),
        (HeavyBall(0.1, 0.5), "optimizer"),
        (GD(0.1), "method"),
        (optax.sgd(0.1), "method"),
    ):
        with pytest.raises(sc.DataError, match=f"resume= holds another run: its {key} is"):
            sc.descend(problem, method, 20, resume=run)
    with pytest.raises(sc.DataError, match="its method is 'HeavyBall'"):
        sc.gradient_flow(problem, 1.0, resume=run)
    custom = sc.descend(problem, optax.sgd(0.1), 10)
    for method in (optax.adam(0.1), optax.sgd(0.1, momentum=0.9)):
        with pytest.raises(sc.DataError, match="recorded with another optimizer"):
            sc.descend(problem, method, 20, resume=custom)
