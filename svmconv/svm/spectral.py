"""The hard-margin program in the spectral norm, as cvxpy states it, in as few unknowns as it has.

    min sigma_max(W)  s.t.  <Z_i, W> + c_i.u >= 1

Taking the mean over classes from W, or its part outside the span of the given rows, is a projection
from the left or the right: it raises no singular value and moves no margin. So W = Q B V^T with Q
(K, K - 1) orthonormal to (1, .., 1) and V (d, e) a basis of that span, and B has the norm of W.
Without the first reduction the program has no unique W, and interior point methods stall on it.

Rows far from tight cost an interior point method digits, and Clarabel's decomposition of the cone
does so too, for speed. Rounds of constraint generation need few digits; the last answer, which the
polish starts from, is asked for again on the nearly tight rows alone.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import cvxpy as cp
import numpy as np
from jaxtyping import Float64

from svmconv.svm.polish import Polished

ROUGH = 1e-6
"""Tolerance of the rounds."""
SHARP = 1e-9
"""Tolerance of the answer that the polish starts from."""
NEAR = 1.05
"""Margins up to this are nearly tight."""
MORE = 50
"""Most rows added at a time: a few solves of a small program are faster than one of a large."""
RANK = 1e-12
"""Directions in which the rows reach less than this part of their largest are not in the span."""


class Reduced(NamedTuple):
    """Rows in the coordinates of B, and the way back to W."""

    a: Float64[np.ndarray, "m x"]
    """(m, k e)."""
    left: Float64[np.ndarray, "K k"]
    right: Float64[np.ndarray, "d e"]

    def whole(self, b: Float64[np.ndarray, "k e"]) -> Float64[np.ndarray, " s"]:
        """W = Q B V^T, raveled."""
        return (self.left @ b @ self.right.T).ravel()

    def part(self, w: Float64[np.ndarray, " s"]) -> Float64[np.ndarray, "k e"]:
        """Q^T W V."""
        return self.left.T @ w.reshape(len(self.left), -1) @ self.right


def summing_to_zero(classes: int) -> Float64[np.ndarray, "K k"]:
    """Q: an orthonormal basis of what is orthogonal to (1, .., 1), K - 1 columns."""
    return np.linalg.svd(np.eye(classes) - 1.0 / classes)[0][:, :-1]


def reduced(a: Float64[np.ndarray, "m s"], classes: int) -> Reduced:
    """Pair rows (m, K d) over W in the coordinates of B."""
    rows = a.reshape(len(a), classes, -1)
    left = summing_to_zero(classes)
    _, sizes, across = np.linalg.svd(rows.reshape(-1, rows.shape[2]), full_matrices=False)
    right = across[sizes > RANK * sizes[0]].T
    return Reduced((left.T @ rows @ right).reshape(len(a), -1), left, right)


def solve(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    classes: int,
    tolerance: float = ROUGH,
) -> Polished | None:
    """W (raveled), u and duals that sum to |W|; None unless Clarabel's status is "optimal"."""
    small = reduced(a, classes)
    b = cp.Variable((small.left.shape[1], small.right.shape[1]))
    u = cp.Variable(c.shape[1]) if c.shape[1] else None
    margins = small.a @ cp.vec(b, order="C")
    tight = (margins if u is None else margins + c @ u) >= 1.0
    program = cp.Problem(cp.Minimize(cp.sigma_max(b)), [tight])
    for decompose in (True, False):
        if optimal(program, tolerance, decompose=decompose) and b.value is not None:
            biases = np.zeros(0) if u is None else np.asarray(u.value)
            alpha = np.maximum(np.asarray(tight.dual_value), 0.0)
            return Polished(small.whole(b.value), biases, alpha)
    return None


def sharpened(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], rough: Polished, classes: int
) -> Polished:
    """The answer to SHARP, by the nearly tight rows; `rough` itself where that cannot be had."""
    near = a @ rough.v + c @ rough.u <= NEAR
    while True:
        found = solve(a[near], c[near], classes, SHARP)
        if found is None:
            return rough
        margins = np.where(near, np.inf, a @ found.v + c @ found.u)
        if margins.min() >= 1.0 - ROUGH:
            alpha = np.zeros(len(a))
            alpha[near] = found.alpha
            return found._replace(alpha=alpha)
        worst = np.argsort(margins)[:MORE]
        near[worst[margins[worst] < 1.0 - ROUGH]] = True


def optimal(program: cp.Problem, tolerance: float, *, decompose: bool = True) -> bool:
    """Whether Clarabel calls its answer optimal to this tolerance."""
    options: dict[str, float] = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance)
    options |= {"max_iter": 200, "time_limit": 300.0, "chordal_decomposition_enable": decompose}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an inaccurate answer is refused
            program.solve(solver=cp.CLARABEL, **options)
    except cp.SolverError:
        return False
    return program.status == cp.OPTIMAL
