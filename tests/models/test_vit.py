"""The vision transformer beside numpy, and what its symmetries say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import ndtr

from svmconv.models import ViT
from svmconv.models.layers import Layers
from svmconv.models.vit import Attention, Embedding, EncoderBlock, patches
from tests.models.test_image_networks import outputs
from tests.tolerances import LONG_SUM

DIM, HEADS, MLP = 6, 2, 5


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).standard_normal((2, 3, 4, DIM))


@pytest.fixture(scope="module")
def block():
    make = Layers("gelu", "none", np.dtype("float64"), nnx.Rngs(0))
    module = EncoderBlock(make, "layer", DIM, HEADS, MLP)
    numbers = np.random.default_rng(1)
    with jax.enable_x64(True):  # scales, shifts and biases start at ones and zeros
        state = jax.tree.map(
            lambda leaf: leaf + 0.3 * numbers.standard_normal(leaf.shape), nnx.state(module)
        )
    nnx.update(module, state)
    return module


@partial(jax.jit, static_argnums=0)
def apply(graph, state, x):
    return nnx.merge(graph, state)(x)


def called(module, x):
    graph, state = nnx.split(module)
    with jax.enable_x64(True):
        return np.asarray(apply(graph, state, x))


def dense(layer, x):
    return x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])


def normalised(layer, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    return centred / deviation * np.asarray(layer.scale[...]) + np.asarray(layer.bias[...])


def attention(layer, x):
    """Image by image, head by head, token by token."""
    size = DIM // HEADS
    result = np.zeros((len(x), 12, DIM))
    for image, rows in enumerate(x.reshape(len(x), -1, DIM)):
        query, key, value = np.split(dense(layer.query_key_value, rows), 3, axis=1)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            for token, q in enumerate(query[:, part]):
                weights = np.exp(key[:, part] @ q / np.sqrt(size))
                result[image, token, part] = weights @ value[:, part] / weights.sum()
    return dense(layer.out, result).reshape(x.shape)


def test_patches_are_squares_of_pixels():
    x = np.arange(2.0 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    found = np.asarray(patches(jnp.asarray(x), 2))
    assert found.shape == (2, 2, 3, 12)
    for i in range(2):
        for j in range(3):
            square = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            np.testing.assert_array_equal(found[:, i, j], square.reshape(2, -1))


def test_attention_by_loops(block, tokens):
    layer = block.attention.layers[1]
    assert isinstance(layer, Attention)
    expected = attention(layer, tokens)
    np.testing.assert_allclose(called(layer, tokens), expected, rtol=LONG_SUM, atol=LONG_SUM)


def test_a_block_by_loops(block, tokens):
    """Norms before the attention and before the MLP, whose gelu is x Phi(x)."""
    norm, layer = block.attention.layers
    x = tokens + attention(layer, normalised(norm, tokens))
    norm, first, _, second = block.mlp.layers
    h = dense(first, normalised(norm, x))
    expected = x + dense(second, h * ndtr(h))
    np.testing.assert_allclose(called(block, tokens), expected, rtol=LONG_SUM, atol=LONG_SUM)


def test_blocks_know_no_places(block, tokens):
    """Tokens in another order: the same results in that order."""
    order = np.random.default_rng(2).permutation(12)

    def shuffled(x):
        return x.reshape(2, 12, DIM)[:, order].reshape(x.shape)

    found, expected = called(block, shuffled(tokens)), shuffled(called(block, tokens))
    np.testing.assert_allclose(found, expected, rtol=LONG_SUM, atol=LONG_SUM)


def test_shuffled_patches_with_their_positions_are_the_same_image():
    module = ViT(
        (8, 8, 1),
        classes=3,
        dim=8,
        depth=2,
        heads=2,
        mlp=8,
        patch=2,
        dtype="float64",
        rngs=nnx.Rngs(0),
    )
    embedding = module.stages[0]
    assert isinstance(embedding, Embedding)
    positions = embedding.positions
    assert 0.01 < np.asarray(positions[...]).std() < 0.03  # 128 draws of standard deviation .02
    with jax.enable_x64(True):
        positions[...] *= 50.0  # so that places matter
    images = np.random.default_rng(0).standard_normal((5, 8, 8, 1))
    order = np.random.default_rng(2).permutation(16)
    cut = images.reshape(5, 4, 2, 4, 2).swapaxes(2, 3).reshape(5, 16, 2, 2)[:, order]
    moved = cut.reshape(5, 4, 4, 2, 2).swapaxes(2, 3).reshape(5, 8, 8, 1)
    expected, hidden, _ = outputs(module, images)
    other = outputs(module, moved)[0]
    with jax.enable_x64(True):
        positions[...] = positions[...].reshape(16, 8)[order].reshape(4, 4, 8)
    found = outputs(module, moved)[0]
    np.testing.assert_allclose(found, expected, rtol=LONG_SUM, atol=LONG_SUM)
    assert abs(other - expected).max() > 1e-3  # with the positions left where they were
    np.testing.assert_allclose(
        hidden["penultimate"], hidden["last_norm"].mean(axis=(1, 2)), rtol=LONG_SUM, atol=LONG_SUM
    )
