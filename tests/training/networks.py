"""Small networks for the tests of training."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

ADAM = optax.adam(1e-2)
"""One object: tests that train the same architecture with it share compiled programs."""


class Dense(nnx.Module):
    """Linear layers without biases, leaky relu between them: homogeneous in its parameters."""

    def __init__(self, *widths, dtype="float64", seed=0):
        rngs = nnx.Rngs(seed)
        options = {"use_bias": False, "dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        with jax.enable_x64(True):
            pairs = itertools.pairwise(widths)
            self.layers = nnx.List([nnx.Linear(a, b, **options) for a, b in pairs])

    def __call__(self, x):
        for layer in list(self.layers)[:-1]:
            x = jax.nn.leaky_relu(layer(x))
        return list(self.layers)[-1](x), {"penultimate": x}


class Convolutional(nnx.Module):
    """A convolution, batch norm and dropout: everything a dense network has not."""

    def __init__(self, dtype="float32", seed=0):
        rngs = nnx.Rngs(seed)
        options = {"dtype": dtype, "param_dtype": dtype, "rngs": rngs}
        with jax.enable_x64(True):
            self.conv = nnx.Conv(1, 3, (3, 3), strides=4, **options)
            self.norm = nnx.BatchNorm(3, **options)
            for name in ("mean", "var"):  # which flax keeps in float32
                start = getattr(self.norm, name)[...].astype(dtype)
                setattr(self.norm, name, nnx.BatchStat(start))
            self.drop = nnx.Dropout(0.2, rngs=rngs)
            self.head = nnx.Linear(12, 2, **options)

    def __call__(self, x):
        h = jax.nn.relu(self.norm(self.conv(x.reshape(-1, 8, 8, 1))))
        h = self.drop(h.reshape(len(x), -1))
        return self.head(h), {"penultimate": h}


def linear(start):
    """A linear model of kernel `start` (d, K)."""
    module = Dense(*np.shape(start))
    with jax.enable_x64(True):
        module.layers[0].kernel[...] = jnp.asarray(start, jnp.float64)
    return module


def arrays(module):
    """All parameters and other state, as numpy arrays."""
    leaves = jax.tree.leaves(nnx.state(module, nnx.Not(nnx.RngState)))
    return [np.asarray(leaf) for leaf in leaves]


def same(module, other):
    """Whether two modules agree to the last bit."""
    pairs = zip(arrays(module), arrays(other), strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
