"""A last layer on its features: read, evaluated, and tested for the KKT conditions of training."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Float64

from svmconv import losses
from svmconv.errors import DataError
from svmconv.geometry import angle, centre, length
from svmconv.problem import Bias, Problem, readable


class Layer(NamedTuple):
    """A last layer and what it makes of every row. Two classes: one row, w1 - w0 and b1 - b0."""

    problem: Problem
    """The features, in float64, with their labels."""
    eps: float
    """Machine epsilon of the dtype that the features came in."""
    w: Float64[np.ndarray, "*w"]
    """(d,), or (K, d)."""
    b: Float64[np.ndarray, "*b"]
    """(), or (K,); zero without a bias."""
    kinds: tuple[Bias, ...]
    """What it is compared with: "augmented" and "free", or "none" for a layer without a bias."""
    margins: Float64[np.ndarray, "n j"]
    """Pair margins as in svmconv.losses: (n, 1), or (n, K) with +inf at a row's own class."""
    log_row_losses: Float64[np.ndarray, " n"]
    """ln of each row's logistic (softmax) loss."""
    log_loss: float
    """ln of their mean."""
    stationarity: float
    slackness: float
    """As in `kkt_residual`."""

    @property
    def errors(self) -> int:
        """Rows that the layer misclassifies (ties count)."""
        return int((self.margins.min(axis=1) <= 0).sum())

    @property
    def directed(self) -> bool:
        """Whether w tells the classes apart at all."""
        return bool(self.w.any())

    def norm(self, kind: Bias) -> float:
        """|w|, or |(w, b)| for "augmented"; of K classes centred first."""
        return float(length(_whole(self.w, self.b, kind).ravel()))

    def trajectory(self, kind: Bias) -> xr.Dataset:
        """The layer as a trajectory of one recording, as sc.gaps reads it."""
        outer = ("log1p_t",) if self.problem.binary else ("log1p_t", "class")
        return xr.Dataset(
            {
                "w": ((*outer, "feature"), self.w[None]),
                "b": (outer, np.asarray(self.b)[None]),
                "margin": ("log1p_t", [self.margins.min()]),
                "log_loss": ("log1p_t", [self.log_loss]),
            },
            {"log1p_t": [np.nan]},
            {"problem_id": self.problem.id, "bias": kind, "bias_scale": 1.0},
        )


def read(features: Any, labels: Any, weight: Any, bias: Any) -> Layer:
    """A last layer from arrays of any framework, shapes as in sc.audit. Raises DataError."""
    problem, features = Problem(features, labels, name="features"), np.asarray(features)
    w, b = _reduced(problem, *_checked(problem, weight, bias))
    kinds: tuple[Bias, ...] = ("none",) if bias is None else ("augmented", "free")
    floating = jnp.issubdtype(features.dtype, jnp.floating)
    eps = float(jnp.finfo(features.dtype if floating else np.float64).eps)
    with jax.enable_x64(True):
        given = w if bias is None else np.concatenate([w, b[..., None]], axis=-1)
        found = _evaluate(jnp.asarray(given), losses.rows_of(problem, kinds[0]))
        margins, row_losses, log_loss, pull, slack = map(np.asarray, found)
    off = angle(pull.ravel(), _whole(w, b, kinds[0]).ravel())
    sine = np.where(off < np.pi / 2, np.sin(off), np.where(np.isnan(off), np.nan, 1.0))
    return Layer(
        problem, eps, w, b, kinds, margins, row_losses, float(log_loss), float(sine), float(slack)
    )


def kkt_residual(features: Any, labels: Any, weight: Any, bias: Any = None) -> xr.Dataset:
    """How far the last layer is from a KKT point of min |theta|^2 / 2, every margin at least 1.

    Lyu and Li (ICLR 2020) let the parameters of a homogeneous network tend in direction to such a
    point of the joint problem, with multipliers proportional to the weights of the rows in the
    loss. For the last layer it says W = sum over pairs of alpha_nk z_nk, z_nk = (e_y - e_k) (x) x_n
    (two classes: y_n x_n; with a bias x_n has a last entry 1, for then b is a parameter too), alpha
    proportional to p_nk = -d(row loss) / d(margin q_nk), the softmax weights. With sum p = 1:

    stationarity  min over lambda >= 0 of |W / |W| - lambda sum p z|: the sine of their angle, 1
                  beyond a right angle; nan where either is zero
    slackness     sum p (q - q_min) / q_min, zero if only the closest rows have weight; nan where
                  q_min <= 0, a row on the wrong side

    Both are free of units, and zero at such a point. The weights are taken in the log domain, so
    that losses far below e^-745 have them too. Shapes as in sc.audit. Raises DataError.
    """
    layer = read(features, labels, weight, bias)
    return xr.Dataset({"stationarity": layer.stationarity, "slackness": layer.slackness})


@jax.jit
def _evaluate(
    w: Float[Array, "*w"], rows: losses.Rows
) -> tuple[Float[Array, "n j"], Float[Array, " n"], Float[Array, ""], Array, Float[Array, ""]]:
    """Margins, log row losses, log loss, the direction of sum p z, and the slackness."""
    margins = losses.pair_margins(w, rows)
    log_p = losses.log_pair_weights(margins, "logistic")
    p = jnp.exp(log_p - logsumexp(log_p))
    closest = losses.smallest_margin(margins)
    beyond = jnp.where(p > 0, margins / closest - 1.0, 0.0)
    slackness = jnp.where(closest > 0, jnp.sum(p * beyond), jnp.nan)
    return (
        margins,
        losses.log_row_losses(margins, "logistic"),
        losses.log_loss(margins, "logistic"),
        losses.combine(p, rows),
        slackness,
    )


def _whole(
    w: Float64[np.ndarray, "*w"], b: Float64[np.ndarray, "*b"], kind: Bias
) -> Float64[np.ndarray, "*whole"]:
    """(w, b) for "augmented", else w; of K classes centred."""
    whole = np.concatenate([w, b[..., None]], axis=-1) if kind == "augmented" else w
    return centre(whole) if whole.ndim == 2 else whole


def _checked(
    problem: Problem, weight: Any, bias: Any
) -> tuple[Float64[np.ndarray, "k d"], Float64[np.ndarray, " k"]]:
    """(weight, bias) as (R, d) and (R,), R = K, or 1 for two classes. Raises DataError."""
    w = np.atleast_2d(_real("weight", weight))
    b = np.zeros(len(w)) if bias is None else np.atleast_1d(_real("bias", bias))
    k, d = problem.n_classes, problem.d
    shapes = [(k, d)] + ([(1, d)] if problem.binary else [])
    if w.shape not in shapes:
        hint = ": it looks transposed, pass weight.T" if w.shape[::-1] in shapes else ""
        raise DataError(
            f"weight must have shape {' or '.join(map(str, shapes))} (classes, features), got "
            f"{w.shape}{hint}"
        )
    if b.shape != (len(w),):
        raise DataError(f"bias must have shape ({len(w)},), one per row of weight, got {b.shape}")
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise DataError("weight or bias has NaN or infinite values: give a trained, finite layer")
    return w, b


def _real(name: str, given: Any) -> Float64[np.ndarray, "..."]:
    try:
        array = readable(name, given)
        if array.dtype.kind == "c":
            raise DataError(f"{name} is complex: give real numbers")
        return array.astype(np.float64)
    except DataError:
        raise
    except (TypeError, ValueError):
        raise DataError(f"{name} must be an array of numbers") from None


def _reduced(
    problem: Problem, w: Float64[np.ndarray, "k d"], b: Float64[np.ndarray, " k"]
) -> tuple[Float64[np.ndarray, "*w"], Float64[np.ndarray, "*b"]]:
    """Two classes as one row, w1 - w0 and b1 - b0; equal rows of K classes as zeros, exactly."""
    if not problem.binary:
        return (w if (w != w[0]).any() else np.zeros_like(w)), b
    return (w[0], b.reshape(())) if len(w) == 1 else (w[1] - w[0], np.asarray(b[1] - b[0]))
