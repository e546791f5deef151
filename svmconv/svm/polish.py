"""Exact solution on a working set, by a dual active-set method started from a solver's duals.

The method of Goldfarb and Idnani (Math. Programming 27 (1983)) solves min |f|^2 / 2 s.t. F f >= r
with a QR factorisation of the active rows, so the answer is exact up to the conditioning of the
active set itself. Every step keeps the duals nonnegative and raises the dual objective, so it ends:
with no violated row, or with a row that is a nonpositive combination of the active ones, which
proves that the rows cannot be separated.

The free bias costs nothing, so F f >= r has no unique solution in it. It is found by the proximal
point method (Rockafellar, SIAM J. Control Optim. 14 (1976)): penalise |u - u_k|^2 DELTA^2 / 2, move
u_k to the solution, and repeat until the duals balance, which ends after a few rounds since the
active set stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from scipy.linalg import qr_delete, qr_insert
from scipy.linalg.lapack import dtrtrs

from svmconv.svm.separability import sharpen

DEPENDENT = 1e-10
"""A row is dependent on the active ones if less than this part of it lies outside their span."""
ZERO = 1e-12
"""Duals below this part of the largest are rounding: the row is tight but supports nothing."""
ROUNDING = 1e-14
"""A margin this far below 1 counts as 1."""
BATCH = 10
"""Violated rows brought in between two pricings of all rows."""
PROXIMAL = 100
"""Most proximal steps; two or three are usual."""
DELTA = 1e-3
"""Square root of the proximal weight, relative to |v|."""
GROWN = (1.0, 1e3, 1e6)
"""Factors of DELTA to try: where rows differ in size, |v| is not known beforehand."""


class Polished(NamedTuple):
    """The exact solution on the rows that were given."""

    v: Float64[np.ndarray, " s"]
    u: Float64[np.ndarray, " q"]
    alpha: Float64[np.ndarray, " m"]


class Infeasible(Exception):
    """`weights` (m,) >= 0: a combination of the rows that is zero, so nothing separates them."""

    def __init__(self, weights: Float64[np.ndarray, " m"]) -> None:
        super().__init__("the rows cannot be separated")
        self.weights = weights


def polish(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    alpha: Float64[np.ndarray, " m"],
    r: Float64[np.ndarray, " m"] | None = None,
) -> Polished | None:
    """min |v|^2 / 2 s.t. a v + c u >= r (by default 1), from the duals `alpha` (any guess will do).

    None if it did not converge within its iteration limit; raises Infeasible.
    """
    r = np.ones(len(a)) if r is None else r
    delta = DELTA * float(np.sqrt(alpha.sum()) or 1.0 / (np.linalg.norm(a, axis=1).max() or 1.0))
    for grown in GROWN:
        try:
            return _proximal(a, c, alpha, r, delta * grown)
        except Infeasible as proof:
            # beside a short row a free column that is too long looks like all there is
            if not c.shape[1] or grown == GROWN[-1] or sharpen(a, c, proof.weights) is not None:
                raise
    return None


def _proximal(
    a: Float64[np.ndarray, "m s"],
    c: Float64[np.ndarray, "m q"],
    alpha: Float64[np.ndarray, " m"],
    r: Float64[np.ndarray, " m"],
    delta: float,
) -> Polished | None:
    """Proximal steps of weight delta^2 until the duals balance; one step without a free bias."""
    q = c.shape[1]
    active = ActiveSet(np.hstack([a, c / delta]) if q else a)
    u = np.zeros(q)
    order = np.flatnonzero(alpha > ZERO * alpha.max())
    order = order[np.argsort(-alpha[order], kind="stable")]
    for _ in range(PROXIMAL):
        if not active.solve(r - c @ u, order):
            return None
        order = np.asarray(active.index)
        step = active.f[a.shape[1] :] / delta
        u = u + step
        if q == 0 or np.abs(c @ step).max() <= ROUNDING * (1.0 + np.abs(c @ u).max()):
            break
    # where rounding stops the steps from shrinking further, the certificate judges
    return Polished(active.f[: a.shape[1]], u, _balanced(c, active.alpha))


def rounding_slack(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], answer: Polished
) -> Float64[np.ndarray, " m"]:
    """Room for the rounding of v and u in every margin.

    Margins of 1 + room stay above 1 when v is rounded, and cost no more than that: |v|^2 = r.alpha
    grows by the fraction EPS |v| sum alpha |a| / |v|^2, a few EPS however long a row may be.
    """
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(answer.v)
    return 2.0 * np.finfo(np.float64).eps * (size + np.abs(c) @ np.abs(answer.u))


def _balanced(
    c: Float64[np.ndarray, "m q"], duals: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, " m"]:
    """The duals, with the rounding left in C^T a = 0 spread over them in proportion."""
    spread = duals[:, None] * c
    share = np.linalg.lstsq(c.T @ spread, c.T @ duals)[0]
    return np.maximum(duals - spread @ share, 0.0)


class ActiveSet:
    """min |f|^2 / 2 s.t. rows f >= r: the active rows, their duals, the QR of their transpose."""

    def __init__(self, rows: Float64[np.ndarray, "m s"]) -> None:
        self.rows = rows
        self.sizes = np.linalg.norm(rows, axis=1)
        self.r = np.ones(len(rows))
        self.tight = np.zeros(len(rows), dtype=bool)
        self.index: list[int] = []
        self._factorise(np.array([], dtype=int))

    def solve(self, r: Float64[np.ndarray, " m"], order: Int[np.ndarray, " k"]) -> bool:
        """Start from the active set `order` and pivot until no row is violated; False if stuck."""
        self.r = r
        self._start(order)
        for _ in range(20 * sum(self.rows.shape)):
            moved = False
            for j in self._short(np.arange(len(self.rows)))[:BATCH]:
                if len(self._short(np.array([j]))):  # unless another row has cured it
                    self._bring_in(int(j))
                    moved = True
            if not moved:
                return True
        return False

    def _short(self, some: Int[np.ndarray, " k"]) -> Int[np.ndarray, " l"]:
        """The rows below r by more than the rounding of a margin, worst first."""
        slack = self.r[some] - self.rows[some] @ self.f
        slack[self.tight[some]] = 0.0
        below = slack > ROUNDING
        some, slack = some[below], slack[below]
        real = slack > ROUNDING + 4e-16 * (np.abs(self.rows[some]) @ np.abs(self.f))
        return some[real][np.argsort(-slack[real])]

    @property
    def alpha(self) -> Float64[np.ndarray, " m"]:
        """The duals of all rows, zero off the active set."""
        alpha = np.zeros(len(self.rows))
        alpha[self.index] = self.duals
        return alpha

    def _start(self, order: Int[np.ndarray, " k"]) -> None:
        """The largest part of `order` that is independent and has positive duals."""
        while True:
            if list(order) == self.index:
                self._refresh()
            else:
                self._factorise(order)
            if len(self.index) < len(order):  # dependent rows were left out
                order = np.asarray(self.index)
            keep = self.duals > ZERO * self.duals.max(initial=0.0)
            if keep.all():
                return
            order = order[keep]

    def _factorise(self, order: Int[np.ndarray, " k"]) -> None:
        s = self.rows.shape[1]
        while True:
            q, r = np.linalg.qr(self.rows[order].T)
            # |R_jj| is the distance of row j from the span of the rows before it
            outside = np.abs(np.diag(r)) > DEPENDENT * self.sizes[order[:s]]
            if outside.all() and len(order) <= s:
                break
            order = order[:s] if outside.all() else np.append(order[:s][outside], order[s:])
        self.index = [int(i) for i in order]
        self.tight[:] = False
        self.tight[self.index] = True
        self.q, self.upper = q, r
        self._refresh()

    def _refresh(self) -> None:
        """The least-norm f with every active row tight, and its duals, from the factors.

        One step of iterative refinement restores the digits that a long free column costs.
        """
        rows, r = self.rows[self.index], self.r[self.index]
        along = _solve(self.upper, r, transposed=True)
        self.f = self.q @ along
        self.duals = _solve(self.upper, along)
        short = _solve(self.upper, r - rows @ self.f, transposed=True)
        self.f = self.f + self.q @ short
        along = self.q.T @ (self.f - rows.T @ self.duals)
        self.duals = self.duals + _solve(self.upper, along)

    def _bring_in(self, j: int) -> None:
        """Make row j active, dropping rows whose dual would turn negative on the way."""
        row, gained = self.rows[j], 0.0
        while True:
            along = self.q.T @ row
            across = row - self.q @ along
            again = self.q.T @ across  # once more: the first projection loses digits
            along, across = along + again, across - self.q @ again
            response = _solve(self.upper, along)
            response[np.abs(response) <= 1e-13 * np.abs(response).max(initial=0.0)] = 0.0
            height = float(np.linalg.norm(across))
            free = height > DEPENDENT * self.sizes[j] and len(self.index) < len(row)
            full = (self.r[j] - row @ self.f) / height**2 if free else np.inf
            ratios = np.full(len(response), np.inf)
            falling = response > 0
            ratios[falling] = np.maximum(self.duals[falling], 0.0) / response[falling]
            blocking = int(np.argmin(ratios)) if len(ratios) else -1
            step = min(full, ratios[blocking] if len(ratios) else np.inf)
            if not np.isfinite(step):
                weights = np.zeros(len(self.rows))
                weights[self.index], weights[j] = -response, 1.0
                raise Infeasible(np.maximum(weights, 0.0))
            self.duals = self.duals - step * response
            gained += step
            if free:
                self.f = self.f + step * across
            if step == full:
                self._insert(j)
                return
            self._drop(blocking)

    def _insert(self, j: int) -> None:
        k = len(self.index)
        if k == 0:
            self._factorise(np.array([j]))
            return
        self.q, self.upper = qr_insert(
            self.q, self.upper, self.rows[j], k, which="col", check_finite=False
        )
        self.index.append(j)
        self.tight[j] = True
        self._refresh()

    def _drop(self, i: int) -> None:
        self.q, self.upper = qr_delete(self.q, self.upper, i, which="col", check_finite=False)
        # economic deletion keeps the shapes (s, k) and (k, k) of the smaller set
        self.q, self.upper = self.q[:, : self.upper.shape[1]], self.upper[: self.upper.shape[1]]
        self.tight[self.index.pop(i)] = False
        self.duals = np.delete(self.duals, i)


def _solve(
    upper: Float64[np.ndarray, "k k"], b: Float64[np.ndarray, " k"], transposed: bool = False
) -> Float64[np.ndarray, " k"]:
    """upper^-1 b or upper^-T b, straight from LAPACK: the pivots make thousands of these calls."""
    return dtrtrs(upper, b, trans=int(transposed))[0] if len(b) else b
