"""Soudry et al., JMLR 19 (2018), section 4: deep networks of which one layer is trained.

Once no unit of a leaky relu network switches any more, its output is linear in the weights W of
that layer: f(x) = <W, phi(x)>, phi = df / dW. Everything said of linear predictors then holds for W
on the features phi, from the weights it has at that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float64

from svmconv import data
from svmconv.problem import Problem
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Measurement, Quantity
from svmconv.theory.comparison import compare
from svmconv.theory.setting import Setting
from svmconv.theory.soudry2018 import SOURCE
from svmconv.training.late import late_phase

LEAK = 0.01
LOG_LOSS = -100.0
"""Where the first layer is left to its linear features; that no unit switches after is checked."""
STEPS = 20_000
LINEAR = 1e-12
"""Relative: a few dozen roundings of <W, phi(x)>."""


class Frozen(nnx.Variable):
    """Weights that are not trained."""


class FirstLayer(nnx.Module):
    """A d - hidden - 2 leaky relu network without biases; only its first layer is trained."""

    def __init__(self, d: int, hidden: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        with jax.enable_x64(True):
            self.kernel = nnx.Param(jnp.asarray(rng.standard_normal((d, hidden)) / np.sqrt(d)))
            above = rng.standard_normal((hidden, 2)) / np.sqrt(hidden)
            self.above = Frozen(jnp.asarray(above))

    def __call__(
        self, x: Float[Array, "n d"]
    ) -> tuple[Float[Array, "n 2"], dict[str, Float[Array, "n h"]]]:
        """Logits and the penultimate activations."""
        hidden = jax.nn.leaky_relu(x @ self.kernel[...], LEAK)
        return hidden @ self.above[...], {"penultimate": hidden}


@dataclass(frozen=True, eq=False)
class Linearised:
    """A first layer, the features it is linear in, and those it was linear in before training."""

    x: Float64[np.ndarray, "n d"]
    kernel: Float64[np.ndarray, "d h"]
    features: Problem
    initial: Problem
    nonlinear: float
    """Largest |<W, phi(x)> - f(x)| at the end, as a share of the largest |f(x)|."""

    def switched(self, weights: Float64[np.ndarray, "t dh"]) -> int:
        """Rows and units on another side than at the start, over all recorded weights."""
        here = self.x @ self.kernel > 0
        kernels = weights.reshape(len(weights), *self.kernel.shape)
        return int(sum(((self.x @ kernel > 0) != here).sum() for kernel in kernels))


@cache
def trained(n: int, d: int, hidden: int, seed: int) -> Linearised:
    """The first layer of one network on half-spaces, trained to LOG_LOSS."""
    rows = data.half_spaces(n=n, d=d, margin=0.3, seed=seed)
    module = FirstLayer(d, hidden, seed)
    above = np.asarray(module.above[...])

    def linear(name: str) -> Problem:
        active = np.where(rows.x @ np.asarray(module.kernel[...]) > 0, 1.0, LEAK)
        phi = rows.x[:, :, None] * (active * (above[:, 1] - above[:, 0]))[:, None, :]
        return Problem(phi.reshape(rows.n, -1), rows.y, f"{name} of {rows.name}")

    initial = linear("initial first-layer features")
    late_phase(module, rows, log_loss=LOG_LOSS, steps=STEPS)
    final, kernel = linear("first-layer features"), np.asarray(module.kernel[...])
    with jax.enable_x64(True):
        logits = np.asarray(module(jnp.asarray(rows.x))[0])
    output = logits[:, 1] - logits[:, 0]
    off = np.abs(final.x @ kernel.ravel() - output).max() / np.abs(output).max()
    return Linearised(rows.x, kernel, final, initial, float(off))


def first_layer(n: int, d: int, hidden: int, seed: int) -> Measurement:
    """The trained layer against the SVM of its linear features, with their constants."""
    run = trained(n, d, hidden, seed)
    c = compare(Setting(lambda: run.features, init=run.kernel.ravel))
    switched = Quantity("units that switched", 0.0, float(run.switched(c.weights)), 0.25, 0.5)
    linear = Quantity("<W, phi> / f - 1", 0.0, run.nonlinear, LINEAR, LINEAR)
    found = (
        linear,
        switched,
        q.direction(c),
        q.scaled_gap(c),
        q.loss_constant(c),
        q.scaled_loss(c),
    )
    return q.measured_case(c, found, q.initial_svm(c, run.initial))


CLAIMS = (
    Claim(
        "soudry2018-deep",
        SOURCE.format("3 for one layer of a network (section 4)"),
        "One layer of a leaky relu network, trained alone until no unit switches any more, tends "
        "to the SVM of the features it is linear in, with every constant of a linear predictor.",
        (
            Case(partial(first_layer, 40, 3, 3, 0)),
            Case(partial(first_layer, 60, 4, 4, 0)),
            Case(partial(first_layer, 60, 4, 4, 1)),
        ),
        extended=True,
    ),
)
