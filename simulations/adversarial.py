"""Adversarial examples: a network's own last layer against the exact SVM put in its place.

Li, Ding, Gao, arXiv 1808.05385, name robustness as a use of "the last layer is an SVM"; the
experiment is ours. The features stay as they were trained and only the boundary in their space
moves. Both networks are then attacked through all layers, by projected gradient descent (Madry et
al., arXiv 1706.06083) on the margin of the logits: the loss of a row saturates and the sign of its
gradient with it. Random signs of the same size are the control: changes that nobody aimed.

    python -m simulations.adversarial --preset smoke

writes runs/adversarial-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from flax import nnx
from jaxtyping import Array, Float, Float64

from simulations import command, digit_pairs
from svmconv.geometry import angle, norm
from svmconv.models import CNN, last_layer
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin
from svmconv.training.evaluate import evaluate
from svmconv.training.fit import features
from svmconv.training.network import Leaves, Network, on_device, opened
from svmconv.training.objectives import logit_margins

HEADS = ("network", "svm")
STRIDE = 2.5
"""Steps of an attack add up to so many eps (Madry et al.): it reaches a corner, and can turn."""


@dataclass(frozen=True, kw_only=True)
class Config(digit_pairs.Config):
    """A pair of digits, and how its network is attacked."""

    pair: digit_pairs.Pair = (3, 8)
    eps: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2)
    """Largest change of a pixel, whose values stay in [0, 1]."""
    steps: int = 20
    """Of an attack."""
    attacked: int | None = None
    """Test rows, the first of the file; None for all."""

    def tests(self) -> Problem:
        """The test rows that are measured and attacked."""
        whole = self.problem(self.pair, "test")
        return Problem(whole.x[: self.attacked], whole.y[: self.attacked], whole.name)


PRESETS = {
    "smoke": Config(rows=1000, epochs=20, attacked=300, eps=(0.0, 0.05, 0.1, 0.15, 0.2)),
    "paper": Config(epochs=30),
}


def run(config: Config) -> xr.Dataset:
    """Both heads, "network" and "svm", on the same features, over seed.

    attacked, noisy   (head, eps) share of test rows right under the attack, and under random signs
    distance          (head, row) signed distance of test features to the boundary, positive on the
                      right side, in units of the root mean square distance of the training features
                      from their mean
    training_distance (head) the smallest over training rows
    angle             between the two heads (w, b), in radians
    log_loss, support ln of the network's mean training loss; support vectors of the SVM

    Raises NotSeparableError where training left features that no SVM separates.
    """
    runs = [_one_seed(config, seed) for seed in range(config.seeds)]
    return xr.concat(runs, "seed").assign_coords(seed=np.arange(config.seeds))


def _one_seed(config: Config, seed: int) -> xr.Dataset:
    rows, tests = config.problem(config.pair, "train"), config.tests()
    network = config.network(seed)
    config.learn(network, rows, seed)
    seen, unseen = features(network, rows), features(network, tests)
    svm = max_margin(seen, bias="augmented")
    (w,), (b,) = (np.diff(own.astype(np.float64), axis=0) for own in last_layer(network))
    scale = np.sqrt(seen.x.var(axis=0).sum())
    noise = [with_noise(tests, eps, seed) for eps in config.eps]

    def of(head: nnx.Module, w: Float64[np.ndarray, " d"], b: float) -> xr.Dataset:
        """What is measured of one head: its network, and its boundary among the features."""
        aimed = [(attack(head, tests, eps, config.steps) > 0).mean() for eps in config.eps]
        return xr.Dataset(
            {
                "attacked": ("eps", aimed),
                "noisy": ("eps", [evaluate(head, rows).accuracy for rows in noise]),
                "distance": ("row", distances(unseen, w, b) / scale),
                "training_distance": distances(seen, w, b).min() / scale,
            },
            {"eps": list(config.eps)},
        )

    replaced = with_head(network, svm.w, float(svm.b))
    both = xr.concat([of(network, w, float(b)), of(replaced, svm.w, float(svm.b))], "head")
    return both.assign(
        angle=float(angle(np.append(w, b), svm.w_aug)),
        log_loss=evaluate(network, rows).log_loss,
        support=len(svm.support),
    ).assign_coords(head=list(HEADS))


def with_head(network: CNN, w: Float64[np.ndarray, " d"], b: float) -> CNN:
    """A copy whose logits are -f / 2 and f / 2, f = <w, x> + b of its penultimate features x."""
    copy = nnx.clone(network)
    for given, value in ((copy.head.kernel, np.stack([-w, w], axis=1)), (copy.head.bias, [-b, b])):
        assert given is not None
        given[...] = jnp.asarray(np.asarray(value) / 2.0, given.dtype)
    return copy


def distances(seen: Problem, w: Float64[np.ndarray, " d"], b: float) -> Float64[np.ndarray, " n"]:
    """Signed distance of each row to the plane <w, x> + b = 0, positive on the right side."""
    return seen.signs * (seen.x @ w + b) / norm(w)


def with_noise(problem: Problem, eps: float, seed: int) -> Problem:
    """Every pixel eps up or down at random, in [0, 1]."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], problem.x.shape)
    return Problem(np.clip(problem.x + eps * signs, 0.0, 1.0), problem.y, problem.name)


def attack(
    network: nnx.Module, problem: Problem, eps: float, steps: int
) -> Float64[np.ndarray, " n"]:
    """The smallest margin of each row (own logit minus the other) that the attack comes by.

    It starts at the row itself and takes `steps` steps down the sign of the margin's gradient, each
    pixel staying within eps of its own and in [0, 1]. No guarantee that none is smaller.
    """
    with jax.enable_x64(True):
        taken = opened(network, problem, training=False)
        x, own = on_device(problem, taken.dtype)
        low, high = jnp.maximum(x - eps, 0.0), jnp.minimum(x + eps, 1.0)
        smallest = np.full(problem.n, np.inf)
        for _ in range(steps + 1):
            margins, slope = _margins(taken.network, taken.params, taken.rest, x, own)
            smallest = np.minimum(smallest, margins)
            x = jnp.clip(x - STRIDE * eps / steps * jnp.sign(slope), low, high)
    return smallest


@partial(jax.jit, static_argnums=0)  # one program for all networks of an architecture
def _margins(
    network: Network, params: Leaves, rest: Leaves, x: Float[Array, "n d"], own: Array
) -> tuple[Float[Array, " n"], Float[Array, "n d"]]:
    """Margins (n,) and the gradient of each row's own (n, d)."""

    def total(x: Float[Array, "n d"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
        logits, *_ = network(params, rest, x)
        margins = logit_margins(logits, own).min(axis=1)
        return margins.sum(), margins

    (_, margins), slope = jax.value_and_grad(total, has_aux=True)(x)
    return margins, slope


if __name__ == "__main__":
    sys.exit(command.main("adversarial", PRESETS, run, __doc__))
