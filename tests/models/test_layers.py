import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from svmconv.models.densenet import DenseLayer
from svmconv.models.layers import Layers, average_pool
from svmconv.models.resnet import Bottleneck


def test_a_bottleneck_adds_to_its_padded_average():
    """With the last convolution at zero, the residual is zero and the shortcut is left."""
    make = Layers("relu", "none", np.dtype("float32"), nnx.Rngs(0))
    block = Bottleneck(make, 3, 2, 6, stride=2)
    last = block.residual.layers[-1]
    assert isinstance(last, nnx.Conv)
    last.kernel[...] *= 0
    x = jnp.asarray(np.random.default_rng(0).standard_normal((5, 8, 8, 3)), jnp.float32)
    expected = np.zeros((5, 4, 4, 6), np.float32)
    expected[..., 1:4] = average_pool(x, 2)  # one channel of zeros before, two after
    np.testing.assert_array_equal(block(x), expected)


def test_a_dense_layer_keeps_what_comes_in():
    make = Layers("tanh", "group", np.dtype("float32"), nnx.Rngs(0))
    layer = DenseLayer(make, 3, 2)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 4, 3)), jnp.float32)
    np.testing.assert_array_equal(layer(x)[..., :3], x)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_1_x_1_convolution_is_the_matrix_product(stride):
    with jax.enable_x64(True):
        layer = Layers("relu", "none", np.dtype("float64"), nnx.Rngs(0)).convolution(
            3, 4, 1, stride=stride
        )
        x = np.random.default_rng(0).standard_normal((2, 5, 5, 3))
        found, kernel = np.asarray(layer(jnp.asarray(x))), np.asarray(layer.kernel[...])
    expected = jax.lax.conv_general_dilated(
        x.astype(np.float32),
        kernel.astype(np.float32),
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_average_pool_by_hand():
    x = jnp.arange(2.0 * 5 * 4).reshape(2, 5, 4, 1)
    expected = np.asarray(x)[:, :4].reshape(2, 2, 2, 2, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(average_pool(x, 2)[..., 0], expected)


def test_initial_convolutions_are_he_normal_before_relu_and_lecun_normal_before_tanh():
    for activation, gain in (("relu", 2.0), ("leaky_relu", 2.0), ("tanh", 1.0)):
        make = Layers(activation, "none", np.dtype("float32"), nnx.Rngs(0))
        layer = make.convolution(32, 64, 3)
        variance = float(layer.kernel[...].var())
        # 18,432 draws: the standard error of a variance is 1 %.
        assert variance == pytest.approx(gain / (9 * 32), rel=0.05)
        assert not layer.bias[...].any()
