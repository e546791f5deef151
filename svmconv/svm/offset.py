"""Features far from the origin, moved near it for the free bias, which pays nothing for the way.

x - c is exact where every entry of a column lies within a factor of two of c (Sterbenz), so the
moved rows have exactly the margin of the given ones, and b = b' - <w, c> brings the answer back.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from svmconv.errors import CertificateError
from svmconv.problem import LARGEST, Problem
from svmconv.svm.certificate import certify
from svmconv.svm.dot2 import dot2
from svmconv.svm.outcome import GAP
from svmconv.svm.result import MaxMargin


def common_offset(x: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, " d"]:
    """The middle of every feature that can be moved without rounding, 0 for the others.

    All 0 if the rows that are left would be too small for a Problem.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    nearest, farthest = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    movable = (np.sign(low) == np.sign(high)) & (farthest <= 2.0 * nearest)
    offset = np.where(movable, low + (high - low) / 2.0, 0.0)
    left = float(np.maximum(high - offset, offset - low).max())
    return offset if left == 0 or left >= 1 / LARGEST else np.zeros_like(offset)


def moved_back(problem: Problem, near: MaxMargin, offset: Float64[np.ndarray, " d"]) -> MaxMargin:
    """The answer for `problem` from that for its rows less `offset`, certified on the former.

    Raises CertificateError where rounding the intercept alone costs more than GAP.
    """
    terms = np.vstack([-np.atleast_2d(near.w).T, np.atleast_1d(near.b)])
    b = dot2(terms, np.append(offset, 1.0)[:, None])[0]
    b = float(b[0]) if problem.binary else b
    certificate = certify(problem, near.w, b, near.alpha, bias="free", geometry=near.geometry)
    if not certificate.relative_gap <= GAP:
        raise CertificateError(
            f"the margin is {near.margin:.10g}, but so far from the origin no intercept in float64 "
            "attains it: subtract from every feature its mean",
            lower=certificate.lower,
            upper=certificate.upper,
        )
    return replace(near, b=b, certificate=certificate, problem_id=problem.id)
