"""Maxima and the inception block beside plain loops over pixels."""

import jax
import numpy as np
import pytest
from flax import nnx

from svmconv.models.googlenet import Inception
from svmconv.models.layers import Layers, MaxPool, scaled
from tests.tolerances import ROUNDING


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def windows(x, size, stride):
    """Of each place of the result: (row, column, rows, columns) of the pixels that it sees."""
    height, width = x.shape[1:3]

    def seen(length, place):
        beyond = max((-(-length // stride) - 1) * stride + size - length, 0)
        first = place * stride - beyond // 2
        return slice(max(first, 0), min(first + size, length))

    for i in range(-(-height // stride)):
        for j in range(-(-width // stride)):
            yield i, j, seen(height, i), seen(width, j)


@pytest.mark.parametrize("sides", [(1, 1), (4, 6), (5, 7)])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_maxima_and_their_gradient_by_loops(sides, size, stride):
    pool, x = MaxPool(size, stride), random(2, *sides, 3)
    halved = [-(-side // stride) for side in sides]
    slope = random(2, *halved, 3)

    @jax.jit
    def found_and_gradient(x, slope):
        found, back = jax.vjp(pool, x)
        return found, back(slope)[0]

    with jax.enable_x64(True):
        found, back = map(np.asarray, found_and_gradient(x, slope))
    expected, gradient = np.full(slope.shape, np.nan), np.zeros(x.shape)
    for i, j, rows, columns in windows(x, size, stride):
        cut = x[:, rows, columns]
        expected[:, i, j] = cut.max(axis=(1, 2))
        largest = cut == expected[:, i, j][:, None, None]
        gradient[:, rows, columns] += largest * slope[:, i, j][:, None, None]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(back, gradient, atol=ROUNDING)


def convolution(layer, x):
    """Zeros around the image, then a sum over the squares of pixels; relu."""
    kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
    reach = len(kernel) // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    result = np.zeros((*x.shape[:3], kernel.shape[-1])) + bias
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            cut = padded[:, i : i + len(kernel), j : j + len(kernel)]
            result[:, i, j] += np.einsum("nabc,abck->nk", cut, kernel)
    return np.maximum(result, 0)


def test_an_inception_block_by_loops():
    with jax.enable_x64(True):
        make = Layers("relu", "none", np.dtype("float64"), nnx.Rngs(0))
        block = Inception(make, 3, 2, 3, 4, 2, 3, 1)
        for layer in (branch.layers[0] for branch in (block.one, block.three, block.five)):
            assert isinstance(layer, nnx.Conv)
            layer.bias[...] += 0.1
        x = random(2, 6, 5, 3)
        graph, state = nnx.split(block)
        found = np.asarray(jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, x))
    maxima = np.zeros_like(x)
    for i, j, rows, columns in windows(x, 3, 1):
        maxima[:, i, j] = x[:, rows, columns].max(axis=(1, 2))
    one, three, five = block.one.layers, block.three.layers, block.five.layers
    expected = [
        convolution(one[0], x),
        convolution(three[3], convolution(three[0], x)),
        convolution(five[3], convolution(five[0], x)),
        convolution(block.pooled.layers[1], maxima),
    ]
    assert [branch.shape[-1] for branch in expected] == [2, 4, 3, 1]
    sides = [layer.kernel_size[0] for layer in (three[3], five[3]) if isinstance(layer, nnx.Conv)]
    assert sides == [3, 5]
    expected = np.concatenate(expected, axis=-1)
    np.testing.assert_allclose(found, expected, atol=ROUNDING * abs(expected).max())


def test_two_pools_of_one_size_are_one():
    """So that networks of one architecture share what was compiled."""
    assert MaxPool(3, 1) == MaxPool(3, 1) != MaxPool(3, 2)
    assert hash(MaxPool(3, 1)) == hash(MaxPool(3, 1))


def test_scaled_widths():
    assert scaled((64, 3, 1), 0.25) == [16, 1, 1]
    assert scaled((64,), 2.0) == [128]
