"""Networks that are linear, that are permuted, and layers that are and are not affine."""

import doctest
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import svmconv as sc
from svmconv.errors import DataError
from svmconv.measures import connectivity
from svmconv.measures.connectivity import (
    affine_replacement_error,
    affine_residual,
    layerwise_connectivity,
)
from svmconv.models import MLP
from svmconv.models.initial import lecun_normal
from tests.tolerances import LONG_SUM, ROUNDING

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5))
LAYERS = ["hidden_1", "penultimate", "logits"]


def network(seed=0, activation="relu", widths=(5, 16, 12, 3), **more):
    more |= {"kernel_init": lecun_normal, "rngs": nnx.Rngs(seed)}  # flax compiles for every shape
    return MLP(widths, activation=activation, **more)


def weights(module):
    """Kernels as arrays (in, out)."""
    return [np.asarray(layer.kernel[...]) for layer in (*module.body, module.head)]


def with_weights(kernels, **more):
    module = network(widths=(kernels[0].shape[0], *(k.shape[1] for k in kernels)), **more)
    with jax.enable_x64(True):
        for layer, kernel in zip((*module.body, module.head), kernels, strict=True):
            layer.kernel[...] = jnp.asarray(kernel)
    return module


def test_examples():
    found = doctest.testmod(connectivity)
    assert found.attempted > 0
    assert found.failed == 0


# Layerwise linear feature connectivity


def by_hand(first, second, x):
    """relu networks without biases: 1 - cos of every layer."""
    one, other = weights(first), weights(second)
    between = [(a + b) / 2 for a, b in zip(one, other, strict=True)]

    def layers(kernels):
        found, h = [], x
        for kernel in kernels[:-1]:
            h = np.maximum(h @ kernel, 0.0)
            found.append(h)
        return [*found, h @ kernels[-1]]

    def cosine(u, v):
        return np.mean(
            np.sum(u * v, axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
        )

    triples = zip(layers(one), layers(other), layers(between), strict=True)
    return [(1 - cosine(m, (a + b) / 2), 1 - cosine(a, b)) for a, b, m in triples]


def test_the_definition():
    first, second = network(0), network(1)
    found = layerwise_connectivity(first, second, X)
    assert found.layer.values.tolist() == LAYERS
    expected = by_hand(first, second, X)
    np.testing.assert_allclose(np.column_stack([found.gap, found.apart]), expected, atol=ROUNDING)
    assert (found.gap > 0.01).all()  # two networks of their own are not connected


def test_a_network_and_itself():
    found = layerwise_connectivity(network(), network(), X)
    for name in ("gap", "apart"):
        np.testing.assert_allclose(found[name], 0.0, atol=ROUNDING)
    np.testing.assert_allclose(found.length, 1.0, rtol=ROUNDING)


def test_linear_in_one_layer():
    """Networks that differ in their last layer only are connected, whatever it is."""
    first = network()
    kernels = weights(first)
    kernels[-1] = RNG.standard_normal(kernels[-1].shape)
    found = layerwise_connectivity(first, with_weights(kernels), X)
    np.testing.assert_allclose(found.gap, 0.0, atol=ROUNDING)
    np.testing.assert_allclose(found.length, 1.0, rtol=LONG_SUM)
    assert found.apart[-1] > 0.1
    assert found.apart[0] < ROUNDING


def test_multiples_of_the_weights_are_connected_in_direction_alone():
    """Layer l of c W is c^l f_l: mean weights give ((1+c)/2)^l, the mean features (1+c^l)/2."""
    c = 3.0
    found = layerwise_connectivity(network(), with_weights([c * k for k in weights(network())]), X)
    np.testing.assert_allclose(found.gap, 0.0, atol=ROUNDING)
    np.testing.assert_allclose(found.apart, 0.0, atol=ROUNDING)
    expected = [((1 + c) / 2) ** layer / ((1 + c**layer) / 2) for layer in (1, 2, 3)]
    np.testing.assert_allclose(found.length, expected, rtol=LONG_SUM)


def test_the_same_function_in_another_order_is_not_connected():
    kernels, order = weights(network()), RNG.permutation(16)
    permuted = [kernels[0][:, order], kernels[1][order], kernels[2]]
    found = layerwise_connectivity(network(), with_weights(permuted), X)
    np.testing.assert_allclose(found.apart[1:], 0.0, atol=ROUNDING)
    assert (found.gap[:-1] > 0.01).all()


def test_dead_rows():
    """One unit, x > 0 and x < 0: the mean weight is zero, the mean feature |x| / 2."""
    plus, minus = ([np.array([[s]]), np.ones((1, 1))] for s in (1.0, -1.0))
    pair = with_weights(plus), with_weights(minus)
    found = layerwise_connectivity(*pair, [[1.0], [-2.0]])
    assert found.gap.values.tolist() == [1.0, 1.0]
    assert found.apart.values.tolist() == [1.0, 1.0]
    assert found.length.values.tolist() == [0.0, 0.0]
    origin = layerwise_connectivity(*pair, [[0.0]])
    assert (origin.gap.values.tolist(), origin.length.values.tolist()) == ([0.0, 0.0], [1.0, 1.0])


# Affine replacement


def test_affine_and_not():
    x = RNG.standard_normal((50, 4))
    affine = x @ RNG.standard_normal((4, 3)) + RNG.standard_normal(3)
    assert affine_residual(x, affine) < 1e-9
    bent = np.maximum(affine, 0.0)
    residual = affine_residual(x, bent)
    assert 0.05 < residual < 1.0
    design = np.column_stack([x, np.ones(50)])
    off = bent - design @ np.linalg.lstsq(design, bent, rcond=None)[0]
    np.testing.assert_allclose(residual, np.sum(off**2) / np.sum((bent - bent.mean(0)) ** 2))
    turned = x @ RNG.standard_normal((4, 4)) + 100.0
    np.testing.assert_allclose(affine_residual(turned, 7 * bent - 3.0), residual, rtol=1e-6)


def test_ridge_in_one_dimension():
    """Slope s/(s + penalty) of the least-squares one: residual (penalty/(s + penalty))^2."""
    x = RNG.standard_normal((30, 1))
    np.testing.assert_allclose(
        affine_residual(x, 2 * x, ridge=0.5), (0.5 / 1.5) ** 2, rtol=LONG_SUM
    )
    assert np.isnan(affine_residual(x, np.ones((30, 2))))


def test_a_unit_that_is_never_on():
    x = np.column_stack([RNG.standard_normal((30, 2)), np.zeros(30)])
    assert affine_residual(x, x[:, :2] @ np.ones((2, 1))) < 1e-9
    assert affine_residual(np.zeros((30, 2)), x[:, :1]) == pytest.approx(1.0)


def test_a_linear_network_loses_nothing():
    problem = sc.data.digits(classes=(0, 1, 2))
    module = network(activation="linear", widths=(64, 12, 9, 3))
    found = affine_replacement_error(module, problem.x, problem.index)
    assert found.layer.values.tolist() == ["hidden_1", "penultimate"]
    np.testing.assert_array_equal(found["drop"], 0.0)
    np.testing.assert_allclose(found.residual, 0.0, atol=1e-9)


def test_xor_needs_its_layer():
    """h = relu(s), relu(-s) of s = x0 + x1; class 1 where h1 + h2 = |s| > 1.05.

    Its affine fit is 1/2 + s/2, 1/2 - s/2, of sum 1 on every row: all in class 0.
    """
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=2)))
    x, y = np.tile(x, (3, 1)), np.tile([1, 0, 0, 1], 3)
    module = with_weights([np.array([[1.0, -1.0], [1.0, -1.0]]), np.array([[-1.0, 1.0]] * 2)])
    with jax.enable_x64(True):
        module.head.bias[...] = jnp.asarray([1.6, -0.5])
    found = affine_replacement_error(module, x, y)
    assert found.attrs["accuracy"] == 1.0
    np.testing.assert_allclose(found["drop"], 0.5)
    # relu(s) = 2, 0, 0, 0 varies by 3/4, what the fit misses, |s|/2 - 1/2, by 1/4
    np.testing.assert_allclose(found.residual, 1 / 3, rtol=1e-6)


def test_layers_after_the_replaced_one_stay():
    module = network(widths=(5, 8, 6, 3), penultimate_activation="tanh")
    y = np.arange(60) % 3
    found = affine_replacement_error(module, X, y, ridge=0.1)
    k = weights(module)
    h1 = np.maximum(X @ k[0], 0.0)
    h2 = np.tanh(h1 @ k[1])

    def fit(a, b):
        off = a - a.mean(0)
        gram = off.T @ off
        penalty = 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram))
        return b.mean(0) + off @ np.linalg.solve(gram + penalty, off.T @ (b - b.mean(0)))

    def right(h):
        return np.mean((h @ k[2]).argmax(axis=1) == y)

    expected = [right(h2) - right(np.tanh(fit(X, h1) @ k[1])), right(h2) - right(fit(h1, h2))]
    np.testing.assert_allclose(found["drop"], expected, atol=ROUNDING)
    assert np.any(found["drop"] != 0.0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: layerwise_connectivity(network(), network(widths=(5, 16, 7, 3)), X), "shape"),
        (lambda: layerwise_connectivity(network(), network(), np.nan * X), "NaN"),
        (lambda: affine_residual(X[:6], X[:6]), "at least 7"),
        (lambda: affine_residual(X, X[:-1]), "must match"),
        (lambda: affine_residual(X, X, ridge=-1.0), "ridge"),
        (lambda: affine_residual(X[:, :0], X), "one unit"),
        (lambda: affine_replacement_error(network(), X, np.full(60, 3)), "from 0 to 2"),
        (lambda: affine_replacement_error(network(), X, ["a"] * 60), "from 0 to 2"),
        (lambda: affine_replacement_error(network(), X, [0, 1]), "one per row"),
        (lambda: affine_replacement_error(network(widths=(5, 3)), X, [0] * 60), "hidden layer"),
    ],
)
def test_one_clear_sentence(call, says):
    with pytest.raises(DataError, match=says):
        call()
