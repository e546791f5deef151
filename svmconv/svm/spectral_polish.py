"""Newton's method on the optimality conditions of the spectral program.

At the optimum Z^T a = G has singular vectors of W to its largest singular value t, and only those:
G = P R^T (both with r columns, r the rank of G) with W R = t P and W^T P = t R. So, with the
supporting rows A and r once known, (W, u, P, R, a, t) is a root of

    W R = t P,   W^T P = t R,   A W + C u = 1,   A^T a = P R^T,   C^T a = 0,   |P|^2 = 1,

the last since the nuclear norm of G is |P|^2 = |R|^2. P and R are given up to one rotation, and W
may not be unique: each step is the least-norm one, so the root is the one nearest to the start and
the convergence is quadratic. Rows whose dual comes out negative leave, rows that fall short come
in, and r grows by one where a further singular value exceeds t: an active-set method around
Newton's.

A support and an r are first read off an interior point answer: a row supports if its dual exceeds
what its margin has beyond 1, a singular value counts if its part in G exceeds what it lacks of t.
Where a tied row has dual zero both are the square root of the gap, and Newton's steps with it in
the set only halve the error: the fourth power of a dual leaves such rows out. The square root
admits smaller duals. (The certificate judges what comes of it, so no proof is needed that these
rules are right.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from scipy.linalg import lstsq

from svmconv.svm.linear import gap
from svmconv.svm.outcome import GAP, TIGHT
from svmconv.svm.polish import Polished
from svmconv.svm.spectral import reduced, sharpened

POWERS = (1.0, 4.0, 0.5)
"""Of a dual, before it is compared with what its row or singular value is away from tight."""
CHANGES = 6
"""Most changes of the active set."""
STEPS = 12
"""Newton steps on one active set; three to five are usual, but where a tied row of zero dual is in
the set each only halves the error."""
RANK = 1e-11
"""Singular values of the Jacobian below this part of the largest are those of its null space."""
DONE = 1e-12
"""A step or a gap this small is the end."""
DUST = 1e-9
"""A dual whose row pulls by less than this part of the hardest pull is none: an interior point
answer has some on every row, Newton's on tied ones."""
LOST = 1.0
"""A step this long beside t and |P|, both near 1, starts from the wrong active set."""
SETTLED = 1e-9
"""So does a last step longer than this."""
TOO_MANY = 4000
"""Unknowns beyond which the Jacobian is not worth its memory: the solver's answer stays."""


class Root(NamedTuple):
    """The unknowns; W as its part B in the span of the active rows."""

    b: Float64[np.ndarray, "k e"]
    u: Float64[np.ndarray, " q"]
    p: Float64[np.ndarray, "k r"]
    r: Float64[np.ndarray, "e r"]
    a: Float64[np.ndarray, " m"]
    t: float


def polish(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], rough: Polished, classes: int
) -> Polished:
    """The best of the answers that Newton's method finds from `rough`, and `rough` itself.

    Its duals are zero but on rows of margin 1 that pull, unless that alone would open the gap.
    """

    def opening(found: Polished) -> float:
        return gap(a, c, found, "spectral", (classes, -1))

    best = rough = sharpened(a, c, rough, classes)
    for power in POWERS:
        best = min(best, _pivoted(a, c, rough, power, classes), key=opening)
        if opening(best) < DONE:
            break
    margins = a @ best.v + c @ best.u
    pull = best.alpha * np.linalg.norm(a, axis=1)
    held = (margins <= (1.0 + TIGHT) * margins.min()) & (pull > DUST * pull.max())
    clean = best._replace(alpha=np.where(held, best.alpha, 0.0))
    return clean if opening(clean) <= GAP else best


def _pivoted(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    rough: Polished,
    power: float,
    classes: int,
) -> Polished:
    """What Newton's method ends in, the active set changed after every root."""
    found, answer = rough, rough
    active, rank = _active_set(a, c, rough, power, classes)
    for _ in range(CHANGES):
        new = _newton(a, c, rough, found.alpha, active, rank, classes) if active.any() else None
        if new is None:
            break
        found, top = new
        answer = found._replace(alpha=np.maximum(found.alpha, 0.0))
        negative = found.alpha < -DONE * np.abs(found.alpha).max()
        short = a @ found.v + c @ found.u < 1.0 - DONE
        values = np.linalg.svd(found.v.reshape(classes, -1), compute_uv=False)
        above = bool(values[0] > top * (1 + DONE)) and rank < len(values) - 1
        if not (negative.any() or short.any() or above):
            break
        active, rank = (active & ~negative) | short, rank + above
    return answer


def _active_set(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    rough: Polished,
    power: float,
    classes: int,
) -> tuple[Bool[np.ndarray, " m"], int]:
    """The rows that seem to support, the multiplicity that the top singular value seems to have."""
    beyond = np.maximum(a @ rough.v + c @ rough.u - 1.0, 0.0)
    active = (rough.alpha / rough.alpha.sum()) ** power > beyond
    values = np.linalg.svd(rough.v.reshape(classes, -1), compute_uv=False)
    parts = np.linalg.svd((a.T @ rough.alpha).reshape(classes, -1), compute_uv=False)
    rank = int(((parts / parts.sum()) ** power > 1.0 - values / values[0]).sum())
    return active, max(1, min(rank, classes - 1))


def _newton(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    rough: Polished,
    alpha: Float64[np.ndarray, " m"],
    active: Bool[np.ndarray, " m"],
    rank: int,
    classes: int,
) -> tuple[Polished, float] | None:
    """The root for these active rows and this rank, and its t; None if none is found."""
    small, c_active = reduced(a[active], classes), c[active]
    b = small.part(rough.v)
    k, e = b.shape
    if (k + rank) * e + k * rank + active.sum() > TOO_MANY or rank > e:
        return None
    forces = (small.a.T @ alpha[active]).reshape(k, e)
    u1, h, v1 = np.linalg.svd(forces, full_matrices=False)
    roots = np.sqrt(h[:rank] / h.sum())
    root = Root(b, rough.u, u1[:, :rank] * roots, v1[:rank].T * roots, alpha[active] / h.sum(), 0.0)
    root = root._replace(t=float(np.linalg.norm(rough.v.reshape(classes, -1), 2)))
    sizes = np.cumsum([k * e, c.shape[1], k * rank, e * rank, len(c_active)])
    largest = 0.0
    for _ in range(STEPS):
        residual, jacobian = _equations(small.a, c_active, root)
        step = lstsq(jacobian, -residual, cond=RANK, lapack_driver="gelsy", overwrite_a=True)[0]
        largest = float(np.abs(step).max())
        if not largest < LOST:
            return None
        parts = np.split(step, sizes)
        root = Root(
            *(old + new.reshape(old.shape) for old, new in zip(root[:5], parts[:5], strict=True)),
            t=root.t + float(parts[5][0]),
        )
        if largest < DONE:
            break
    if largest > SETTLED:
        return None
    duals = np.zeros(len(a))
    duals[active] = root.a
    outside = rough.v.reshape(classes, -1) - small.whole(b).reshape(classes, -1)
    frame = small.left @ np.linalg.qr(root.p)[0]
    outside -= frame @ (frame.T @ outside)
    return Polished(small.whole(root.b) + outside.ravel(), root.u, duals), root.t


def _equations(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], root: Root
) -> tuple[Float64[np.ndarray, " f"], Float64[np.ndarray, "f x"]]:
    """The residual of the conditions and its derivative in (B, u, P, R, a, t), blocks in order."""
    b, u, p, r, duals, t = root
    (k, e), rank, (m, q) = b.shape, p.shape[1], c.shape
    residual = [
        b @ r - t * p,
        b.T @ p - t * r,
        a @ b.ravel() + c @ u - 1.0,
        a.T @ duals - (p @ r.T).ravel(),
        c.T @ duals,
        np.array([np.sum(p * p) - 1.0]),
    ]
    one_k, one_e, one_r = np.eye(k), np.eye(e), np.eye(rank)
    swapped = np.einsum("jl,ka->kjla", one_e, p).reshape(k * e, e * rank)
    turned = np.einsum("jl,ka->jakl", one_e, p).reshape(e * rank, k * e)
    none = np.zeros
    blocks = [
        [np.kron(one_k, r.T), none((k * rank, q)), -t * np.eye(k * rank), np.kron(b, one_r),
         none((k * rank, m)), -p.reshape(-1, 1)],
        [turned, none((e * rank, q)), np.kron(b.T, one_r), -t * np.eye(e * rank),
         none((e * rank, m)), -r.reshape(-1, 1)],
        [a, c, none((m, (k + e) * rank + m + 1))],
        [none((k * e, k * e + q)), -np.kron(one_k, r), -swapped, a.T, none((k * e, 1))],
        [none((q, k * e + q + (k + e) * rank)), c.T, none((q, 1))],
        [none((1, k * e + q)), 2.0 * p.reshape(1, -1), none((1, e * rank + m + 1))],
    ]  # fmt: skip
    return np.concatenate([part.ravel() for part in residual]), np.block(blocks)
