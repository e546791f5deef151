import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import svmconv as sc
from svmconv.models import MLP


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((5, 4))


@pytest.mark.parametrize("widths", [(4, 3, 2, 3), (4, 3)])
def test_last_layer_reproduces_the_logits(widths, x):
    module = MLP(widths, rngs=nnx.Rngs(0))
    with jax.enable_x64(True):
        module.head.bias = nnx.Param(jnp.arange(float(widths[-1])))
    weight, bias = sc.last_layer(module)
    assert isinstance(weight, np.ndarray)
    assert weight.shape == (widths[-1], widths[-2])
    assert bias.shape == (widths[-1],)
    assert weight.dtype == bias.dtype == np.float64
    with jax.enable_x64(True):
        logits, hidden = module(jnp.asarray(x))
        penultimate = np.asarray(hidden["penultimate"])
        np.testing.assert_allclose(penultimate @ weight.T + bias, np.asarray(logits), rtol=1e-13)


def test_head_is_found_after_split_and_merge():
    module = MLP((4, 3, 2, 3), rngs=nnx.Rngs(0))
    merged = nnx.merge(*nnx.split(module))
    np.testing.assert_array_equal(sc.last_layer(merged)[0], sc.last_layer(module)[0])


class Foreign(nnx.Module):
    """Names in the wrong alphabetical order, layers nested in a list."""

    def __init__(self, rngs):
        self.stem = nnx.Linear(4, 4, rngs=rngs)
        self.classifier = nnx.List([nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 4, rngs=rngs)])


def test_other_modules_give_the_linear_layer_defined_last():
    module = Foreign(nnx.Rngs(0))
    weight, _ = sc.last_layer(module)
    np.testing.assert_array_equal(weight, np.asarray(module.classifier[1].kernel[...]).T)


def test_sequential():
    first, last = (nnx.Linear(4, 4, rngs=nnx.Rngs(seed)) for seed in (0, 1))
    weight, _ = sc.last_layer(nnx.Sequential(first, jax.nn.relu, last))
    np.testing.assert_array_equal(weight, np.asarray(last.kernel[...]).T)


def test_a_layer_without_bias_gives_zeros():
    weight, bias = sc.last_layer(nnx.Linear(4, 4, use_bias=False, rngs=nnx.Rngs(0)))
    np.testing.assert_array_equal(bias, np.zeros(4))
    assert bias.dtype == weight.dtype == np.float32


def test_no_linear_layer():
    with pytest.raises(sc.DataError, match=r"BatchNorm has no nnx\.Linear layer"):
        sc.last_layer(nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
