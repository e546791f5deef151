"""Your own last layer against the exact SVM of its features, in numbers and in words."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from svmconv.errors import DataError, NotSeparableError
from svmconv.measures.collapse import Collapse
from svmconv.measures.last_layer import GAPS, compared
from svmconv.measures.layer import Layer, read
from svmconv.problem import Bias, Problem
from svmconv.svm.result import MaxMargin

MEANING: dict[Bias, str] = {
    "none": "through the origin",
    "augmented": "which descent on weight and bias tends to",
    "free": "the classical one",
}


@dataclass(frozen=True, eq=False)
class Audit:
    """A last layer beside the exact SVMs of its features."""

    problem: Problem
    svms: dict[Bias, MaxMargin]
    """Exact SVM per bias kind: "augmented" (what descent on (w, b) reaches) and "free" (the
    classical one), or "none" when the layer has no bias; empty where nothing separates the
    features."""
    conflict: NotSeparableError | None
    """Why nothing separates the features: the convex combination of signed rows that is zero
    (rows, weights, rivals, residual), which anyone can check; None where they are separable."""
    collapse: Collapse
    """Rank and per-class spread of the features, and which classes have become a point."""
    record: xr.Dataset
    """Everything that is measured, as sc.measures.last_layer_gaps."""
    warnings: tuple[str, ...]

    @property
    def separable(self) -> bool:
        """Whether some layer classifies every row."""
        return self.conflict is None

    @property
    def gaps(self) -> xr.Dataset:
        """As sc.gaps, over `against` (the bias kind); nan where there is no SVM.

        angle, angle_w, direction_gap, margin_gap, bias_gap, norm, log_loss, floor.
        """
        found = self.record[[*GAPS, "norm", "bias_gap"]]
        return found.assign(log_loss=self.record.layer_log_loss + xr.zeros_like(found.norm))

    @property
    def errors(self) -> int:
        """Rows that the layer misclassifies (ties count)."""
        return int(self.record.errors)

    @property
    def support_overlap(self) -> float:
        """Share of the |S| rows of highest loss that are support vectors of the first SVM.

        Or as near: copies of one, of which a solver names but one. nan where there is no SVM.
        """
        return float(self.record.overlap[0])

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays of the SVMs, as JSON can hold it (None for nan)."""
        gaps = self.gaps
        table = {
            kind: {
                name: v.values.tolist()
                for name, v in gaps.sel(against=kind).data_vars.items()
                if not (name == "angle_w" and kind != "augmented")
            }
            for kind in self.svms
        }
        alone = ("midpoint", "rank", "collapsed", "stationarity", "slackness")
        return {
            "problem": {"n": self.problem.n, "d": self.problem.d, "id": self.problem.id,
                        "classes": self.problem.classes.tolist()},
            "errors": self.errors,
            "log_loss": float(self.record.layer_log_loss),
            "separable": self.separable,
            "conflict": None if self.conflict is None else _proof(self.conflict),
            "support_overlap": _finite(self.support_overlap),
            **{name: _finite(self.record[name].item()) for name in alone},
            "spread": self.collapse.spread.tolist(),
            "against": table,
            "certificates": {
                kind: svm.to_dict()["certificate"] for kind, svm in self.svms.items()
            },
            "warnings": list(self.warnings),
        }  # fmt: skip

    def __str__(self) -> str:
        n, d, k = self.problem.n, self.problem.d, self.problem.n_classes
        lines = [
            f"Last layer on {n} rows, {d} features, {k} classes: {self.errors} misclassified, "
            f"ln of its mean loss {float(self.record.layer_log_loss):.6g}"
        ]
        if self.conflict is not None:
            lines += [
                f"not separable: {self.conflict}",
                "so no layer of this shape gets every row right: there is no exact SVM, no gap to "
                "it, and no margin for training to maximise "
                f"(the combination is zero to {self.conflict.residual:.1e} of the largest row)",
            ]
        for kind, svm in self.svms.items():
            row = self.gaps.sel(against=kind)
            lines.append(
                f"against the exact SVM, bias {kind!r}, {MEANING[kind]} (margin {svm.margin:.6g}, "
                f"certified to a relative gap of {svm.certificate.relative_gap:.1e}):"
            )
            lines.append(
                f"  angle {float(row.angle):.6g} rad (certified to {float(row.floor):.1e}), "
                f"margin {1 - float(row.margin_gap):.6g} of the best"
            )
        if self.svms:
            lines.append(
                f"{self.support_overlap:.0%} of the rows of highest loss are support vectors"
            )
        lines += _shape(self.problem, self.collapse)
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])

    __repr__ = __str__


def audit(features: Any, labels: Any, weight: Any, bias: Any = None) -> Audit:
    """Compare a last layer with the exact hard-margin SVM of its features.

    features (n, d), labels (n,) as for Problem; weight (K, d), rows in the order of the sorted
    labels, or (d,) for two classes (PyTorch's order; sc.last_layer turns a Flax layer round); bias
    (K,), a number, or None. Two-row weights are reduced to w1 - w0, b1 - b0. Warns when the
    transpose would fit the labels and the given weight does not. Features that nothing separates
    are reported, with the proof (`conflict`). Raises DataError, CertificateError.
    """
    layer = read(features, labels, weight, bias)
    if not layer.directed:
        raise DataError(
            "every weight is zero, or the same for all classes: there is no direction to compare"
        )
    noted = _transposed(layer, weight, bias)
    found = compared(layer)
    if found.exact.uncertified is not None:
        raise found.exact.uncertified
    return Audit(
        problem=layer.problem,
        svms=found.exact.svms,
        conflict=found.exact.conflict,
        collapse=found.collapse,
        record=found.record,
        warnings=noted,
    )


def _transposed(layer: Layer, weight: Any, bias: Any) -> tuple[str, ...]:
    """A warning when a square weight classifies the rows as its transpose but not as given."""
    given, problem = np.asarray(weight, dtype=np.float64), layer.problem
    square = given.shape == (problem.n_classes, problem.d) == given.shape[::-1]
    if layer.errors == 0 or not square or read(problem.x, problem.y, given.T, bias).errors:
        return ()
    sentence = (
        f"the weight misclassifies {layer.errors} rows but its transpose none: it should be "
        "(classes, features), pass weight.T"
    )
    warnings.warn(sentence, stacklevel=3)
    return (sentence,)


def _shape(problem: Problem, found: Collapse) -> list[str]:
    """What there is to say of features that do not fill their space."""
    if found.rank == 0:
        return ["all features are one point: nothing was learnt that a last layer could use"]
    lines = []
    if found.rank < problem.d:
        lines.append(f"the features fill {found.rank} of {problem.d} dimensions")
    for k in np.flatnonzero(found.collapsed):
        members = problem.x[problem.index == k]
        place = "one point" if members.any() else "exactly 0, where no unit is on"
        lines.append(
            f"collapsed: all {len(members)} rows of class {problem.classes[k]} are {place}"
        )
    if found.collapsed.any():
        lines.append("the SVM of a collapsed class is that of a single row: no verdict on training")
    return lines


def _proof(conflict: NotSeparableError) -> dict[str, Any]:
    """The convex combination, as JSON can hold it."""
    rivals = None if conflict.rivals is None else conflict.rivals.tolist()
    return {
        "rows": conflict.rows.tolist(),
        "weights": conflict.weights.tolist(),
        "rivals": rivals,
        "residual": conflict.residual,
    }


def _finite(value: float) -> float | None:
    """JSON has no nan."""
    return value if math.isfinite(value) else None
