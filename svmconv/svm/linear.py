"""The hard-margin program in the l1 and linf norms: a linear program and the polish of its vertex.

    l1      min sum(p + m)  s.t.  A (p - m) + C u >= 1,        p, m >= 0,       v = p - m
    linf    min t           s.t.  A (p - t) + C u >= 1,   0 <= p <= 2 t,        v = p - t
    dual    max sum a       s.t.  |A^T a|_* <= 1,  C^T a = 0,  a >= 0

HiGHS answers with a vertex, right to 1e-10 or so. On the face of the norm ball that v lies in the
norm is linear: v = E z with |v| = e.z, where z holds the nonzero entries (l1, e their signs), or
the entries strictly inside and the largest size (linf, e = (0, .., 0, 1)). So the vertex solves

    [A E, C] (z, u) = 1 on the tight rows,       [A E, C]^T a = (e, 0) with the supporting rows,

which is done again here, as corrections to what HiGHS says (iterative refinement): right to the
conditioning of the active rows, like the polish of l2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from scipy.linalg import lstsq
from scipy.optimize import linprog

from svmconv.geometry import dual_norm, norm
from svmconv.problem import Geometry
from svmconv.svm.polish import Polished

ZERO = 1e-11
"""Parts of the largest below which entries, duals and distances from a bound are rounding."""
WINDOWS = (1e-8, 0.0)
"""How near to tight still counts as tight in the polish: ties first, then the solver's word."""
RANK = 1e-12
"""Singular values below this part of the largest count as zero in a least-norm correction."""


class Face(NamedTuple):
    """v = E z on a face of the norm ball, |v| = e.z there."""

    inside: Bool[np.ndarray, " s"]
    """Entries that are unknowns of their own; the others are 0 (l1) or at the bound (linf)."""
    sign: Float64[np.ndarray, " s"]
    """Sign of every entry; used where the entry is not 0 (l1), or not inside (linf)."""
    geometry: Geometry

    @property
    def rows(self) -> Float64[np.ndarray, "s z"]:
        """E."""
        unknowns = np.eye(len(self.inside))[:, self.inside]
        if self.geometry == "l1":
            return unknowns
        return np.column_stack([unknowns, np.where(self.inside, 0.0, self.sign)])

    @property
    def cost(self) -> Float64[np.ndarray, " z"]:
        """e."""
        if self.geometry == "l1":
            return self.sign[self.inside]
        return np.append(np.zeros(self.inside.sum()), 1.0)


def solve(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], geometry: Geometry
) -> Polished | None:
    """min |v| s.t. a v + c u >= 1 by HiGHS: its simplex, else its interior point method.

    None unless the status is "optimal". The duals sum to |v|.
    """
    (m, s), q = a.shape, c.shape[1]
    if geometry == "l1":
        rows, cost = np.hstack([a, -a, c]), np.append(np.ones(2 * s), np.zeros(q))
    else:
        rows = np.block([
            [a, -a.sum(axis=1, keepdims=True), c],
            [-np.eye(s), np.full((s, 1), 2.0), np.zeros((s, q))],
        ])  # fmt: skip
        cost = np.concatenate([np.zeros(s), [1.0], np.zeros(q)])
    bounds = [(0.0, None)] * (len(cost) - q) + [(None, None)] * q
    least = np.where(np.arange(len(rows)) < m, 1.0, 0.0)
    limits = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    for method in ("highs-ds", "highs-ipm"):
        options = {"time_limit": 300.0, **limits}
        found = linprog(cost, -rows, -least, bounds=bounds, method=method, options=options)
        if found.status == 0:
            v = found.x[:s] - (found.x[s : 2 * s] if geometry == "l1" else found.x[s])
            alpha = np.maximum(-found.ineqlin.marginals[:m], 0.0)
            return Polished(v, found.x[len(cost) - q :], alpha)
    return None


def polish(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    rough: Polished,
    geometry: Geometry,
) -> Polished:
    """The vertex as the solution of its active system; what closes the gap best is kept."""
    refined = [_refined(a, c, rough, geometry, window) for window in WINDOWS]
    return min([*refined, rough], key=lambda found: gap(a, c, found, geometry))


def gap(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    found: Polished,
    geometry: Geometry,
    shape: tuple[int, ...] = (-1,),
) -> float:
    """Relative gap on these rows, without its rounding: to compare answers, not to certify one.

    `shape` is that of v as the norm takes it. inf where no row has a positive margin.
    """
    v, forces = found.v.reshape(shape), (a.T @ found.alpha).reshape(shape)
    least, total = float((a @ found.v + c @ found.u).min()), float(found.alpha.sum())
    if not (least > 0 and total > 0):
        return np.inf
    imbalance = float(np.abs(c.T @ found.alpha).sum()) * norm(v, geometry)
    return (dual_norm(forces, geometry) * norm(v, geometry) + imbalance) / (total * least) - 1.0


def face_of(v: Float64[np.ndarray, " s"], geometry: Geometry) -> Face:
    """The face of the norm ball that v lies in the interior of."""
    largest = np.abs(v).max()
    near = ZERO * largest
    inside = np.abs(v) > near if geometry == "l1" else np.abs(v) < largest - near
    return Face(inside, np.sign(v), geometry)


def exposed_face(
    v: Float64[np.ndarray, " s"],
    forces: Float64[np.ndarray, " s"],
    geometry: Geometry,
    window: float,
) -> Face:
    """The face of the norm ball where <forces, .> is largest, v in it; every optimum lies there."""
    size = np.abs(forces)
    if geometry == "l1":
        return Face(size >= size.max() * (1.0 - window), np.sign(forces), geometry)
    return Face(size <= size.max() * window, np.sign(v), geometry)


def _refined(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    rough: Polished,
    geometry: Geometry,
    window: float,
) -> Polished:
    """The active system solved again, with all that is within `window` of tight taken as tight."""
    alpha = np.where(rough.alpha > ZERO * rough.alpha.max(), rough.alpha, 0.0)
    supporting = alpha > 0
    here = face_of(rough.v, geometry)
    tight = supporting | (a @ rough.v + c @ rough.u <= 1.0 + window)
    z = rough.v[here.inside]
    z = z if geometry == "l1" else np.append(z, np.abs(rough.v).max())
    system = np.hstack([a[tight] @ here.rows, c[tight]])
    known = _corrected(system, np.append(z, rough.u), np.ones(len(system)))
    there = here
    if window:
        wider = exposed_face(rough.v, a.T @ alpha, geometry, window)
        there = wider._replace(inside=wider.inside | here.inside)
    system = np.hstack([a[supporting] @ there.rows, c[supporting]]).T
    target = np.append(there.cost, np.zeros(c.shape[1]))
    alpha[supporting] = np.maximum(_corrected(system, alpha[supporting], target), 0.0)
    return Polished(here.rows @ known[: len(z)], known[len(z) :], alpha)


def _corrected(
    system: Float64[np.ndarray, "m z"],
    start: Float64[np.ndarray, " z"],
    target: Float64[np.ndarray, " m"],
) -> Float64[np.ndarray, " z"]:
    """The solution of system x = target nearest to `start`, refined twice."""
    x = start
    for _ in range(3):
        x = x + lstsq(system, target - system @ x, cond=RANK, lapack_driver="gelsy")[0]
    return x
