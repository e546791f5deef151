"""Constraint generation in the l1, linf and spectral norms, from the l2 answer on.

The l2 program comes first: it is fast, it proves non-separability, which is the same in every norm,
and the rows nearest to its answer are the first working set. Rounds end as in l2: no optimum is
below the one before, and rows are dropped only where it has risen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from svmconv.errors import CertificateError
from svmconv.geometry import norm
from svmconv.problem import Geometry
from svmconv.svm import linear, spectral, spectral_polish
from svmconv.svm.certificate import certify
from svmconv.svm.outcome import FINE, TIGHT, refuse_wide
from svmconv.svm.polish import Polished
from svmconv.svm.pricing import SLACK, nearest, violated
from svmconv.svm.result import MaxMargin
from svmconv.svm.rows import Pairs, SignedRows
from svmconv.svm.uniqueness import Tight, unique_linear, unique_spectral

ROUNDS = 200
ROUGH = 1e-6
"""What margins may lack in a solver's own answer; 1e-13 once it is polished."""
RISEN = 1e-6
"""Relative rise of the norm that lets rows be dropped."""
SPARE = 50
"""Rows of the first working set, and most rows added in a round, beyond one per weight; for the
spectral norm these alone, since its optimum rests on few and Clarabel's time on all."""


class Norm(NamedTuple):
    """One norm's program on a working set."""

    geometry: Geometry
    classes: int
    """Rows of W: 1 for two classes."""

    @property
    def solver(self) -> str:
        """Who is asked."""
        return "CLARABEL + Newton" if self.geometry == "spectral" else "HIGHS"

    def size(self, v: Float64[np.ndarray, " s"]) -> float:
        """The norm of v."""
        return norm(v.reshape(self.classes, -1), self.geometry)

    def solve(
        self, a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"]
    ) -> Polished | None:
        """The solver's answer; None unless it calls it optimal."""
        if self.geometry == "spectral":
            return spectral.solve(a, c, self.classes)
        return linear.solve(a, c, self.geometry)

    def polish(
        self, a: Float64[np.ndarray, "m s"], c: Float64[np.ndarray, "m q"], rough: Polished
    ) -> Polished:
        """The same, to rounding where that can be had."""
        if self.geometry == "spectral":
            return spectral_polish.polish(a, c, rough, self.classes)
        return linear.polish(a, c, rough, self.geometry)

    def unique(self, tight: Tight, found: Polished) -> bool:
        """Whether the weights are the only optimum; `found` holds the supporting rows' duals."""
        if self.geometry == "spectral":
            return unique_spectral(tight, found, self.classes)
        return unique_linear(tight, found, self.geometry, self.classes)


def in_norm(rows: SignedRows, l2: MaxMargin, geometry: Geometry) -> MaxMargin:
    """The weights of least norm in a geometry other than l2, certified.

    `l2` is the l2 answer for the same rows. Raises CertificateError beyond outcome.GAP.
    """
    program = Norm(geometry, rows.rivals)
    v, u = _variables(rows, l2)
    # a power of two that brings the answer near norm 1
    unit = math.ldexp(1.0, math.frexp(program.size(v))[1])
    count = SPARE if geometry == "spectral" else rows.size + SPARE
    margins = rows.margins(v, u)
    working, reached = nearest(rows, margins, count), 0.0
    for rounds in range(1, ROUNDS + 1):
        a, c = (unit * part for part in rows.take(working))
        found = program.solve(a, c)
        if found is None:
            break
        margins = rows.margins(found.v * unit, found.u * unit)
        short = violated(margins, working, count, ROUGH)
        if not len(short):
            found = program.polish(a, c, found)
            margins = rows.margins(found.v * unit, found.u * unit)
            short = violated(margins, working, count)
        if not len(short):
            stretch = unit / float(margins.min())
            answer = Polished(found.v * stretch, found.u * stretch, found.alpha)
            return _finished(rows, working, answer, program, rounds)
        size = program.size(found.v)
        keep = (margins.ravel()[working] <= SLACK) | (size <= reached * (1 + RISEN))
        working, reached = np.concatenate([working[keep], short]), max(size, reached)
    raise CertificateError(
        f"the {geometry} program could not be settled: the rows are too close to non-separable for "
        "float64, or too many; rescale the features or drop near-duplicate rows",
        lower=0.0,
        upper=math.inf,
    )


def _variables(
    rows: SignedRows, svm: MaxMargin
) -> tuple[Float64[np.ndarray, " s"], Float64[np.ndarray, " q"]]:
    """(v, u) of an answer, in scaled units."""
    b = np.atleast_1d(svm.b)
    u = b if rows.problem.binary else (b - b[-1])[:-1]
    return svm.w.ravel() * rows.problem.scale, u[: rows.free]


def _finished(
    rows: SignedRows, working: Pairs, answer: Polished, program: Norm, rounds: int
) -> MaxMargin:
    """The answer in the units of the problem, certified, and whether it is the only one."""
    problem, geometry = rows.problem, program.geometry
    w, b = rows.weights(answer.v, answer.u)
    w, b = w / problem.scale, float(b) if problem.binary else b
    size = norm(w, geometry)
    alpha = np.zeros(problem.n * rows.rivals)
    alpha[working] = answer.alpha * (size / answer.alpha.sum()) * size
    alpha = alpha if problem.binary else alpha.reshape(problem.n, -1)
    certificate = certify(problem, w, b, alpha, bias=rows.bias, geometry=geometry)
    refuse_wide(certificate)
    margins = rows.margins(answer.v, answer.u)
    support = alpha > 0 if problem.binary else alpha.any(axis=1)
    return MaxMargin(
        w=w,
        b=b,
        margin=float(np.clip(1.0 / size, certificate.lower, certificate.upper)),
        alpha=alpha,
        support=np.flatnonzero(support),
        active=np.flatnonzero(support | (margins.min(axis=1) <= 1.0 + TIGHT)),
        certificate=certificate,
        bias=rows.bias,
        bias_scale=rows.bias_scale,
        geometry=geometry,
        solver=program.solver,
        rounds=rounds,
        problem_id=problem.id,
        unique=certificate.relative_gap <= FINE  # else it is not known what is tight
        and program.unique(*_tight(rows, margins, alpha.ravel(), answer)),
    )


def _tight(
    rows: SignedRows,
    margins: Float64[np.ndarray, "n j"],
    alpha: Float64[np.ndarray, " m"],
    answer: Polished,
) -> tuple[Tight, Polished]:
    """All tight rows, copies left out, and the answer with the duals of the supporting ones."""
    supporting = np.flatnonzero(alpha)
    tied = np.flatnonzero((margins.ravel() <= 1.0 + TIGHT) & (alpha == 0))
    tied_a, tied_c = rows.take(tied)
    both = np.unique(np.hstack([tied_a, tied_c]), axis=0)
    tight = Tight(*rows.take(supporting), both[:, : rows.size], both[:, rows.size :])
    return tight, answer._replace(alpha=alpha[supporting])
