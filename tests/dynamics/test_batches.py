"""Stochastic descent beside numpy loops over the same batches, and what its batches are."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import svmconv as sc
from svmconv.dynamics import batches
from svmconv.losses import rows_of
from svmconv.optimizers import GD, SGD, Adam, DualAcceleration
from tests.dynamics.references import check_same_run, gradient, small, small_three_classes
from tests.tolerances import LONG_SUM

TWO, THREE = small(), small_three_classes()


def replayed(method, n, steps):
    """The rows of every batch, from the generator that the method names."""
    key = jax.random.PRNGKey(method.seed)
    per_epoch = n // method.batch
    with jax.enable_x64(True):
        for step in range(steps):
            if method.replacement:
                keyed = jax.random.fold_in(key, step)
                yield np.asarray(jax.random.randint(keyed, (method.batch,), 0, n))
            else:
                epoch, place = divmod(step, per_epoch)
                order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), n))
                yield order[place * method.batch :][: method.batch]


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (THREE, SGD(0.1, batch=6, seed=3)),
        (TWO, SGD(0.1, batch=3, replacement=True, seed=1)),
        pytest.param(TWO, SGD(0.1), marks=pytest.mark.slow),
        pytest.param(THREE, SGD(0.1, batch=7, replacement=True), marks=pytest.mark.slow),
    ],
    ids=["three", "replacement", "single", "three, replacement"],
)
def test_steps_on_the_same_batches(problem, method):
    steps = 100
    run = sc.descend(problem, method, steps)
    w = np.zeros(run.w.shape[1:])
    weights = [w]
    for chosen in replayed(method, problem.n, steps):
        part = Batch(problem, chosen)
        w = w - 0.1 * gradient(part, part.x, w)
        weights.append(w)
    np.testing.assert_allclose(run.w, np.array(weights)[run.step.values], atol=LONG_SUM)
    np.testing.assert_allclose(np.expm1(run.log1p_t), 0.1 * run.step, rtol=LONG_SUM, atol=1e-15)


class Batch:
    """Some rows of a problem, some of them several times, as `gradient` reads them."""

    def __init__(self, problem, chosen):
        self.x, self.n, self.binary = problem.x[chosen], len(chosen), problem.binary
        self.signs = problem.signs[chosen] if problem.binary else None
        self.own = None if problem.binary else problem.own[chosen]


def drawn(method, problem, count):
    """The numbers of the rows in `count` batches, as `draw` hands them out."""
    with jax.enable_x64(True):
        rows = rows_of(problem)
        sampler = batches.sampler(method, problem.n)
        draw = jax.jit(batches.draw, static_argnums=2)
        found = []
        for _ in range(count):
            batch, sampler = draw(sampler, rows, method)
            same = np.asarray(batch.x)[:, None] == np.asarray(rows.x)
            found.append(same.all(axis=2).argmax(axis=1))
    return np.array(found)


def test_every_epoch_uses_every_row_once_in_an_order_of_its_own():
    order = drawn(SGD(0.1, batch=8), TWO, 15).reshape(3, 40)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(40), (3, 1)))
    assert len({tuple(epoch) for epoch in order}) == 3


@pytest.mark.slow
def test_with_replacement_rows_are_drawn_evenly():
    counts = np.bincount(drawn(SGD(0.1, batch=40, replacement=True), TWO, 100).ravel())
    # 100 each expected, standard deviation 10; an epoch of each would give exactly 100
    assert counts.min() > 50
    assert counts.max() < 150
    assert counts.std() == pytest.approx(10, abs=4)


@pytest.mark.slow
def test_a_batch_of_all_rows_is_gradient_descent():
    run, whole = (sc.descend(TWO, method, 50) for method in (SGD(0.1, batch=40), GD(0.1)))
    np.testing.assert_allclose(run.w, whole.w, atol=LONG_SUM)


@pytest.mark.parametrize("replacement", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_seeds(replacement):
    method = SGD(0.1, batch=5, replacement=replacement)
    one, again = (sc.descend(TWO, method, 50) for _ in range(2))
    check_same_run(one, again)
    other = sc.descend(TWO, replace(method, seed=1), 50)
    assert np.abs(other.w.values[-1] - one.w.values[-1]).max() > 1e-3


@pytest.mark.parametrize(
    "method",
    [
        SGD(0.1, batch=5, seed=2),
        SGD(0.1, batch=5, replacement=True, seed=2),
        DualAcceleration(0.05),
        pytest.param(Adam(0.1, 0.5), marks=pytest.mark.slow),
    ],
    ids=["epochs", "replacement", "DualAcceleration", "Adam"],
)
def test_a_run_resumed_in_the_middle_of_an_epoch_is_the_same(method):
    whole, part = (sc.descend(TWO, method, steps) for steps in (100, 11))
    assert 11 % (TWO.n // 5)
    both = sc.descend(TWO, method, 100, resume=part)
    for name in (name for name in whole.variables if str(name).startswith("state_")):
        assert whole[name].values.tobytes() == both[name].values.tobytes(), name
    for label in ("w", "margin", "log_loss"):
        assert whole[label].values[-1].tobytes() == both[label].values[-1].tobytes()


def test_resuming_with_another_seed_is_refused():
    part = sc.descend(TWO, SGD(0.1, batch=5), 50)
    with pytest.raises(sc.DataError, match="resume= holds another run: its optimizer is"):
        sc.descend(TWO, SGD(0.1, batch=5, seed=1), 60, resume=part)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 41}, "batch=41, but there are 40 rows: give at most as many"),
        ({"batch": 41, "replacement": True}, "batch=41, but there are 40 rows"),
        ({"batch": 7}, "batch=7 does not divide the 40 rows: without replacement give a divisor"),
    ],
    ids=str,
)
def test_batches_that_do_not_fit(arguments, message):
    with pytest.raises(sc.DataError, match=message) as caught:
        sc.descend(TWO, SGD(0.1, **arguments), 10)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
