"""What constraint generation ends in: a certified MaxMargin, or a proof that there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from svmconv.errors import CertificateError, NotSeparableError
from svmconv.geometry import norm
from svmconv.problem import Bias
from svmconv.svm.certificate import Certificate, certify, check_infeasible
from svmconv.svm.direction import direction_bound
from svmconv.svm.polish import Infeasible, Polished, polish, rounding_slack
from svmconv.svm.result import MaxMargin
from svmconv.svm.rows import Pairs, SignedRows
from svmconv.svm.separability import ZERO, sharpen, zero_combination

GAP = 1e-9
"""Largest certified relative gap of an answer; the usual one is 1e-14."""
FINE = 1e-12
"""A larger gap than this is worth another polish, with room for the rounding of every margin."""
TIGHT = 1e-9
"""A row is active if its margin exceeds 1 by no more than this."""


def certified(
    rows: SignedRows,
    bias: Bias,
    working: Pairs,
    answer: Polished,
    margins: Float64[np.ndarray, "n j"],
    solver: str,
    rounds: int,
) -> MaxMargin:
    """The answer in the units of the problem, certified. Raises CertificateError beyond GAP."""
    problem, scale = rows.problem, rows.problem.scale
    w, b, alpha, certificate = _in_units(rows, bias, working, answer)
    if certificate.relative_gap > FINE:
        a, c = rows.take(working)
        try:
            again = polish(a, c, answer.alpha, 1.0 + rounding_slack(a, c, answer))
        except Infeasible:  # so ill-conditioned that the first answer is the better one
            again = None
        if again is not None:
            finer = _in_units(rows, bias, working, again)
            if finer[-1].relative_gap < certificate.relative_gap:
                answer, (w, b, alpha, certificate) = again, finer
    refuse_wide(certificate)
    support = alpha > 0 if problem.binary else alpha.any(axis=1)
    found = MaxMargin(
        w=w,
        b=b,
        margin=float(np.clip(scale / norm(answer.v), certificate.lower, certificate.upper)),
        alpha=alpha,
        support=np.flatnonzero(support),
        active=np.flatnonzero(support | (margins.min(axis=1) <= 1.0 + TIGHT)),
        certificate=certificate,
        bias=bias,
        bias_scale=rows.bias_scale,
        geometry="l2",
        solver=solver,
        rounds=rounds,
        problem_id=problem.id,
    )
    direction = direction_bound(problem, found.w_aug, alpha, bias=bias, bias_scale=rows.bias_scale)
    return replace(found, certificate=replace(certificate, direction=direction))


def refuse_wide(certificate: Certificate) -> None:
    """Raise CertificateError unless the relative gap is within GAP."""
    if not certificate.relative_gap <= GAP:
        raise CertificateError(
            f"the margin is only known to lie between {certificate.lower:.6g} and "
            f"{certificate.upper:.6g}: the rows are too close to non-separable for float64, or of "
            "very different sizes; rescale the features (or bias_scale)",
            lower=certificate.lower,
            upper=certificate.upper,
        )


def _in_units(
    rows: SignedRows, bias: Bias, working: Pairs, answer: Polished
) -> tuple[np.ndarray, float | np.ndarray, np.ndarray, Certificate]:
    """w, b and alpha in the units of the problem, and their certificate."""
    problem = rows.problem
    w, b = rows.weights(answer.v, answer.u)
    w, b = w / problem.scale, float(b) if problem.binary else b
    alpha = np.zeros(problem.n * rows.rivals)
    alpha[working] = answer.alpha / problem.scale**2
    alpha = alpha if problem.binary else alpha.reshape(problem.n, -1)
    return w, b, alpha, certify(problem, w, b, alpha, bias=bias, bias_scale=rows.bias_scale)


def not_separable(
    rows: SignedRows, bias: Bias, working: Pairs, weights: np.ndarray, *, intercept_would_do: bool
) -> NotSeparableError | CertificateError:
    """The error that carries the proof, checked by the certificate's own arithmetic."""
    problem = rows.problem
    a, c = rows.take(working)
    sharp = sharpen(a, c, weights)
    if sharp is None:
        sharp = zero_combination(a, c)
    residual, row, rivals = math.inf, working, None
    if sharp is not None:
        used = np.flatnonzero(sharp)
        order = used[np.argsort(working[used])]
        row, k = np.divmod(working[order], rows.rivals)
        rivals, weights = None if problem.binary else k, sharp[order]
        residual = check_infeasible(problem, row, weights, rivals, bias=bias)
    if residual > ZERO:
        return CertificateError(
            "the classes look non-separable, but that could not be proven: the margin is too small "
            "beside the features for float64; subtract from every feature its mean (with a bias), "
            "rescale it, or drop rows that lie far out",
            lower=0.0,
            upper=math.inf,
        )
    first = ", ".join(map(str, np.unique(row)[:5])) + (", ..." if len(np.unique(row)) > 5 else "")
    advice = "drop or relabel some of them"
    if intercept_would_do:
        advice = 'they are separable with an intercept: use bias="augmented" or bias="free"'
    return NotSeparableError(
        f"the classes cannot be separated{' through the origin' if bias == 'none' else ''}: a "
        f"convex combination of {len(np.unique(row))} signed rows is zero (rows {first}); {advice}",
        rows=row,
        weights=weights,
        residual=residual,
        rivals=rivals,
    )
