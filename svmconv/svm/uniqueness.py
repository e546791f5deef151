"""Whether the least-norm weights of a program in the l1, linf or spectral norm are the only ones.

Let a be optimal duals, forces G = Z^T a. Every optimum w' has margin 1 on the supporting rows
(duals above 0), and lies on the face of the norm ball where <G, .> is largest, both by
complementarity with this one a. So optima differ by moves D along that face with z_i.D + c_i.u = 0
on the supporting rows. If only D = 0 does that, w is unique: a statement about rank alone, right
up to the rounding of a rank. Otherwise the moves must also respect what else is tight, rows of
margin 1 with dual zero and bounds of the face: where nothing else is, w is not unique; where
something is, a small program moves w as far as it can, along a random functional and against it.

For K classes weights count as the same if they differ by one vector added to every class: such a
shift moves no prediction. (It keeps the l1 or linf norm of W over a range of shifts, as a rule.)
What is tight is decided to TIE, and a tied row lets w move as far as what it has to spare allows:
optima closer than SEEN |w| count as one (than SEEN_SPECTRAL where W moves in the ball). What cannot
be decided is not called unique.
"""

from __future__ import annotations

from typing import NamedTuple

import cvxpy as cp
import numpy as np
from jaxtyping import Float64
from scipy.optimize import linprog

from svmconv.geometry import norm
from svmconv.problem import Geometry
from svmconv.svm.linear import exposed_face
from svmconv.svm.polish import Polished
from svmconv.svm.spectral import optimal, summing_to_zero

TIE = 1e-9
"""Relative distance from tight that counts as tight."""
ROUNDING = 1e-13
"""Of a margin, relative to its row: the answer is polished to it."""
RANK = 1e-10
"""Singular values of rows of length 1 below this are those of dependent rows."""
RANK_SPECTRAL = 1e-8
"""The same where the rows are known as well as singular vectors are."""
SEEN = 1e-6
"""A move of an entry by this part of |w| is one: the linear program is right to 1e-10."""
SEEN_SPECTRAL = 1e-3
"""The same where Clarabel moves W inside a ball: an error of 1e-8 in a round norm moves it 1e-4."""


class Tight(NamedTuple):
    """The tight rows: those that support, and those of margin 1 that do not."""

    a: Float64[np.ndarray, "m s"]
    c: Float64[np.ndarray, "m q"]
    tied_a: Float64[np.ndarray, "l s"]
    tied_c: Float64[np.ndarray, "l q"]


def unique_linear(tight: Tight, found: Polished, geometry: Geometry, classes: int) -> bool:
    """Whether w is unique in the l1 or linf norm; `classes` is 1 for two classes."""
    v = found.v / norm(found.v, geometry)
    forces = tight.a.T @ found.alpha
    rounding = np.finfo(np.float64).eps * (np.abs(tight.a).T @ found.alpha).max()
    if rounding > TIE * np.abs(forces).max():
        return False  # which entries are free is not to be seen
    face = exposed_face(v, forces, geometry, TIE)
    free = face.inside
    held = _levelled(np.hstack([tight.a, tight.c]))
    kernel = _null_space(held[:, np.append(free, np.ones(tight.c.shape[1], dtype=bool))], RANK)
    moves = np.zeros((len(v), kernel.shape[1]))
    moves[free] = kernel[: free.sum()]
    if classes > 1:
        each = moves.reshape(classes, len(v) // classes, kernel.shape[1])
        moves = (each - each.mean(axis=0)).reshape(moves.shape)
    if np.linalg.norm(moves) <= SEEN:
        return True
    if geometry == "l1":  # an entry that is zero may only take the sign of its force
        edge, sign = free & (np.abs(v) <= TIE * np.abs(v).max()), face.sign
    else:  # an entry at the bound may only shrink
        edge, sign = free & (np.abs(v) >= (1.0 - TIE) * np.abs(v).max()), -np.sign(v)
    bounds = (sign[:, None] * np.eye(len(v))[:, free])[edge]
    bounds = np.hstack([bounds, np.zeros((len(bounds), tight.c.shape[1]))])
    tied = np.vstack([np.hstack([tight.tied_a[:, free], tight.tied_c]), bounds])
    sizes = np.abs(v[edge])
    spare = np.append(_spare(tight, found, geometry), sizes if geometry == "l1" else 1.0 - sizes)
    least, spare = _limits(_levelled(tied) @ kernel, spare / _lengths(tied), TIE)
    if not len(least):
        return False
    objective = np.random.default_rng(0).standard_normal(len(v)) @ moves
    return not any(_farthest(sign * objective, least, spare) > SEEN for sign in (1.0, -1.0))


def unique_spectral(tight: Tight, found: Polished, classes: int) -> bool:
    """Whether W, summing to zero over classes, is unique in the spectral norm.

    The face of the ball is { t U1 V1^T + U2 X V2^T }, (U1, V1) the singular vectors that the forces
    share with W: X moves.
    """
    left = summing_to_zero(classes)
    w = left.T @ found.v.reshape(classes, -1)
    forces = left.T @ (tight.a.T @ found.alpha).reshape(classes, -1)
    parts = np.linalg.svd(forces, compute_uv=False)
    r = int((parts > TIE * parts[0]).sum())
    u, sizes, vt = np.linalg.svd(w)
    u2, v2 = u[:, r:], vt[r:].T

    x = u2.shape[1] * v2.shape[1]

    def over_x(a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"]) -> np.ndarray:
        whole = _levelled(np.hstack([a, c]))
        rows = whole[:, : a.shape[1]].reshape(len(a), classes, len(v2))
        return np.hstack([(u2.T @ (left.T @ rows) @ v2).reshape(len(a), x), whole[:, a.shape[1] :]])

    # rows of length 1: what is left of one in the span of (U1, V1) is rounding, not a row
    held, tied = over_x(tight.a, tight.c), over_x(tight.tied_a, tight.tied_c)
    if x + _rank(held[:, x:], RANK_SPECTRAL) <= _rank(held, RANK_SPECTRAL):
        return True
    if not len(tied) and sizes[r : r + 1].max(initial=0.0) < sizes[0] * (1.0 - TIE):
        return False
    kernel = _null_space(held, RANK_SPECTRAL)
    lengths = _lengths(np.hstack([tight.tied_a, tight.tied_c]))
    spare = _spare(tight, found, "spectral") / lengths
    limits = _limits(tied @ kernel, spare, RANK_SPECTRAL)
    return not _moves_in_ball(u2.T @ w @ v2 / sizes[0], kernel[:x], *limits)


def _spare(tight: Tight, found: Polished, geometry: Geometry) -> Float64[np.ndarray, " l"]:
    """What the tied rows have to spare for |w| = 1."""
    margins = tight.tied_a @ found.v + tight.tied_c @ found.u
    return (margins - 1.0) / norm(found.v, geometry)


def _limits(
    least: Float64[np.ndarray, "l y"], spare: Float64[np.ndarray, " l"], window: float
) -> tuple[Float64[np.ndarray, "m y"], Float64[np.ndarray, " m"]]:
    """(least, spare) of the tied rows, of length 1, over moves y: least y >= -spare.

    Made of length 1 as the moves see them: a row that hardly feels them lets w move far before what
    it has to spare is used up. One that no move changes says nothing, and its rounding must not.
    """
    sizes = np.linalg.norm(least, axis=1)
    felt = sizes > window
    allowed = np.maximum(spare, 0.0) + ROUNDING
    return least[felt] / sizes[felt, None], allowed[felt] / sizes[felt]


def _moves_in_ball(
    inside: Float64[np.ndarray, "k d"],
    moves: Float64[np.ndarray, "x y"],
    least: Float64[np.ndarray, "m y"],
    spare: Float64[np.ndarray, " m"],
) -> bool:
    """Whether X can leave `inside` along `moves` y, no singular value above 1, least y >= -spare.

    Also where Clarabel cannot tell: nothing is called unique that was not shown to be.
    """
    y = cp.Variable(moves.shape[1])
    step = cp.reshape(moves @ y, inside.shape, order="C")
    limits: list[cp.Constraint] = [cp.sigma_max(inside + step) <= 1.0]
    if len(least):
        limits.append(least @ y >= -spare)
    objective = np.random.default_rng(0).standard_normal(inside.size) @ moves
    for sign in (1.0, -1.0):
        program = cp.Problem(cp.Maximize(sign * (objective @ y)), limits)
        solved = any(optimal(program, tolerance) for tolerance in (1e-8, 1e-6))
        if not solved or float(np.abs(np.asarray(step.value)).max()) > SEEN_SPECTRAL:
            return True
    return False


def _farthest(
    objective: Float64[np.ndarray, " x"],
    least: Float64[np.ndarray, "m x"],
    spare: Float64[np.ndarray, " m"],
) -> float:
    """max objective.x s.t. least x >= -spare, |x| <= 1 entrywise; inf where HiGHS cannot tell."""
    found = linprog(-objective, -least, spare, bounds=(-1.0, 1.0), method="highs")
    return -float(found.fun) if found.status == 0 else np.inf


def _levelled(rows: Float64[np.ndarray, "m x"]) -> Float64[np.ndarray, "m x"]:
    """Rows of length 1, so that a rank does not feel their sizes; zero rows stay."""
    return rows / _lengths(rows)[:, None]


def _lengths(rows: Float64[np.ndarray, "m x"]) -> Float64[np.ndarray, " m"]:
    """Of every row; 1 for zero rows."""
    sizes = np.linalg.norm(rows, axis=1)
    return np.where(sizes > 0, sizes, 1.0)


def _rank(rows: Float64[np.ndarray, "m x"], rank: float) -> int:
    """How many singular values of the rows, of length 1 or less, exceed `rank`."""
    return int((np.linalg.svd(rows, compute_uv=False) > rank).sum()) if rows.size else 0


def _null_space(rows: Float64[np.ndarray, "m x"], rank: float) -> Float64[np.ndarray, "x y"]:
    """An orthonormal basis of what the rows send to zero."""
    return np.linalg.svd(rows)[2][_rank(rows, rank) :].T
