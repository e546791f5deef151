"""What the simulations on hidden layers share: network families, data sets, how they are trained.

A network is named by its family and what is unusual about it, "MLP" or "MLP tanh". EIGHT are the
families of arXiv 2307.13962, STUDIES the MLP with other activations, widths and depths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

import optax
from flax import nnx

from svmconv import data
from svmconv.models import CNN, DBN, MLP, VGG, AlexNet, GoogLeNet, ResNet, ViT
from svmconv.problem import Problem

Shape = tuple[int, int, int]


class DataSet(NamedTuple):
    """Images of one shape (height, width, channels), and what reads the first n of them."""

    shape: Shape
    read: Callable[[int | None], Problem]


def _digits(n: int | None) -> Problem:
    whole = data.digits()
    return Problem(whole.x[:n], whole.y[:n], whole.name)  # all 1,797 where n is more


DATA: Mapping[str, DataSet] = {
    "digits": DataSet((8, 8, 1), _digits),
    "mnist": DataSet((28, 28, 1), lambda n: data.mnist(n=n)),
    "fashion_mnist": DataSet((28, 28, 1), lambda n: data.fashion_mnist(n=n)),
    "cifar10": DataSet((32, 32, 3), lambda n: data.cifar10(n=n)),
}


def _mlp(
    shape: Shape, *, classes: int, width: float, rngs: nnx.Rngs,
    units: int = 256, depth: int = 5, activation: str = "relu",
) -> MLP:  # fmt: skip
    hidden = (max(1, round(width * units)),) * depth
    widths = (math.prod(shape), *hidden, classes)
    return MLP(widths, activation=activation, dtype="float32", rngs=rngs)


def _cnn(shape: Shape, *, classes: int, width: float, rngs: nnx.Rngs) -> CNN:
    widths = tuple(max(1, round(width * channels)) for channels in (64, 128, 256))
    return CNN(shape, classes=classes, widths=widths, penultimate=None, rngs=rngs)


def _vit(shape: Shape, *, classes: int, width: float, rngs: nnx.Rngs) -> ViT:
    """Patches of 2 x 2 on the 8 x 8 digits, of 4 x 4 else: 16 to 64 of them."""
    return ViT(shape, classes=classes, patch=2 if shape[0] < 16 else 4, width=width, rngs=rngs)


Build = Callable[..., nnx.Module]
EIGHT: Mapping[str, Build] = {
    "MLP": _mlp,
    "CNN": _cnn,
    "DBN": DBN,
    "ResNet": ResNet.eighteen,
    "VGGNet": partial(VGG, depth=11),
    "AlexNet": AlexNet,
    "ViT": _vit,
    "GoogLeNet": GoogLeNet,
}
ACTIVATIONS = ("leaky_relu", "tanh", "sigmoid", "selu", "softsign", "gelu")
STUDIES: Mapping[str, Build] = {
    **{f"MLP {name}": partial(_mlp, activation=name) for name in ACTIVATIONS},
    **{f"MLP of {units} units": partial(_mlp, units=units) for units in (16, 64, 1024)},
    **{f"MLP of {depth} layers": partial(_mlp, depth=depth) for depth in (1, 2, 3, 8)},
}
NETWORKS: Mapping[str, Build] = {**EIGHT, **STUDIES}


def network(name: str, shape: Shape, classes: int, width: float, seed: int) -> nnx.Module:
    """Before training; `width` multiplies all widths and channels of the published network."""
    return NETWORKS[name](shape, classes=classes, width=width, rngs=nnx.Rngs(seed))


@cache  # programs are compiled for one optimizer: seeds share it
def adam(rate: float) -> optax.GradientTransformation:
    """The one optimizer that trains all families from the same rate."""
    return optax.adam(rate)
