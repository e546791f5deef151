"""VGG, AlexNet, GoogLeNet, ViT and DBN: sizes, names, dtypes, modes, and that they learn."""

import math
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import svmconv as sc
from svmconv.errors import DataError
from svmconv.models import DBN, VGG, AlexNet, GoogLeNet, ViT
from svmconv.models.googlenet import BLOCKS
from svmconv.training.objectives import cross_entropy
from svmconv.training.train import train
from tests.models.test_image_networks import outputs, parameters

SHAPE = (8, 8, 1)
CIFAR = (32, 32, 3)
DIGITS = sc.data.digits((3, 8))
FAMILIES = {
    "vgg": partial(VGG, depth=11, width=1 / 16),
    "alexnet": partial(AlexNet, width=1 / 32),
    "googlenet": partial(GoogLeNet, width=1 / 16),
    "vit": partial(ViT, dim=16, depth=2, heads=2, mlp=32),
    "dbn": partial(DBN, widths=(16, 12)),
}
BATCH_NORM = ("vgg", "googlenet")
family = pytest.mark.parametrize("family", FAMILIES)
quick = pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=pytest.mark.slow) if f == "googlenet" else f for f in FAMILIES],
)


def network(family, shape=SHAPE, **options):
    defaults = {"classes": 2, "dtype": "float64", "rngs": nnx.Rngs(0)}
    return FAMILIES[family](shape, **(defaults | options))


@cache
def abstract(family, shape=SHAPE, **options):
    """A network of shapes alone."""
    return nnx.eval_shape(partial(network, family, shape, **options))


def called(module):
    """Logits and hidden activations of images, as shapes, the hidden ones in their order."""
    names = []

    def call(module, x):
        logits, hidden = module(x)
        names.extend(hidden)
        return logits, hidden

    dtype = jax.tree.leaves(nnx.state(module))[0].dtype
    with jax.enable_x64(True):
        x = jax.ShapeDtypeStruct((5, *module.shape), dtype)
        logits, hidden = jax.eval_shape(call, module, x)
    return logits, {name: hidden[name] for name in names}


def convolutions(sizes, *, bias):
    """Numbers in convolutions (side, in, out)."""
    return sum(k * k * a * b + bias * b for k, a, b in sizes)


VGG_16 = [(3, a, b) for a, b in ((3, 64), (64, 64), (64, 128), (128, 128), (128, 256))]
VGG_16 += 2 * [(3, 256, 256)] + [(3, 256, 512)] + 5 * [(3, 512, 512)]
VGG_11 = [(3, a, b) for a, b in ((3, 64), (64, 128), (128, 256), (256, 256), (256, 512))]
VGG_11 += 3 * [(3, 512, 512)]
QUARTER = [(k, a if a == 3 else a // 4, b // 4) for k, a, b in VGG_16]
HEAD = 512 * 10 + 10


def normalised(sizes):
    """Without biases, with a scale and a shift for every channel."""
    return convolutions(sizes, bias=0) + 2 * sum(b for _, _, b in sizes)


ALEXNET = [(3, 3, 64), (3, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256)]


def test_the_sums_below_are_the_published_ones():
    assert convolutions(VGG_16, bias=0) == 14_710_464
    assert sum(b for _, _, b in VGG_16) == 4_224
    # With biases that a batch norm takes away again: github.com/kuangliu/pytorch-cifar.
    assert normalised(VGG_16) + 4_224 + HEAD == 14_728_266
    assert normalised(VGG_11) + 2_752 + HEAD == 9_231_114
    # The usual count for CIFAR.
    assert convolutions(ALEXNET, bias=1) + 1025 * 4096 + 4097 * 4096 + 4097 * 10 == 23_272_266


# Szegedy et al.'s network for ImageNet as Caffe has it (bvlc_googlenet, deployed): its own stem of
# 7 x 7, 1 x 1 and 3 x 3 convolutions and its head of 1000 classes are taken off.
IMAGENET_STEM = convolutions([(7, 3, 64), (1, 64, 64), (3, 64, 192)], bias=1)
INCEPTION = 6_998_552 - IMAGENET_STEM - (1024 + 1) * 1000
# ViT-Ti/16 has 5,717,416 numbers with its class token and that token's position.
VIT_TI = {"patch": 16, "dim": 192, "depth": 12, "heads": 3, "mlp": 768}
VIT_BLOCK = 4 * 512 * 512 + 4 * 512 + 2 * 512 * 512 + 2 * 512 + 4 * 512
PUBLISHED = {
    "vgg_16": (VGG, {"norm": "none"}, convolutions(VGG_16, bias=1) + HEAD),
    "vgg_16_batch": (VGG, {}, normalised(VGG_16) + HEAD),
    "vgg_11_batch": (VGG, {"depth": 11}, normalised(VGG_11) + HEAD),
    "vgg_16_quarter": (VGG, {"width": 0.25}, normalised(QUARTER) + 128 * 10 + 10),
    "alexnet": (AlexNet, {}, 23_272_266),
    "googlenet": (
        GoogLeNet,
        {"norm": "none"},
        convolutions([(3, 3, 192)], bias=1) + INCEPTION + 1025 * 10,
    ),
    "vit": (ViT, {}, 49 * 512 + 64 * 512 + 6 * VIT_BLOCK + 2 * 512 + HEAD),
    "vit_ti": (ViT, {"shape": (224, 224, 3), "classes": 1000, **VIT_TI}, 5_717_416 - 2 * 192),
    "dbn": (DBN, {"shape": (28, 28, 1)}, 785 * 500 + 501 * 500 + 501 * 2000 + 2001 * 10),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts(name):
    make, options, count = PUBLISHED[name]
    options = {"shape": CIFAR, "classes": 10} | options
    assert parameters(partial(make, **options)) == count


SIDES = {
    # After each stage, of images with sides 8, 28 and 32.
    "vgg": ((4, 2, 1, 1, 1), (14, 7, 4, 2, 1), (16, 8, 4, 2, 1)),
    "alexnet": ((2, 1, 1, 1, 1), (7, 4, 4, 4, 2), (8, 4, 4, 4, 2)),
    "googlenet": (
        (8, 8, 8, 4, 4, 4, 4, 4, 2, 2),
        (28, 28, 28, 14, 14, 14, 14, 14, 7, 7),
        (32, 32, 32, 16, 16, 16, 16, 16, 8, 8),
    ),
    "vit": ((2,) * 4, (7,) * 4, (8,) * 4),
}
CHANNELS = {
    "vgg": (4, 8, 16, 32, 32),
    "alexnet": (2, 6, 12, 8, 8),
    "googlenet": (12, 16, 30, 32, 32, 32, 33, 52, 52, 64),
    "vit": (16,) * 4,
}
STAGES = {
    "vgg": [f"stage_{i}" for i in range(1, 6)],
    "alexnet": [f"conv_{i}" for i in range(1, 6)],
    "googlenet": ["stem", *(f"inception_{block}" for block in BLOCKS)],
    "vit": ["embedding", "block_1", "block_2", "last_norm"],
}


def expected(family, side, penultimate):
    if family == "dbn":
        shapes = {"hidden_1": (16,), "hidden_2": (12,)}
        dense = [12]
    else:
        sides = SIDES[family][(8, 28, 32).index(side)]
        stages = zip(STAGES[family], sides, CHANNELS[family], strict=True)
        shapes = {name: (s, s, c) for name, s, c in stages}
        flat = family in ("vgg", "alexnet")
        shapes["pooled"] = (CHANNELS[family][-1] * (sides[-1] ** 2 if flat else 1),)
        dense = [128, 128] if family == "alexnet" else [shapes["pooled"][0]]
        if family == "alexnet":
            shapes |= {f"hidden_{i}": (128,) for i in (1, 2)}
    if penultimate is None:
        shapes.pop("hidden_2", None)
        return shapes | {"penultimate": (dense[-1],)}
    return shapes | {"penultimate": (penultimate,)}


def slow_if(condition, *values):
    return pytest.param(*values, marks=pytest.mark.slow if condition else ())


@pytest.mark.parametrize(
    ("family", "shape", "options"),
    [
        slow_if(family == "googlenet" and shape != SHAPE, family, shape, options)
        for family in FAMILIES
        for shape, options in (
            (SHAPE, {"penultimate": None}),
            ((28, 28, 1), {"penultimate": 3, "dtype": "float32"}),
            (CIFAR, {"penultimate": None, "dtype": "float32"}),
        )
    ],
)
def test_names_shapes_and_dtypes(family, shape, options):
    module = abstract(family, shape, **options)
    logits, hidden = called(module)
    assert logits.shape == (5, 2)
    found = {name: h.shape[1:] for name, h in hidden.items()}
    wanted = expected(family, shape[0], options["penultimate"])
    assert list(found.items()) == list(wanted.items())
    dtype = options.get("dtype", "float64")
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(nnx.state(module))} == {dtype}
    assert {str(leaf.dtype) for leaf in jax.tree.leaves((logits, hidden))} == {dtype}


@quick
def test_two_networks_share_what_was_compiled(family):
    one = nnx.graphdef(abstract(family, penultimate=None))
    other = nnx.graphdef(nnx.eval_shape(partial(network, family, penultimate=None)))
    assert one == other
    assert hash(one) == hash(other)


def step(graph, params, rest, x, own):
    """One step of gradient descent in training mode: parameters, other state, loss before it."""

    def loss(params):
        module = nnx.merge(graph, params, rest, copy=True)
        return cross_entropy(module(x)[0], own), nnx.state(module, nnx.Not(nnx.Param))

    (value, rest), slope = jax.value_and_grad(loss, has_aux=True)(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, slope), rest, value


# Little optimisation halves the compilation, which is what these tests take.
quick_step = jax.jit(step, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})


@quick
def test_descent_lowers_the_loss_and_the_modes_differ_by_batch_norm_alone(family):
    shallow = {"depth": 1} if family == "vit" else {}
    module = network(family, penultimate=2, penultimate_activation="linear", **shallow)
    batch_norm = bool(jax.tree.leaves(nnx.state(module, nnx.BatchStat)))
    assert batch_norm == (family in BATCH_NORM)
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    with jax.enable_x64(True):
        x, own = jnp.asarray(DIGITS.x[:32]), jnp.asarray(DIGITS.own[:32])
        losses = []
        for _ in range(20):
            params, after, value = quick_step(graph, params, rest, x, own)
            losses.append(float(value))
            pairs = zip(jax.tree.leaves(rest), jax.tree.leaves(after), strict=True)
            assert all((a != b).any() for a, b in pairs)  # every running statistic moves
            rest = after
    assert losses[-1] < losses[0]
    assert (np.diff(losses) < 0).mean() > 0.8
    nnx.update(module, params, rest)
    module.eval()
    images = DIGITS.x[:5].reshape(-1, *SHAPE)
    others = np.concatenate([images[:3], 2 * images[3:]])
    logits, hidden, running = outputs(module, images)
    assert all((a == b).all() for a, b in zip(running, jax.tree.leaves(rest), strict=True))
    np.testing.assert_array_equal(outputs(module, others)[0][:3], logits[:3])
    weight, bias = sc.last_layer(module)
    np.testing.assert_allclose(hidden["penultimate"] @ weight.T + bias, logits, rtol=1e-12)


@pytest.mark.slow
@family
def test_training(family):
    module = network(family, dtype="float32")
    found = train(module, DIGITS, optax.adam(3e-3), epochs=30, batch=51)
    assert found.log_loss[-1] < found.log_loss[0] - 1
    assert found.final.accuracy > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(VGG, SHAPE, depth=12), "unknown depth '12': choose one of 11, 13, 16, 19"),
        (partial(VGG, (8, 8)), "shape must be"),
        (partial(AlexNet, (8, 8)), "shape must be"),
        (partial(GoogLeNet, (8, 8, 0)), "shape must be"),
        (partial(DBN, (8, 8)), "shape must be"),
        (partial(VGG, SHAPE, width=0.0), "width must be a positive number"),
        (partial(GoogLeNet, SHAPE, width=math.inf), "width must be a positive number"),
        (partial(GoogLeNet, SHAPE, norm="layer"), "unknown norm 'layer'"),
        (partial(ViT, SHAPE, norm="batch"), "unknown norm 'batch': choose one of layer, none"),
        (partial(ViT, (28, 30, 1)), "patches of 4 x 4 do not cut images of shape"),
        (partial(ViT, SHAPE, dim=20), "multiple of heads=8, got 20"),
        (partial(ViT, SHAPE, depth=0), "depth must be an integer of at least 1"),
        (partial(DBN, SHAPE, widths=()), "widths must be one or more"),
        (partial(DBN, SHAPE, penultimate_activation="gelo"), "unknown penultimate_activation"),
        (partial(AlexNet, SHAPE, activation="gelo"), "unknown activation 'gelo'"),
    ],
)
def test_impossible_options(make, message):
    with pytest.raises(DataError, match=message):
        nnx.eval_shape(lambda: make(classes=2, rngs=nnx.Rngs(0)))


@family
def test_images_of_another_shape(family):
    module = abstract(family, penultimate=None)
    for shape in ((5, 63), (5, 8, 8, 3)):
        with pytest.raises(DataError, match=r"takes images of shape \(8, 8, 1\) or rows of 64"):
            module(jnp.zeros(shape))
