"""max_margin: the exact hard-margin SVM by constraint generation.

Only a few rows decide a hard margin. Solve the program on a working set, exactly; price all rows;
add the most violated; repeat until none is. Each round's optimum is at least the last one's, so the
rounds end.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import get_args

import numpy as np
from threadpoolctl import ThreadpoolController

from svmconv.errors import CertificateError, NotSeparableError
from svmconv.problem import Bias, Geometry, Problem, check_choice, check_problem
from svmconv.svm import programs
from svmconv.svm.certificate import check_augmented
from svmconv.svm.generation import in_norm
from svmconv.svm.offset import common_offset, moved_back
from svmconv.svm.outcome import certified, not_separable
from svmconv.svm.polish import Infeasible, Polished, polish
from svmconv.svm.pricing import SLACK, nearest, violated
from svmconv.svm.result import MaxMargin
from svmconv.svm.rows import Pairs, SignedRows
from svmconv.svm.separability import zero_combination
from svmconv.svm.soften import soften

FREE = 1e8
"""A constant column this many times the features makes |b| / column invisible in |(w, b / sqrt c)|:
the augmented program is then solved as the free one (and still certified as augmented)."""
ROUNDS = 200
SOFT_ROUNDS = 15
NEARLY = 0.95
"""The first guess is good enough once every row has this margin."""
SPARE = 200
"""Rows that the first working set holds beyond twice the number of weights."""
BLAS = ThreadpoolController()
"""The linear algebra libraries of this process: looking for them anew takes as long as a solve."""


def max_margin(
    problem: Problem,
    *,
    bias: Bias = "none",
    bias_scale: float = 1.0,
    geometry: Geometry = "l2",
) -> MaxMargin:
    """The hard-margin SVM of a problem, exact to rounding and certified on every row.

    bias "none": min |w|. "augmented": min |w|^2 + b^2 / bias_scale, what descent on (w, b) reaches.
    "free": min |w| over w and b, the classical SVM. K classes: Crammer and Singer's form.

    geometry: the norm |w|. "l1" and "linf" are entrywise, "spectral" is the largest singular value
    of W, for two classes the same as "l2". Off l2 the answer need not be unique (see `unique`).

    Raises NotSeparableError, with a combination of rows that proves it; CertificateError if the
    bounds stay further apart than 1e-9; DataError on unknown or unavailable options.
    """
    check_problem(problem)
    check_choice("bias", bias, get_args(Bias))
    check_choice("geometry", geometry, get_args(Geometry))
    check_augmented(bias, geometry)
    problem.rows("none", bias_scale)  # refuses a bias_scale that is not positive
    _check_spread(problem)
    rows = SignedRows(problem, bias, float(bias_scale))
    if rows.column > FREE:
        rows = SignedRows(problem, "free", rows.bias_scale)
    # more threads only get into each other's way on matrices this small
    with BLAS.limit(limits=1), ThreadPoolExecutor(1) as second_core:
        second_core.submit(lambda: problem.id)  # hashing many rows takes as long as solving
        offset = common_offset(problem.x) if bias == "free" else np.zeros(problem.d)
        if not offset.any():
            return _in_geometry(rows, bias, geometry)
        near = replace(rows, problem=Problem(problem.x - offset, problem.y, problem.name))
        return moved_back(problem, _in_geometry(near, bias, geometry), offset)


def _in_geometry(rows: SignedRows, bias: Bias, geometry: Geometry) -> MaxMargin:
    l2 = _l2(rows, bias)
    if geometry == "l2":
        return l2
    if geometry == "spectral" and rows.problem.binary:
        return replace(l2, geometry=geometry)  # of a single vector they are one norm
    return in_norm(rows, l2, geometry)


def _check_spread(problem: Problem) -> None:
    """CertificateError if a row is so much smaller than the largest that its square underflows."""
    sizes = np.maximum(problem.x.max(axis=1), -problem.x.min(axis=1))
    small = (sizes > 0) & (sizes < problem.scale * 1e-140)
    if small.any():
        row = int(small.argmax())
        raise CertificateError(
            f"row {row} has size {sizes[row]:.1e}, the largest {sizes.max():.1e}: float64 cannot "
            "hold both in one program; rescale or drop the row",
            lower=0.0,
            upper=float("inf"),
        )


def _l2(rows: SignedRows, bias: Bias) -> MaxMargin:
    """Constraint generation; `bias` is the kind that was asked for (see FREE)."""
    working = _first_rows(rows)
    alpha = np.zeros(len(working))
    solvers: list[str] = []
    continued = False  # the first working set always goes to a solver
    for rounds in range(1, ROUNDS + 1):
        try:
            answer, solver = _exact(rows, working, alpha if continued else None)
        except Infeasible as proof:
            with_intercept = bias == "none" and _separable_with_intercept(rows.problem)
            raise not_separable(
                rows, bias, working, proof.weights, intercept_would_do=with_intercept
            ) from None
        solvers.append(solver)
        margins = rows.margins(answer.v, answer.u)
        short = violated(margins, working, rows.size + 50)
        if not len(short):
            name = " + ".join(dict.fromkeys(solvers))
            return certified(rows, bias, working, answer, margins, name, rounds)
        keep = (answer.alpha > 0) | (margins.ravel()[working] <= SLACK)
        working = np.concatenate([working[keep], short])
        alpha = np.concatenate([answer.alpha[keep], np.zeros(len(short))])
        continued = len(short) <= 10 + rows.size // 16
    raise CertificateError(
        f"{ROUNDS} rounds of constraint generation were not enough: the rows are too close to "
        "non-separable for float64; rescale the features or drop near-duplicate rows",
        lower=0.0,
        upper=float("inf"),
    )


def _first_rows(rows: SignedRows) -> Pairs:
    """The rows nearest to a softened SVM that itself was found by constraint generation."""
    size = rows.size + rows.free
    margins = rows.margins(*rows.mean_difference())
    working = nearest(rows, margins, 2 * size + SPARE)
    guess, hardness = np.zeros(size), 0.0
    for _ in range(SOFT_ROUNDS):
        a, c = rows.take(working)
        hardness = hardness or 10.0 / (float(np.mean(np.einsum("ij,ij->i", a, a))) or 1.0)
        guess = soften(a, c, guess, hardness)
        margins = rows.margins(guess[: rows.size], guess[rows.size :])
        if margins.min() > NEARLY:
            break
        inside = margins.ravel()[working]
        if inside.min() < NEARLY:
            hardness *= 10.0
        working = np.append(working[inside < SLACK], violated(margins, working, size + 50))
    return nearest(rows, margins, 2 * size + SPARE)


def _exact(rows: SignedRows, working: Pairs, alpha: np.ndarray | None) -> tuple[Polished, str]:
    """The program on the working set, exactly; Infeasible if nothing separates its rows.

    Given duals are continued by the active-set method alone. Otherwise, or where it fails, a solver
    is asked, then its twin, and the answer is polished.
    """
    a, c = rows.take(working)
    if alpha is not None:
        polished = polish(a, c, alpha)
        if polished is not None:
            return polished, "active set"
    for twin in (False, True):
        found = programs.solve(a, c, twin=twin)
        if found is not None:
            polished = polish(a, c, found.alpha)
            if polished is not None:
                return polished, found.solver
        elif not twin:
            weights = zero_combination(a, c)
            if weights is not None:
                raise Infeasible(weights)
    polished = polish(a, c, np.zeros(len(a)))
    if polished is None:
        raise CertificateError(
            "no solver could settle the program: the rows are too close to non-separable for "
            "float64; rescale the features or drop near-duplicate rows",
            lower=0.0,
            upper=float("inf"),
        )
    return polished, "active set"


def _separable_with_intercept(problem: Problem) -> bool:
    try:
        max_margin(problem, bias="free")
    except (NotSeparableError, CertificateError):
        return False
    return True
