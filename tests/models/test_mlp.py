import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import ndtr

from svmconv.errors import DataError
from svmconv.models import MLP
from svmconv.models.activations import ACTIVATIONS


def outputs(module, x):
    with jax.enable_x64(True):
        logits, hidden = module(jnp.asarray(x))
        return np.asarray(logits), {name: np.asarray(h) for name, h in hidden.items()}


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((5, 4))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_leaf_and_activation_has_the_dtype(dtype, x):
    module = MLP((4, 3, 2, 3), dtype=dtype, rngs=nnx.Rngs(0))
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    assert len(leaves) == 6
    assert {str(leaf.dtype) for leaf in leaves} == {dtype}
    logits, hidden = outputs(module, x)
    assert logits.dtype == dtype
    assert {h.dtype for h in hidden.values()} == {np.dtype(dtype)}


def test_construction_changes_no_global_setting():
    MLP((2, 2), rngs=nnx.Rngs(0))
    assert jnp.zeros(1).dtype == jnp.float32


def test_hidden_activations_are_named_in_order(x):
    logits, hidden = outputs(MLP((4, 3, 2, 3, 2), rngs=nnx.Rngs(0)), x)
    assert logits.shape == (5, 2)
    assert {name: h.shape for name, h in hidden.items()} == {
        "hidden_1": (5, 3),
        "hidden_2": (5, 2),
        "penultimate": (5, 3),
    }
    assert list(hidden)[-1] == "penultimate"


def test_without_hidden_layers_the_features_are_the_input(x):
    _, hidden = outputs(MLP((4, 3), rngs=nnx.Rngs(0)), x)
    np.testing.assert_array_equal(hidden["penultimate"], x)


BY_HAND = {
    "gelu": lambda t: t * ndtr(t),
    "leaky_relu": lambda t: np.where(t > 0, t, 0.01 * t),
    "linear": lambda t: t,
    "relu": lambda t: np.maximum(t, 0),
    "selu": lambda t: (
        1.0507009873554805 * np.where(t > 0, t, 1.6732632423543772 * np.expm1(np.minimum(t, 0)))
    ),
    "sigmoid": lambda t: 1 / (1 + np.exp(-t)),
    "softsign": lambda t: t / (1 + abs(t)),
    "square": lambda t: t * t,
    "tanh": np.tanh,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_pass_by_hand(activation, x):
    module = MLP((4, 3, 2, 3), activation=activation, rngs=nnx.Rngs(1))
    with jax.enable_x64(True):
        module.head.bias = nnx.Param(jnp.arange(3.0))
    h = x
    for layer in module.body:
        h = BY_HAND[activation](h @ np.asarray(layer.kernel[...]))  # biases start at zero
    expected = h @ np.asarray(module.head.kernel[...]) + np.arange(3.0)
    logits, hidden = outputs(module, x)
    np.testing.assert_allclose(hidden["penultimate"], h, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(logits, expected, rtol=1e-13, atol=1e-14)


def test_penultimate_activation_follows_the_last_hidden_layer_alone(x):
    """Linear there: relu of it is what the network with relu everywhere has."""
    widths = (4, 3, 2, 3)
    plain = MLP(widths, activation="relu", rngs=nnx.Rngs(1))
    linear = MLP(widths, activation="relu", penultimate_activation="linear", rngs=nnx.Rngs(1))
    expected, found = outputs(plain, x)[1], outputs(linear, x)[1]
    np.testing.assert_array_equal(found["hidden_1"], expected["hidden_1"])
    assert (found["penultimate"] < 0).any()
    np.testing.assert_array_equal(np.maximum(found["penultimate"], 0), expected["penultimate"])


def test_seed_decides_the_weights():
    def kernel(seed):
        return np.asarray(MLP((4, 3), rngs=nnx.Rngs(seed)).head.kernel[...])

    np.testing.assert_array_equal(kernel(0), kernel(0))
    assert (kernel(0) != kernel(1)).all()


@pytest.mark.parametrize("widths", [(), (4,), (4, 0, 2), (4, -1)])
def test_impossible_widths(widths):
    with pytest.raises(DataError, match="widths must be two or more positive"):
        MLP(widths, rngs=nnx.Rngs(0))


def test_unknown_activation():
    with pytest.raises(DataError, match=r"unknown activation 'gelo'.*leaky_relu"):
        MLP((4, 2), activation="gelo", rngs=nnx.Rngs(0))
    with pytest.raises(DataError, match="unknown penultimate_activation 'gelo'"):
        MLP((4, 2), penultimate_activation="gelo", rngs=nnx.Rngs(0))
