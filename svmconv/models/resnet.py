"""Residual networks: the one of Li, Ding and Gao on MNIST, and ResNet-18."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from numpy.typing import DTypeLike

from svmconv.models.activations import ACTIVATIONS
from svmconv.models.image_network import ImageNetwork, check_shape
from svmconv.models.layers import Layer, Layers, halve, scaled

Images = Float[Array, "n h w c"]
Result = Float[Array, "n h2 w2 c2"]


class ResNet(ImageNetwork):
    """Residual networks; `ResNet.published` and `ResNet.eighteen` make them.

    `width` multiplies the channels of every convolution. A penultimate layer of `penultimate` units
    follows the pooled (published: the 200) features; None leaves it out. The other options and the
    initial weights are those of CNN. Raises DataError on an unknown name or an impossible shape.
    """

    @classmethod
    def published(
        cls,
        shape: tuple[int, ...],
        *,
        classes: int,
        penultimate: int | None = 2,
        width: float = 1.0,
        activation: str = "relu",
        penultimate_activation: str = "relu",
        norm: str = "batch",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> ResNet:
        """The network of Li, Ding and Gao (arXiv 1808.05385) for MNIST, sides multiples of 4.

        A convolution to 64 channels, three stages of three bottlenecks (16-64, 32-128, 64-256), the
        average over the image, 200 units, 2 units, the head: 321,824 parameters, as in the authors'
        checkpoint. Every block has its shortcut, as the paper says; those of their code, for a
        slip in tflearn 0.3.2, have it only where the channels change.
        """
        check_shape(shape, multiple=4)
        make = Layers(activation, norm, np.dtype(dtype), rngs)
        before, *stage_widths = scaled((64, 64, 128, 256), width)
        inner = scaled((16, 32, 64), width)
        stem = make.convolution(shape[2], before, 3, bias=False)
        stages: dict[str, Layer] = {"stem": nnx.Sequential(stem, ACTIVATIONS[activation])}
        for number, (narrow, after) in enumerate(zip(inner, stage_widths, strict=True), 1):
            blocks: list[Layer] = [Bottleneck(make, before, narrow, after, 1 if number == 1 else 2)]
            blocks += [Bottleneck(make, after, narrow, after) for _ in range(2)]
            before = after
            stages[f"stage_{number}"] = nnx.Sequential(*blocks)
        stages["last_norm"] = nnx.Sequential(*make.norm_then_activation(before))
        return cls(
            shape,
            classes,
            stages,
            features=before,
            pool=None,
            dense=(200,),
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )

    @classmethod
    def eighteen(
        cls,
        shape: tuple[int, ...],
        *,
        classes: int,
        penultimate: int | None = None,
        width: float = 1.0,
        activation: str = "relu",
        penultimate_activation: str = "relu",
        norm: str = "batch",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ) -> ResNet:
        """ResNet-18 (He et al., CVPR 2016) as is usual on CIFAR: a 3 x 3 stem, no max-pooling."""
        check_shape(shape)
        make = Layers(activation, norm, np.dtype(dtype), rngs)
        before, *stage_widths = scaled((64, 64, 128, 256, 512), width)
        stem = make.convolution(shape[2], before, 3)
        stages: dict[str, Layer] = {
            "stem": nnx.Sequential(stem, *make.norm_then_activation(before))
        }
        for number, after in enumerate(stage_widths, 1):
            first = Basic(make, before, after, 1 if number == 1 else 2)
            stages[f"stage_{number}"] = nnx.Sequential(first, Basic(make, after, after))
            before = after
        return cls(
            shape,
            classes,
            stages,
            features=before,
            pool=None,
            penultimate=penultimate,
            penultimate_activation=penultimate_activation,
            make=make,
        )


class Bottleneck(nnx.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, norm and activation before the first two.

    Pre-activation form (He et al., ECCV 2016). Where the image is halved the shortcut is averaged,
    where channels are added it is padded with zeros on both sides.
    """

    def __init__(self, make: Layers, before: int, inner: int, after: int, stride: int = 1) -> None:
        self.residual = nnx.Sequential(
            *make.norm_then_activation(before),
            make.convolution(before, inner, 1, stride=stride, bias=True),
            *make.norm_then_activation(inner),
            make.convolution(inner, inner, 3, bias=True),
            make.convolution(inner, after, 1, bias=True),
        )
        self.stride = stride
        self.added = after - before

    def __call__(self, x: Images) -> Result:
        """(n, h, w, before) -> (n, h / stride, w / stride, after)."""
        shortcut = x if self.stride == 1 else halve(x)
        if self.added:
            left = self.added // 2
            shortcut = jnp.pad(shortcut, ((0, 0), (0, 0), (0, 0), (left, self.added - left)))
        return shortcut + self.residual(x)


class Basic(nnx.Module):
    """Two 3 x 3 convolutions, each with its norm; the activation after the first and the sum.

    Where the shape changes the shortcut is a 1 x 1 convolution with a norm.
    """

    def __init__(self, make: Layers, before: int, after: int, stride: int = 1) -> None:
        self.residual = nnx.Sequential(
            make.convolution(before, after, 3, stride=stride),
            *make.norm_then_activation(after),
            make.convolution(after, after, 3),
            make.normalisation(after),
        )
        self.shortcut = (
            ACTIVATIONS["linear"]
            if before == after and stride == 1
            else nnx.Sequential(
                make.convolution(before, after, 1, stride=stride), make.normalisation(after)
            )
        )
        self.activation = make.activation

    def __call__(self, x: Images) -> Result:
        """(n, h, w, before) -> (n, ceil(h / stride), ceil(w / stride), after)."""
        return ACTIVATIONS[self.activation](self.shortcut(x) + self.residual(x))
