"""When records are due, what they hold, and that a killed run goes on with the same ones."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import svmconv as sc
from svmconv.training.tracker import Tracker

X = np.array([[1.0, 0.0], [-1.0, 0.5]], dtype=np.float32)
Y = np.array([1, 0])
W, B = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.zeros(2)
NOTHING = (X, Y, W, B)


def norm(features, labels, weight, bias):
    return {"norm": np.linalg.norm(weight)}


def steps(tracker):
    return tracker.dataset.step.values.tolist()


def test_log_spacing_in_steps():
    """1 + step grows by an eighth: 1 to 9, then 11, 13, 15, 17, 20, 23."""
    tracker = Tracker(norm)
    due = [tracker.update(step, -1.0, *NOTHING) for step in range(25)]
    assert np.flatnonzero(due).tolist() == [*range(9), 10, 12, 14, 16, 19, 22]
    assert steps(tracker) == np.flatnonzero(due).tolist()


@pytest.mark.parametrize(
    ("last", "log_loss"),
    [
        (10**6, lambda step: -1e-3 * step),  # normalised descent: to a log-loss of -1000
        (10**6, lambda step: -np.log1p(step)),  # plain descent
        (10**6, lambda step: -1000 * (step / 1e6) ** 4),
        (400_400, lambda step: -6307 * step / 400_400),
    ],
)
def test_a_long_run_leaves_about_a_hundred_records(last, log_loss):
    tracker, step, count = Tracker(norm), 0, 0
    while step <= last:
        count += tracker.update(step, log_loss(step), *NOTHING)
        step += max(1, step // 200)  # calling at every step finds a few more
    assert 90 <= count <= 150


def test_log_spacing_in_the_loss():
    """Steps 1000 to 1099 are less than an eighth; 1 - log_loss grows by more than one at times."""
    tracker = Tracker(norm)
    for i in range(100):
        tracker.update(1000 + i, -9.0 - 0.25 * i, *NOTHING)
    depth = 1.0 - tracker.dataset.log_loss.values
    ratios = depth[1:] / depth[:-1]
    assert len(depth) > 10
    assert ratios.min() >= 1.125
    assert ratios.max() < 1.16


def test_noise_of_minibatches_does_not_fill_the_records():
    """Only a loss below all recorded ones counts."""
    tracker, rng = Tracker(norm), np.random.default_rng(0)
    for step in range(10_000, 10_900):
        tracker.update(step, -5.0 + rng.standard_normal(), *NOTHING)
    assert len(steps(tracker)) <= 5
    assert Tracker(norm).due(0, 3.0)  # a loss above 1 is an ordinary one


@pytest.mark.parametrize(
    ("at", "calls", "expected"),
    [
        (10, range(35), [0, 10, 20, 30]),
        (np.int64(10), range(7, 60, 7), [7, 14, 21, 35, 42, 56]),  # 28: in the tens of 21
        ([0, 3, 20], range(30), [0, 3, 20]),
        (np.array([5, 6, 20]), range(0, 40, 8), [8, 24]),
        ((), range(5), []),
    ],
)
def test_steps_as_asked(at, calls, expected):
    tracker = Tracker(norm, at)
    for step in calls:
        tracker.update(step, 0.0, *NOTHING)
    assert steps(tracker) == expected


@pytest.mark.parametrize("at", ["linear", 0, -3, 2.5, None, ["a"]])
def test_anything_else_is_refused(at):
    with pytest.raises(sc.DataError, match='at must be "log"'):
        Tracker(norm, at)


def test_features_are_computed_only_where_a_record_is_due():
    calls = []

    def features():
        calls.append(1)
        return X

    tracker = Tracker(norm, at=5)
    for step in range(11):
        tracker.update(step, 0.0, features, Y, W, B)
    assert len(calls) == 3


def test_the_measure_gets_numpy_arrays_in_their_own_dtype():
    seen = []

    def look(features, labels, weight, bias):
        seen.append((features.dtype, labels.dtype, weight.dtype, bias, type(features)))
        return {}

    tracker = Tracker(look)
    tracker.update(0, jnp.float32(-1.5), jnp.asarray(X), Y, jnp.asarray(W, jnp.float32), None)
    assert seen == [(np.float32, Y.dtype, np.float32, None, np.ndarray)]
    assert float(tracker.dataset.log_loss[0]) == -1.5


def test_scalars_arrays_and_datasets_become_variables():
    def look(features, labels, weight, bias):
        return {"shift": features.sum(), "flag": True, "bias": bias, "weight": weight}

    tracker = Tracker(look)
    for step in (0, 7):
        tracker.update(step, -float(step), X, Y, W * step, B)
    found = tracker.dataset
    assert dict(found.sizes) == {"step": 2, "bias_0": 2, "weight_0": 2, "weight_1": 2}
    assert found.flag.dtype == bool
    np.testing.assert_array_equal(found.weight, [0 * W, 7 * W])
    np.testing.assert_array_equal(found.log_loss, [0.0, -7.0])

    tracker = Tracker(lambda *_: xr.Dataset({"angle": ("against", [1.0, 2.0])}, attrs={"a": 1}))
    tracker.record(3, 0.0, *NOTHING)
    tracker.record(4, 0.0, *NOTHING)
    assert tracker.dataset.angle.dims == ("step", "against")
    assert tracker.dataset.attrs == {}


def test_without_records_the_dataset_is_empty():
    found = Tracker(norm).dataset
    assert found.sizes["step"] == found.log_loss.size == 0
    assert Tracker(norm, records=found).due(0, 0.0)


def test_the_last_step_can_be_recorded_though_not_due_but_none_twice():
    tracker = Tracker(norm, at=100)
    tracker.update(0, 0.0, *NOTHING)
    tracker.record(42, -1.0, *NOTHING)
    assert steps(tracker) == [0, 42]
    assert not tracker.update(42, -1.0, *NOTHING)
    with pytest.raises(sc.DataError, match="step 42 was recorded before"):
        tracker.record(42, -1.0, *NOTHING)


def test_what_does_not_fit_ends_in_a_sentence():
    shapes = iter(([1.0], [1.0, 2.0]))
    tracker = Tracker(lambda *_: {"found": next(shapes)})
    tracker.record(0, 0.0, *NOTHING)
    with pytest.raises(sc.DataError, match="differ in the shape of found"):
        tracker.record(1, 0.0, *NOTHING)
    assert steps(tracker) == [0]
    with pytest.raises(sc.DataError, match="measure returns log_loss"):
        Tracker(lambda *_: {"log_loss": 1.0}).record(0, 0.0, *NOTHING)
    with pytest.raises(sc.DataError, match="no step and log_loss"):
        Tracker(norm, records=xr.Dataset({"x": 1}))


def loop(tracker, first, last):
    """Somebody's own optax loop: logistic regression; its whole state is `w` and the step."""
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    x = (rng.standard_normal((20, 2)) + 4.0 * np.eye(2)[y]).astype(np.float32)
    w, optimizer = jnp.zeros((2, 2)), optax.sgd(0.1)
    state = optimizer.init(w)

    def loss(w):
        return optax.softmax_cross_entropy_with_integer_labels(x @ w.T, y).mean()

    slope = jax.jit(jax.value_and_grad(loss))
    for step in range(last):
        value, gradient = slope(w)
        if step >= first:
            tracker.update(step, jnp.log(value), lambda: x, y, w, None)
        updates, state = optimizer.update(gradient, state)
        w = optax.apply_updates(w, updates)
    return tracker.dataset


def two_kinds(features, labels, weight, bias):
    size = np.linalg.norm(weight)
    both = {"size": ("against", [size, 2 * size]), "separable": bool(size > 0)}
    return xr.Dataset(both, {"against": ["augmented", "free"]}, {"problem_id": str(size)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "at", "checkpoint"),
    [(two_kinds, "log", 8), (two_kinds, "log", 15), (sc.measures.last_layer_gaps, 10, 12)],
)
def test_a_killed_run_goes_on_with_the_same_records(tmp_path, measure, at, checkpoint):
    """Killed after step 14; gone on from there, or from an older checkpoint."""
    whole = loop(Tracker(measure, at), 0, 30)
    sc.results.save(loop(Tracker(measure, at), 0, 15), tmp_path / "run.nc")
    again = Tracker(measure, at, records=sc.results.load(tmp_path / "run.nc"))
    resumed = loop(again, checkpoint, 30)
    xr.testing.assert_identical(resumed, whole)
    assert whole.separable.dtype == resumed.separable.dtype == bool
    sc.results.save(resumed, tmp_path / "resumed.nc")
    sc.results.save(whole, tmp_path / "whole.nc")
    assert (tmp_path / "resumed.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_the_public_name():
    assert sc.Tracker is Tracker


def test_a_wrong_measure_or_number_is_one_sentence():
    with pytest.raises(sc.DataError, match="measure returned a float"):
        sc.Tracker(lambda *layer: 0.5).update(0, -1.0, *LAYER)
    with pytest.raises(sc.DataError, match="log_loss must be a number, got None"):
        sc.Tracker(lambda *layer: {}).update(0, None, *LAYER)


LAYER = [[1.0]], [0], [[1.0]], None
