"""Sums over classes: kept to rounding by gradient steps, moved by sign descent, Adam and others."""

from dataclasses import replace

import numpy as np
import optax
import pytest

from svmconv.optimizers import GD, HeavyBall
from svmconv.theory import conservation
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Descent


def run(optimizer, steps=300):
    setting = conservation.setting(optimizer)
    return compare(replace(setting, method=Descent(optimizer, steps)))


def verdicts(c):
    return [found.verdict for found in conservation.sums_over_classes(c)]


@pytest.mark.parametrize("optimizer", [GD(0.1), HeavyBall(0.05), GD(1.0)], ids=str)
def test_descent_keeps_them(optimizer):
    c = run(optimizer)
    assert verdicts(c) == ["holds", "holds"]
    assert float(np.abs(c.run.w.values[0].sum(axis=0)).min()) > 0.1  # there is something to keep
    assert float(np.abs(c.run.w.values[-1] - c.run.w.values[0]).max()) > 0.1  # and W moves


@pytest.mark.parametrize(
    "optimizer",
    [*conservation.MOVE.values(), optax.rmsprop(0.01)],
    ids=[*conservation.MOVE, "rmsprop"],
)
def test_others_do_not(optimizer):
    assert "contradicted" in verdicts(run(optimizer))


def test_the_gradient_by_hand():
    """Thirty steps in numpy: the same weights, and sums that stay."""
    c = run(GD(0.1), 30)
    x = c.problem.rows("augmented")
    w, own = conservation.start(), c.problem.own
    for _ in range(30):
        scores = x @ w.T
        q = np.exp(scores - scores.max(axis=1, keepdims=True))
        w = w - 0.1 * (q / q.sum(axis=1, keepdims=True) - own).T @ x / len(x)
    np.testing.assert_allclose(c.weights[-1], w, rtol=1e-12)


@pytest.mark.parametrize("leak", [1e-9, 1e-11])
def test_a_leak_of_so_much_a_step_is_contradicted(leak):
    c = run(GD(0.1), 3000)
    steps = c.run.step.values.reshape(-1, 1, 1)
    leaking = c.run.assign(w=c.run.w + leak * steps * np.array([1.0, 0, 0])[:, None])
    assert verdicts(replace(c, run=leaking))[0] == "contradicted"


def test_the_bar_is_no_excuse():
    """It grows with the steps, and stays a hundred-millionth of the weights."""
    short, long = run(GD(0.1), 300), run(GD(0.1), 3000)
    assert conservation.rounding(short) < conservation.rounding(long) < 1e-11
