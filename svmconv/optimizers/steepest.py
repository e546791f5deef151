"""Steepest descent on ln L in norms other than l2, with steps of fixed length in that norm.

Gunasekar, Lee, Soudry, Srebro, ICML 2018: steepest descent in a norm maximises the margin of that
norm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from svmconv.optimizers.optimizer import Scheduled
from svmconv.problem import Geometry, check_counts

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Muon's five-step iteration (Jordan et al. 2024), which brings singular values
into [.7, 1.2], not to 1."""


@dataclass(frozen=True)
class SignDescent(Scheduled):
    """w <- w - rate (t + 1)^-power sign(grad L): steps of equal length in l_inf.

    Tends to the largest l_inf margin if the steps shrink (power > 0), or are constant and below a
    threshold that the data set; above it, to a smaller one (7 % on five rows at rate .3, nothing at
    .1; docs/what-we-found.md).

    Raises DataError unless rate is a positive number and power in [0, 1].
    """

    @property
    def geometry(self) -> Geometry:
        """Entrywise: the largest entry."""
        return "linf"

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return _stepping(jnp.sign, self.schedule)


@dataclass(frozen=True)
class CoordinateDescent(Scheduled):
    """The entry of largest |grad L|, and no other, moves by rate (t + 1)^-power: boosting, l_1.

    Of equal entries the first. Parameters that are several arrays move one entry each. Tends to the
    largest l_1 margin, on the same condition as SignDescent (in docs/what-we-found.md .5 % are lost
    at rate 1, and at 3 the loss does not fall).

    Raises DataError unless rate is a positive number and power in [0, 1].
    """

    @property
    def geometry(self) -> Geometry:
        """Entrywise: the sum of sizes."""
        return "l1"

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""

        def steepest(slope: Float[Array, "*w"]) -> Float[Array, "*w"]:
            flat = slope.ravel()
            place = jnp.argmax(jnp.abs(flat))
            return jnp.zeros_like(flat).at[place].set(jnp.sign(flat[place])).reshape(slope.shape)

        return _stepping(steepest, self.schedule)


@dataclass(frozen=True)
class Spectral(Scheduled):
    """W <- W - rate (t + 1)^-power U V^T, with grad L = U diag(s) V^T: steps in the spectral norm.

    U V^T is the polar factor on the range of the gradient: singular values that are zero to
    rounding move nothing, and where the gradient sums to zero over classes, as of softmax, so does
    the step. A vector moves along itself. `newton_schulz` takes that many of Muon's iterations
    instead of the exact factor. Tends to the largest margin in the spectral norm.

    Raises DataError unless rate is a positive number, power in [0, 1] and newton_schulz None or an
    integer of at least 1.
    """

    newton_schulz: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.newton_schulz is not None:
            check_counts(1, newton_schulz=self.newton_schulz)

    @property
    def geometry(self) -> Geometry:
        """The largest singular value."""
        return "spectral"

    def build(self) -> optax.GradientTransformation:
        """The optax transformation."""
        steps = self.newton_schulz
        factor = polar if steps is None else lambda slope: orthogonalised(slope, steps)
        return _stepping(keeping_sums(factor), self.schedule)


def keeping_sums(factor: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`factor`, with a sum over rows (classes) of zero where the slope's is zero to rounding.

    Once another singular value has fallen to rounding, its vectors mix with that of the sum, and
    steps of full length along it would add up.
    """

    def kept(slope: Float[Array, "*w"]) -> Float[Array, "*w"]:
        matrix = jnp.atleast_2d(slope)
        rounding = jnp.sqrt(jnp.finfo(matrix.dtype).eps) * jnp.abs(matrix).max()
        balanced = jnp.abs(matrix.sum(axis=0)).max() <= rounding

        def centred(m: Float[Array, "rows *rest"]) -> Float[Array, "rows *rest"]:
            return jnp.where(balanced, m - m.mean(axis=0, keepdims=True), m)

        return centred(factor(centred(matrix))).reshape(slope.shape)

    return kept


def polar(slope: Float[Array, "*w"]) -> Float[Array, "*w"]:
    """U V^T of slope = U diag(s) V^T, over singular values above rounding."""
    matrix = jnp.atleast_2d(slope)
    u, s, vt = jnp.linalg.svd(matrix, full_matrices=False)
    kept = s > max(matrix.shape) * jnp.finfo(s.dtype).eps * s[0]
    return ((u * kept[None, :]) @ vt).reshape(slope.shape)


def orthogonalised(slope: Float[Array, "*w"], steps: int) -> Float[Array, "*w"]:
    """Muon's approximation of `polar`: odd polynomials of degree five of the scaled slope."""
    a, b, c = NEWTON_SCHULZ
    x = jnp.atleast_2d(slope)
    x = x / jnp.maximum(jnp.linalg.norm(x), jnp.finfo(x.dtype).tiny)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.reshape(slope.shape)


def _stepping(direction: Callable[[Any], Any], schedule: Any) -> optax.GradientTransformation:
    """Steps of scheduled length against `direction` of every array."""
    along = optax.stateless(lambda slopes, _: jax.tree.map(direction, slopes))
    return optax.chain(along, optax.scale_by_learning_rate(schedule))
