"""What the convolutional families share; 8 x 8 images and few channels keep compilation short."""

import math
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import svmconv as sc
from svmconv.errors import DataError
from svmconv.models import CNN, DenseNet, ResNet

SHAPE = (8, 8, 1)
FAMILIES = {
    "cnn": partial(CNN, widths=(4, 6)),
    "densenet": partial(DenseNet, depth=7, growth=3),
    "published": partial(ResNet.published, width=1 / 16),
    "eighteen": partial(ResNet.eighteen, width=1 / 16, penultimate=2),
}
HIDDEN = {
    "cnn": {"conv_1": (4, 4, 4), "conv_2": (2, 2, 6), "pooled": (24,), "penultimate": (2,)},
    "densenet": {
        "stem": (8, 8, 16),
        "block_1": (4, 4, 19),
        "block_2": (2, 2, 22),
        "block_3": (2, 2, 25),
        "pooled": (25,),
        "penultimate": (2,),
    },
    "published": {
        "stem": (8, 8, 4),
        "stage_1": (8, 8, 4),
        "stage_2": (4, 4, 8),
        "stage_3": (2, 2, 16),
        "last_norm": (2, 2, 16),
        "pooled": (16,),
        "hidden_1": (200,),
        "penultimate": (2,),
    },
    "eighteen": {
        "stem": (8, 8, 4),
        "stage_1": (8, 8, 4),
        "stage_2": (4, 4, 8),
        "stage_3": (2, 2, 16),
        "stage_4": (1, 1, 32),
        "pooled": (32,),
        "penultimate": (2,),
    },
}
family = pytest.mark.parametrize("family", FAMILIES)
small = pytest.mark.parametrize(
    "family", [f if f == "cnn" else pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES]
)


@cache
def images():
    return np.random.default_rng(0).standard_normal((5, *SHAPE))


def network(family, **options):
    defaults = {"classes": 3, "dtype": "float64", "norm": "batch"}
    return FAMILIES[family](SHAPE, rngs=nnx.Rngs(0), **(defaults | options))


def run(graph, state, x):
    module = nnx.merge(graph, state, copy=True)
    return module(x), nnx.state(module, nnx.BatchStat)


# Little optimisation halves the compilation, which is what these tests take.
forward = jax.jit(run, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})


def outputs(module, x):
    """Logits, hidden activations and running statistics after the call, as numpy."""
    with jax.enable_x64(True):
        (logits, hidden), running = forward(*nnx.split(module), jnp.asarray(x))
        # jit sorts the names of a dict; the network itself gives them in order.
        return np.asarray(logits), jax.tree.map(np.asarray, hidden), jax.tree.leaves(running)


def parameters(make):
    module = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


PUBLISHED = {
    # Sizes of the authors' checkpoints, in float32 numbers: github.com/liyu95/NN_decision_boundary.
    "mnist_resnet": (partial(ResNet.published, (28, 28, 1), classes=2), 321_824),
    "cifar10_densenet": (partial(DenseNet.published, (32, 32, 3), classes=2), 1_018_824),
    "mnist_densenet": (partial(DenseNet.published, (28, 28, 1), classes=3), 1_015_851),
    # Usual counts without a bottleneck: Huang et al. (1.0 M), and CIFAR's ResNet-18.
    "densenet_40_12": (partial(DenseNet, (32, 32, 3), classes=10, penultimate=None), 1_019_722),
    "resnet_18": (partial(ResNet.eighteen, (32, 32, 3), classes=10), 11_173_962),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    make, count = PUBLISHED[name]
    assert parameters(make) == count


def test_cnn_parameter_count_by_hand():
    count = (9 * 1 + 1) * 4 + (9 * 4 + 1) * 6 + (24 + 1) * 2 + (2 + 1) * 3
    assert parameters(partial(CNN, SHAPE, classes=3, widths=(4, 6))) == count


@pytest.mark.parametrize("penultimate", [2, None])
@family
def test_shapes_and_names_in_order(family, penultimate):
    module = nnx.eval_shape(lambda: network(family, penultimate=penultimate, norm="none"))
    names = []

    def call(module):
        logits, hidden = module(jnp.zeros((5, *SHAPE)))
        names.extend(hidden)
        return logits, hidden

    with jax.enable_x64(True):
        logits, hidden = jax.eval_shape(call, module)
    assert logits.shape == (5, 3)
    expected = dict(HIDDEN[family])
    if penultimate is None:
        expected["penultimate"] = expected.pop("hidden_1", expected["pooled"])
    assert names == list(expected)
    assert {name: h.shape[1:] for name, h in hidden.items()} == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "norm", "dtype"),
    [
        *((family, "batch", "float64") for family in FAMILIES),
        ("cnn", "group", "float64"),
        ("cnn", "batch", "float32"),
    ],
)
def test_every_leaf_and_activation_has_the_dtype(family, norm, dtype):
    module = nnx.eval_shape(lambda: network(family, dtype=dtype, norm=norm))
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(nnx.state(module))} == {dtype}
    graph, state = nnx.split(module)
    with jax.enable_x64(True):
        x = jax.ShapeDtypeStruct((5, *SHAPE), dtype)
        result = jax.eval_shape(partial(run, graph), state, x)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(result)} == {dtype}


def test_float32_agrees_with_float64():
    single, double = network("cnn", dtype="float32"), network("cnn")
    with jax.enable_x64(True):
        state = jax.tree.map(lambda leaf: leaf.astype("float64"), nnx.state(single))
        nnx.update(double, state)
    x = images().astype(np.float32)
    found, expected = outputs(single, x)[0], outputs(double, x)[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4 * abs(expected).max())
    assert (found != expected).any()


@pytest.mark.parametrize(
    ("family", "norm"),
    [
        *(pytest.param(f, "batch", marks=pytest.mark.slow) for f in FAMILIES if f != "cnn"),
        ("cnn", "batch"),
        ("cnn", "group"),
        ("cnn", "none"),
    ],
)
def test_a_row_depends_on_the_others_only_through_a_batch_norm_that_trains(family, norm):
    module = network(family, norm=norm)
    others = np.concatenate([images()[:3], 2 * images()[3:]])
    for mode in ("train", "eval"):
        getattr(module, mode)()
        one, _, running = outputs(module, images())
        other = outputs(module, others)[0]
        moves = norm == "batch" and mode == "train"
        assert np.array_equal(one[:3], other[:3]) != moves
        before = jax.tree.leaves(nnx.state(module, nnx.BatchStat))
        assert bool(before) == (norm == "batch")
        assert all((a == b).all() != moves for a, b in zip(before, running, strict=True))


@small
def test_two_networks_share_what_was_compiled(family):
    """So that another seed costs no compilation: nothing static tells the two apart."""
    one, other = (nnx.eval_shape(lambda: network(family)) for _ in range(2))
    assert nnx.graphdef(one) == nnx.graphdef(other)


@small
def test_last_layer(family):
    module = network(family)
    module.eval()
    with jax.enable_x64(True):
        module.head.bias[...] = jnp.arange(3.0)
    weight, bias = sc.last_layer(nnx.merge(*nnx.split(module)))
    logits, hidden, _ = outputs(module, images())
    np.testing.assert_allclose(hidden["penultimate"] @ weight.T + bias, logits, rtol=1e-12)
    assert (hidden["penultimate"] >= 0).all()  # relu, as published
    assert np.ptp(logits, axis=0).any()


def test_flattened_images_are_images():
    module = network("cnn", norm="group")
    for given, flat in zip(
        outputs(module, images())[:2], outputs(module, images().reshape(5, -1))[:2], strict=True
    ):
        jax.tree.map(np.testing.assert_array_equal, given, flat)


def test_relu_can_collapse_a_class_and_leaky_relu_cannot():
    """The same weights: what relu sends to one corner stays apart under an injective unit."""
    before, relu, leaky = (
        outputs(network("cnn", penultimate_activation=name), images())[1]["penultimate"]
        for name in ("linear", "relu", "leaky_relu")
    )
    assert (before < 0).any()
    np.testing.assert_array_equal(relu, np.maximum(before, 0))
    np.testing.assert_array_equal(leaky, np.where(before > 0, before, 0.01 * before))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelo"}, "unknown activation 'gelo'"),
        ({"norm": "layer"}, "unknown norm 'layer': choose one of batch, group, none"),
    ],
)
@family
def test_unknown_names(family, options, message):
    with pytest.raises(DataError, match=message):
        network(family, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(CNN, SHAPE, penultimate_activation="gelo"), "unknown penultimate_activation"),
        (partial(CNN, SHAPE, penultimate=0), "widths must be two or more positive"),
        (partial(CNN, (8, 8)), "shape must be"),
        (partial(CNN, (8, 8, 0)), "shape must be"),
        (partial(CNN, SHAPE, widths=()), "widths must be one or more"),
        (partial(ResNet.published, (30, 28, 1)), "multiples of 4"),
        (partial(ResNet.published, SHAPE, width=0), "width must be a positive number"),
        (partial(DenseNet, SHAPE, depth=41), "depth must be 3 m"),
        (partial(DenseNet.published, SHAPE), "too small"),
        (partial(DenseNet, (3, 8, 1)), "too small"),
    ],
)
def test_impossible_options(make, message):
    with pytest.raises(DataError, match=message):
        nnx.eval_shape(lambda: make(classes=2, rngs=nnx.Rngs(0)))


def test_images_of_another_shape():
    module = nnx.eval_shape(lambda: network("cnn"))
    for shape in ((5, 63), (5, 8, 8, 3)):
        with pytest.raises(DataError, match=r"takes images of shape \(8, 8, 1\) or rows of 64"):
            module(jnp.zeros(shape))
