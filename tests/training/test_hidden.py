"""A tracker of hidden layers gets them in order, of rows spread over the data, as evaluated."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import svmconv as sc
from svmconv.models import CNN
from svmconv.training.evaluate import activations as all_activations
from svmconv.training.late import late_phase
from svmconv.training.train import train

ORDER = ["conv_1", "pooled", "penultimate"]
"""Not that of the alphabet, in which a traced dict keeps its keys."""


@pytest.fixture
def problem():
    x = np.random.default_rng(0).uniform(size=(23, 16))
    return sc.Problem(x, np.arange(23) % 2, "noise")


def network():
    return CNN((4, 4, 1), classes=2, widths=(3,), penultimate=5, norm="batch", rngs=nnx.Rngs(0))


class Seen:
    """A measure that keeps what it was given."""

    def __init__(self):
        self.given = []

    def __call__(self, *given):
        self.given.append(given)
        return {"layers": len(given[0])}


def test_training_hands_over_every_layer(problem):
    seen, module = Seen(), network()
    tracker = sc.Tracker(seen, at=1, hidden=7)
    train(module, problem, optax.sgd(0.1), epochs=2, batch=10, tracker=tracker)
    assert tracker.dataset.layers.values.tolist() == [3, 3]
    activations, labels, weight, bias = seen.given[-1]
    rows = [0, 4, 7, 11, 15, 18, 22]  # k 22 / 6, rounded
    np.testing.assert_array_equal(labels, problem.y[rows])
    assert list(activations) == ORDER
    assert activations["conv_1"].shape == (7, 2, 2, 3)
    module.eval()
    with jax.enable_x64(True):
        logits, hidden = module(jnp.asarray(problem.x[rows], jnp.float32))
    alone = all_activations(module, problem)
    assert list(alone) == ORDER
    for name in ORDER:
        np.testing.assert_allclose(activations[name], hidden[name], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(alone[name][rows], hidden[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(activations["penultimate"] @ weight.T + bias, logits, rtol=1e-5)


def test_so_does_the_late_phase(problem):
    seen = Seen()
    tracker = sc.Tracker(seen, hidden=100)  # more than there are
    late_phase(network(), problem, steps=3, tracker=tracker)
    activations, labels, *_ = seen.given[-1]
    np.testing.assert_array_equal(labels, problem.y)
    assert list(activations) == ORDER
    assert len(activations["pooled"]) == 23


def test_a_killed_run_still_tracks_the_hidden_layers(problem, tmp_path):
    for epochs in (2, 4):
        tracker = sc.Tracker(Seen(), at=1, hidden=5)
        module = network()
        train(module, problem, optax.sgd(0.1), epochs=epochs, tracker=tracker, checkpoints=tmp_path)
    assert tracker.dataset.step.values.tolist() == [1, 2, 3, 4]
    assert tracker.hidden == 5
    assert (tracker.dataset.layers == 3).all()


def test_any_other_loop_may_hand_over_layers_too():
    seen = Seen()
    tracker = sc.Tracker(seen)
    tracker.update(0, -1.0, lambda: {"b": [[1.0]], "a": [[2.0]]}, [0], [[1.0]], None)
    ((activations, *_),) = seen.given
    assert list(activations) == ["b", "a"]
    assert isinstance(activations["a"], np.ndarray)


@pytest.mark.parametrize("hidden", [0, 1, 2.5, "all"])
def test_a_wrong_number_of_rows_is_one_sentence(hidden):
    with pytest.raises(sc.DataError, match="hidden"):
        sc.Tracker(Seen(), hidden=hidden)


def test_layers_without_a_last_one():
    """What reads no last layer is given None, not an array of None."""
    seen = Seen()
    sc.Tracker(seen).record(0, -1.0, {"a": [[1.0], [2.0]]}, [0, 1], None, None)
    assert seen.given[0][2:] == (None, None)


def test_a_tensor_that_cannot_be_read_names_its_layer():
    class Tensor:
        def __array__(self, *_, **__):
            raise RuntimeError("call detach first")

    with pytest.raises(sc.DataError, match=r"layer 'a' cannot be read.*float"):
        sc.Tracker(Seen()).record(0, -1.0, {"a": Tensor()}, [0, 1], None, None)
