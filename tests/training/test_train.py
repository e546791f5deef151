import inspect
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import svmconv as sc
from svmconv.measures.last_layer import last_layer_gaps
from svmconv.training import features, fit
from svmconv.training.evaluate import evaluate
from svmconv.training.interrupted import Interrupted
from svmconv.training.late import late_phase
from svmconv.training.step import Stepper, _programs
from svmconv.training.train import GROWTH, train
from tests.training.networks import ADAM, Convolutional, Dense, arrays, linear, same

DIGITS = sc.data.digits((3, 8))
TWO_POINTS = sc.Problem([[-1.0], [1.0]], [0, 1])
SGD = optax.sgd(0.5)


def learned(module, epochs=10, **options):
    return train(module, DIGITS, ADAM, epochs=epochs, batch=119, **options)


def test_full_batches_are_fit():
    ours, theirs = Dense(64, 4, 2), Dense(64, 4, 2)
    found = train(ours, DIGITS, SGD, epochs=20)
    expected = fit(theirs, DIGITS, SGD, 20)
    np.testing.assert_allclose(found.log_loss, expected.log_loss[:-1], rtol=1e-12)
    np.testing.assert_allclose(found.objective, np.exp(found.log_loss), rtol=1e-12)
    assert found.final.log_loss == pytest.approx(expected.log_loss[-1], rel=1e-12)
    assert found.final.accuracy == expected.accuracy
    np.testing.assert_allclose(found.final.features, features(theirs, DIGITS).x, rtol=1e-10)


def test_an_epoch_by_hand():
    """Every row once, whatever the order: at rate e, w += e (1 - sigmoid(2 w)) a row."""
    module = linear([[0.0, 0.0]])
    found = train(module, TWO_POINTS, SGD, epochs=2, batch=1)
    w = [0.0]
    for _ in range(4):
        w.append(w[-1] + 0.5 / (1 + np.exp(2 * w[-1])))
    np.testing.assert_allclose(arrays(module)[0], [[-w[-1], w[-1]]], rtol=1e-14)
    losses = np.log1p(np.exp(-2 * np.array(w[:4]))).reshape(2, 2).mean(axis=1)
    np.testing.assert_allclose(found.log_loss, np.log(losses), rtol=1e-14)


def test_what_is_left_of_an_epoch_makes_a_smaller_batch():
    """357 rows in batches of 100: the mean over the epoch is a mean over rows, not batches."""
    module = Dense(64, 2)
    found = train(module, DIGITS, optax.sgd(0.0), epochs=1, batch=100)
    assert found.log_loss[0] == pytest.approx(found.final.log_loss, rel=1e-13)
    assert found.objective[0] == pytest.approx(np.exp(found.final.log_loss), rel=1e-13)


@pytest.mark.parametrize("loss", ["hinge_loss", "mean_pairwise_squared_error"])
def test_other_losses_fall(loss):
    found = train(Dense(64, 4, 2), DIGITS, optax.adam(1e-2), epochs=8, loss=loss)
    assert (np.diff(found.objective) < 0).all()
    assert not np.allclose(found.objective, np.exp(found.log_loss), rtol=1e-3)


def test_seeds_decide_the_order_and_momentum_learns():
    modules = [Dense(64, 4, 2) for _ in range(3)]
    momentum = optax.sgd(0.1, momentum=0.9)
    for module, seed in zip(modules, (0, 0, 1), strict=True):
        found = train(module, DIGITS, momentum, epochs=20, batch=119, seed=seed)
        assert found.final.accuracy > 0.97
    assert same(modules[0], modules[1])
    assert not same(modules[0], modules[2])


@pytest.mark.slow
def test_batch_norm_and_dropout_train_and_evaluate():
    module = Convolutional()
    mean = np.asarray(module.norm.mean[...])
    found = learned(module, 20)
    assert found.final.accuracy > 0.9
    assert not np.array_equal(np.asarray(module.norm.mean[...]), mean)
    assert {str(a.dtype) for a in arrays(module)} == {"float32"}
    again = evaluate(module, DIGITS)  # in evaluation mode nothing is drawn and nothing moves
    np.testing.assert_allclose(again.log_loss, found.final.log_loss, rtol=1e-12)
    assert jnp.zeros(1).dtype == jnp.float32  # the global setting is as it was


def test_evaluation_is_the_same_in_chunks(monkeypatch):
    module = Dense(64, 4, 2)
    whole = evaluate(module, DIGITS)
    monkeypatch.setattr("svmconv.training.evaluate.CHUNK", 100)
    parts = evaluate(module, DIGITS)
    assert parts.log_loss == pytest.approx(whole.log_loss, rel=1e-14)
    assert parts.accuracy == whole.accuracy
    np.testing.assert_allclose(parts.features, whole.features, rtol=1e-13, atol=1e-14)


def test_all_rows_are_evaluated_at_log_spaced_losses():
    found = learned(Dense(64, 4, 2), 30)
    at = found.log_loss[found.evaluated - 1]
    assert found.evaluated[0] == 1
    assert len(found.evaluated) == len(found.accuracy) == len(found.evaluated_log_loss)
    assert ((1 - at[1:]) >= GROWTH * (1 - at[:-1])).all()
    assert found.evaluated_log_loss[-1] < found.evaluated_log_loss[0]


def test_it_stops_at_a_log_loss():
    found = learned(Dense(64, 4, 2), 50, stop_log_loss=-1.0)
    assert found.log_loss[-1] <= -1.0 < found.log_loss[-2]


def test_the_tracker_sees_what_the_last_layer_sees():
    def measure(x, y, weight, bias):
        own = (x @ weight.T + bias)[np.arange(len(y)), DIGITS.index]
        return {"log_loss_": np.log(np.mean(np.logaddexp.reduce(x @ weight.T, axis=1) - own))}

    tracker = sc.Tracker(measure)
    found = learned(Dense(64, 4, 2), tracker=tracker)
    records = tracker.dataset
    assert records.step[-1] == 10 * 3
    assert records.log_loss[-1] == found.final.log_loss
    np.testing.assert_allclose(records.log_loss_, records.log_loss, rtol=1e-9)


def test_augmentation_draws_a_new_key_at_every_step():
    keys = []

    def silent(key, x):
        jax.debug.callback(lambda k: keys.append(tuple(k.tolist())), jax.random.key_data(key))
        return 0.0 * x

    found = learned(Dense(64, 4, 2), 2, augment=silent)
    jax.effects_barrier()
    assert len(set(keys)) == 6
    np.testing.assert_allclose(found.log_loss, np.log(np.log(2)))  # all that is left of the rows


def test_seeds_of_one_architecture_share_a_compiled_step():
    learned(Dense(64, 4, 2), 1)
    hits = _programs.cache_info().hits
    learned(Dense(64, 4, 2, seed=1), 1, seed=1)
    assert _programs.cache_info().hits == hits + 1


UNCHECKED = inspect.unwrap(train)
"""As users call it, who have no type checker at run time."""


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"epochs": 0}, "epochs must be an integer of at least 1"),
        ({"epochs": 1.5}, "epochs must be an integer"),
        ({"batch": 3}, "batch=3, but there are 2 rows"),
        ({"batch": 2.0}, "batch must be an integer"),
        ({"seed": "a"}, "seed must be an integer"),
        ({"tracker": last_layer_gaps}, r"tracker must be a Tracker: sc.Tracker\(measure\)"),
    ],
)
def test_impossible_requests(wrong, sentence):
    with pytest.raises(sc.DataError, match=sentence):
        UNCHECKED(linear([[0.0, 0.0]]), TWO_POINTS, SGD, **({"epochs": 1} | wrong))


def test_an_optimizer_is_one_of_optax():
    with pytest.raises(sc.DataError, match="optimizer must be one of optax"):
        UNCHECKED(linear([[0.0, 0.0]]), TWO_POINTS, 0.1, epochs=1)


class Bare(nnx.Module):
    """Returns what it is told to."""

    def __init__(self, hidden):
        self.p, self.hidden = nnx.Param(jnp.zeros(())), hidden

    def __call__(self, x):
        logits = x * self.p + jnp.zeros((1, 2))
        return logits if self.hidden is None else (logits, {self.hidden: x})


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (Bare(None), r"Bare does not turn rows of 1 features into \(logits, hidden activations\)"),
        (Bare("hidden"), 'no hidden activation named "penultimate"'),
        (Dense(5, 2), "Dense does not turn rows of 1 features"),
    ],
    ids=["logits only", "no penultimate", "other width"],
)
def test_a_module_that_is_no_such_network_is_one_sentence(module, sentence):
    with pytest.raises(sc.DataError, match=sentence) as caught:
        UNCHECKED(module, TWO_POINTS, SGD, epochs=1)
    assert "\n" not in str(caught.value)


def test_divergence_is_an_error_and_leaves_the_module():
    """The first step is wrong, and the loss before it is not."""
    module, tracker = linear([[1.0, 0.0]]), sc.Tracker(last_layer_gaps, at=1)
    with pytest.raises(sc.DivergedError, match="diverged in epoch 1: lower"):
        train(module, TWO_POINTS, optax.sgd(np.nan), epochs=1, tracker=tracker)
    assert not tracker.dataset.sizes["step"]
    np.testing.assert_array_equal(arrays(module)[0], [[1.0, 0.0]])


def test_interrupted(monkeypatch, tmp_path):
    epoch = Stepper.epoch

    def pressed(self, state, number):
        if number == 3:
            raise KeyboardInterrupt
        return epoch(self, state, number)

    module = Dense(64, 4, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "epoch", pressed)
        with pytest.raises(Interrupted, match="name a folder for checkpoints="):
            learned(module, 6)
        assert same(module, Dense(64, 4, 2))
        with pytest.raises(Interrupted, match="the same call continues from"):
            learned(module, 6, checkpoints=tmp_path)
    whole = Dense(64, 4, 2)
    learned(whole, 6)
    learned(module, 6, checkpoints=tmp_path)
    assert same(module, whole)


TWO_DEVICES = """
import jax, optax, svmconv as sc
from tests.training.test_train import both_phases
print(len(jax.devices()), *both_phases())
"""


def both_phases():
    """Log-losses of training and of the late phase, and the size of every array at the end."""
    module = Convolutional("float64")
    found = train(module, DIGITS, ADAM, epochs=3, batch=100)
    late = late_phase(module, DIGITS, steps=5, chunk=100)
    return [*found.log_loss, *late.log_loss, *(float(np.abs(a).sum()) for a in arrays(module))]


@pytest.mark.slow
def test_two_devices_take_the_same_steps():
    """Batches of 100 and what is left, 57 rows, which two devices cannot share equally."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command, root = [sys.executable, "-c", TWO_DEVICES], Path(__file__).parents[2]
    done = subprocess.run(
        command, env=os.environ | flags, cwd=root, capture_output=True, check=True, text=True
    )
    devices, *two = map(float, done.stdout.split())
    assert (devices, len(jax.devices())) == (2, 1)
    np.testing.assert_allclose(two, both_phases(), rtol=1e-8)
