"""The hard-margin program as cvxpy states it, primal and dual; one compiled program per shape.

    primal   min |v|^2 / 2                    s.t.  A v + C u >= r
    dual     max r.a - |A^T a|^2 / 2          s.t.  C^T a = 0,  a >= 0

A (m, s), C (m, q) and r are parameters (DPP), so canonicalisation is paid once per shape. The
number of constraints is rounded up to a power of two; the rows that fill it read 0 >= -1. The
primal goes to DAQP, whose dual active set is the faster and more exact for dense rows; the dual to
Clarabel, an interior-point method with nothing in common with it.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import NamedTuple

import cvxpy as cp
import numpy as np
from jaxtyping import Float64


class Answer(NamedTuple):
    """What a solver claims: nonnegative duals, to be polished, and its name."""

    alpha: Float64[np.ndarray, " m"]
    solver: str


class Program(NamedTuple):
    """A parametrised cvxpy problem and where its duals are read."""

    problem: cp.Problem
    a: cp.Parameter
    c: cp.Parameter | None
    r: cp.Parameter
    alpha: cp.Constraint | cp.Variable
    solver: str
    options: dict[str, float]


def solve(
    a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], *, twin: bool = False
) -> Answer | None:
    """Duals of min |v|^2 / 2 s.t. a v + c u >= 1; None unless the solver's status is "optimal".

    `twin` asks the dual program, by another solver, in place of the primal.
    """
    rows = max(64, 1 << (len(a) - 1).bit_length())
    program = (_dual if twin else _primal)(rows, a.shape[1], c.shape[1])
    program.a.value = _filled(a, rows)
    program.r.value = np.where(np.arange(rows) < len(a), 1.0, -1.0)
    if program.c is not None:
        program.c.value = _filled(c, rows)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an inaccurate answer is refused below
            program.problem.solve(solver=program.solver, **program.options)
    except (cp.SolverError, MemoryError):  # the parametrised dual of 2048 x 784 asks for 25 GB
        return None
    found = program.alpha
    values = found.dual_value if isinstance(found, cp.Constraint) else found.value
    if program.problem.status != cp.OPTIMAL or not isinstance(values, np.ndarray):
        return None
    if not np.isfinite(values).all():
        return None
    return Answer(np.maximum(values[: len(a)], 0.0), program.solver)


@lru_cache(maxsize=8)
def _primal(m: int, s: int, q: int) -> Program:
    v, a, r = cp.Variable(s), cp.Parameter((m, s)), cp.Parameter(m)
    c = cp.Parameter((m, q)) if q else None
    margins = a @ v if c is None else a @ v + c @ cp.Variable(q)
    tight = margins >= r
    problem = cp.Problem(cp.Minimize(cp.sum_squares(v) / 2), [tight])
    return Program(problem, a, c, r, tight, cp.DAQP, {"iter_limit": 50 * (m + s)})


@lru_cache(maxsize=8)
def _dual(m: int, s: int, q: int) -> Program:
    alpha, a, r = cp.Variable(m, nonneg=True), cp.Parameter((m, s)), cp.Parameter(m)
    c = cp.Parameter((m, q)) if q else None
    problem = cp.Problem(
        cp.Maximize(r @ alpha - cp.sum_squares(a.T @ alpha) / 2),
        [] if c is None else [c.T @ alpha == 0],
    )
    return Program(problem, a, c, r, alpha, cp.CLARABEL, {"max_iter": 200})


def _filled(rows: Float64[np.ndarray, "m s"], m: int) -> Float64[np.ndarray, "M s"]:
    full = np.zeros((m, rows.shape[1]))
    full[: len(rows)] = rows
    return full
