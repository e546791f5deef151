"""What training minimises, as functions of logits and labels.

All but the cross-entropy compare logits with one-hot labels element by element, as the functions of
the same names in TensorFlow 1 do (tensorflow/python/ops/losses/losses_impl.py, version 1.5 on, with
weights = 1 and the default reduction: the mean over what each function returns).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from svmconv.losses import log1p_sum_exp

ObjectiveName = Literal[
    "cross_entropy",
    "hinge_loss",
    "mean_squared_error",
    "absolute_difference",
    "log_loss",
    "mean_pairwise_squared_error",
]
Logits = Float[Array, "n k"]
Own = Bool[Array, "n k"]
Objective = Callable[[Any, Any], Float[Array, ""]]

EPSILON = 1e-7
"""Added inside both logarithms of TensorFlow's log_loss."""


def logit_margins(logits: Logits, own: Own) -> Float[Array, "n k"]:
    """z_y - z_k of each row, +inf at its own class: the pair margins that svmconv.losses takes."""
    own_logit = jnp.sum(jnp.where(own, logits, 0.0), axis=1, keepdims=True)
    return jnp.where(own, jnp.inf, own_logit - logits)


def cross_entropy(logits: Logits, own: Own) -> Float[Array, ""]:
    """Mean of softplus(logsumexp_{k != y}(z_k - z_y)), with a right gradient down to e^-708.

    logsumexp(z) - z_y, the form of optax, loses the gradient of the own logit at e^-36.
    """
    return log1p_sum_exp(logit_margins(logits, own)).mean()


def hinge_loss(logits: Logits, own: Own) -> Float[Array, ""]:
    """Mean over rows and classes of max(0, 1 - s z), s = +1 at the own class and -1 elsewhere."""
    return jax.nn.relu(1.0 - jnp.where(own, logits, -logits)).mean()


def mean_squared_error(logits: Logits, own: Own) -> Float[Array, ""]:
    """Mean over rows and classes of (z - onehot)^2."""
    return jnp.square(logits - own).mean()


def absolute_difference(logits: Logits, own: Own) -> Float[Array, ""]:
    """Mean over rows and classes of |z - onehot|."""
    return jnp.abs(logits - own).mean()


def log_loss(logits: Logits, own: Own) -> Float[Array, ""]:
    """Mean over rows and classes of -ln(z + 1e-7) (own) and -ln(1 - z + 1e-7) (others).

    The logits stand for probabilities: nan where an own one is below -1e-7 or another above
    1 + 1e-7.
    """
    return -jnp.log(jnp.where(own, logits, 1.0 - logits) + EPSILON).mean()


def mean_pairwise_squared_error(logits: Logits, own: Own) -> Float[Array, ""]:
    """Mean over rows and pairs of classes i < j of (d_i - d_j)^2, d = z - onehot.

    TensorFlow writes it 2 sum(d^2) / (K - 1) - 2 (sum d)^2 / (K (K - 1)), and cancels; about the
    mean of d it is 2 sum((d - mean d)^2) / (K - 1).
    """
    d = logits - own
    centred = d - d.mean(axis=1, keepdims=True)
    return 2.0 / (d.shape[1] - 1) * jnp.square(centred).sum(axis=1).mean()


OBJECTIVES: dict[str, Objective] = {
    "cross_entropy": cross_entropy,
    "hinge_loss": hinge_loss,
    "mean_squared_error": mean_squared_error,
    "absolute_difference": absolute_difference,
    "log_loss": log_loss,
    "mean_pairwise_squared_error": mean_pairwise_squared_error,
}
