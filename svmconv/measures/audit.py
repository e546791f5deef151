"""Your own last layer against the exact SVM of its features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float64

from svmconv import losses
from svmconv.errors import DataError
from svmconv.measures.gaps import gaps
from svmconv.problem import Bias, Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin


@dataclass(frozen=True, eq=False)
class Audit:
    """A last layer beside the exact SVMs of its features."""

    problem: Problem
    svms: dict[Bias, MaxMargin]
    """Exact SVM per bias kind: "augmented" (what descent on (w, b) reaches) and "free" (the
    classical one), or "none" when the layer has no bias."""
    gaps: xr.Dataset
    """Over `against` (the bias kind): angle, angle_w, direction_gap, margin_gap, bias_gap, norm,
    log_loss, floor, as in sc.gaps."""
    errors: int
    """Rows that the layer misclassifies (ties count)."""
    support_overlap: float
    """Share of the |S| rows of highest loss that are support vectors of the first SVM, or as near
    (copies of one, of which a solver names but one)."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays of the SVMs, as JSON can hold it."""
        table = {
            kind: {
                name: v.values.tolist()
                for name, v in self.gaps.sel(against=kind).data_vars.items()
                if not (name == "angle_w" and kind != "augmented")  # JSON has no nan
            }
            for kind in self.svms
        }
        return {
            "problem": {"n": self.problem.n, "d": self.problem.d, "id": self.problem.id,
                        "classes": self.problem.classes.tolist()},
            "errors": self.errors,
            "support_overlap": self.support_overlap,
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
            f"log loss {float(self.gaps.log_loss[0]):.6g}"
        ]
        for kind, svm in self.svms.items():
            row = self.gaps.sel(against=kind)
            lines.append(
                f"against the exact SVM, bias {kind!r} (margin {svm.margin:.6g}, certified to a "
                f"relative gap of {svm.certificate.relative_gap:.1e}):"
            )
            lines.append(
                f"  angle {float(row.angle):.6g} rad (certified to {float(row.floor):.1e}), "
                f"margin {1 - float(row.margin_gap):.6g} of the best"
            )
        lines.append(f"{self.support_overlap:.0%} of the rows of highest loss are support vectors")
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])

    __repr__ = __str__


def audit(features: Any, labels: Any, weight: Any, bias: Any = None) -> Audit:
    """Compare a last layer with the exact hard-margin SVM of its features.

    features (n, d), labels (n,) as for Problem; weight (K, d), rows in the order of the sorted
    labels, or (d,) for two classes (PyTorch's order; sc.last_layer turns a Flax layer round); bias
    (K,), a number, or None. Two-row weights are reduced to w1 - w0, b1 - b0. Warns when the
    transpose would fit the labels and the given weight does not. Raises DataError,
    NotSeparableError, CertificateError.
    """
    problem = Problem(features, labels, name="features")
    w, b = _reduced(problem, *_layer(problem, weight, bias))
    margins, log_row_losses, log_loss = _evaluate(problem, w, b)
    errors = int((margins <= 0).sum())
    noted = _transposed(problem, weight, bias, errors)
    kinds: tuple[Bias, ...] = ("none",) if bias is None else ("augmented", "free")
    svms: dict[Bias, MaxMargin] = {kind: max_margin(problem, bias=kind) for kind in kinds}
    rows: list[xr.Dataset] = []
    for kind, svm in svms.items():
        point = _point(problem, w, b, float(margins.min()), log_loss, kind)
        rows.append(gaps(point, svm).isel(log1p_t=0, drop=True))
    first = svms[kinds[0]]
    hardest = np.argsort(-log_row_losses, kind="stable")[: len(first.support)]
    return Audit(
        problem=problem,
        svms=svms,
        gaps=xr.concat(rows, xr.Variable("against", list(kinds)), combine_attrs="drop"),
        errors=errors,
        support_overlap=float(np.isin(hardest, first.active).mean()),
        warnings=noted,
    )


def _layer(
    problem: Problem, weight: Any, bias: Any
) -> tuple[Float64[np.ndarray, "k d"], Float64[np.ndarray, " k"]]:
    """(weight, bias) as (R, d) and (R,), R = K, or 1 for two classes. Raises DataError."""
    try:
        w = np.atleast_2d(np.asarray(weight, dtype=np.float64))
        b = np.zeros(len(w)) if bias is None else np.atleast_1d(np.asarray(bias, np.float64))
    except (TypeError, ValueError):
        raise DataError("weight and bias must be arrays of numbers") from None
    k, d = problem.n_classes, problem.d
    shapes = [(k, d)] + ([(1, d)] if problem.binary else [])
    if w.shape not in shapes:
        hint = ": it looks transposed, pass weight.T" if w.shape[::-1] in shapes else ""
        raise DataError(
            f"weight must have shape {' or '.join(map(str, shapes))} (classes, features), got "
            f"{w.shape}{hint}"
        )
    if b.shape != (len(w),):
        raise DataError(f"bias must have shape ({len(w)},), one per row of weight, got {b.shape}")
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise DataError("weight or bias has NaN or infinite values: audit a trained, finite layer")
    return w, b


def _reduced(
    problem: Problem, w: Float64[np.ndarray, "k d"], b: Float64[np.ndarray, " k"]
) -> tuple[Float64[np.ndarray, "*w"], Float64[np.ndarray, "*b"]]:
    """Two classes as one row, w1 - w0 and b1 - b0. DataError if no direction is left."""
    if not (w if len(w) == 1 else w - w[0]).any():
        raise DataError(
            "every weight is zero, or the same for all classes: there is no direction to compare"
        )
    if not problem.binary:
        return w, b
    return (w[0], b.reshape(())) if len(w) == 1 else (w[1] - w[0], np.asarray(b[1] - b[0]))


def _evaluate(
    problem: Problem, w: Float64[np.ndarray, "*w"], b: Float64[np.ndarray, "*b"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"], float]:
    """Each row's smallest margin and log loss, and the log of the mean logistic loss."""
    with jax.enable_x64(True):
        rows = losses.rows_of(problem, "augmented")
        margins = losses.pair_margins(jnp.concatenate([w, b[..., None]], axis=-1), rows)
        row_losses = losses.log_row_losses(margins, "logistic")
        log_loss = float(losses.log_loss(margins, "logistic"))
        return np.asarray(margins.min(axis=1)), np.asarray(row_losses), log_loss


def _transposed(problem: Problem, weight: Any, bias: Any, errors: int) -> tuple[str, ...]:
    """A warning when a square weight classifies the rows as its transpose but not as given."""
    given = np.asarray(weight, dtype=np.float64)
    if errors == 0 or given.shape != (problem.n_classes, problem.d) or problem.d != len(given):
        return ()
    if problem.binary and np.array_equal(*given.T):
        return ()  # no direction is left
    w, b = _reduced(problem, *_layer(problem, given.T, bias))
    if (_evaluate(problem, w, b)[0] <= 0).any():
        return ()
    sentence = (
        f"the weight misclassifies {errors} rows but its transpose none: it should be (classes, "
        "features), pass weight.T"
    )
    warnings.warn(sentence, stacklevel=3)
    return (sentence,)


def _point(
    problem: Problem,
    w: Float64[np.ndarray, "*w"],
    b: Float64[np.ndarray, "*b"],
    margin: float,
    log_loss: float,
    kind: Bias,
) -> xr.Dataset:
    """The layer as a trajectory of one recording."""
    outer = ("log1p_t",) if problem.binary else ("log1p_t", "class")
    return xr.Dataset(
        {
            "w": ((*outer, "feature"), w[None]),
            "b": (outer, np.asarray(b)[None]),
            "margin": ("log1p_t", [margin]),
            "log_loss": ("log1p_t", [log_loss]),
        },
        {"log1p_t": [np.nan]},
        {"problem_id": problem.id, "bias": kind, "bias_scale": 1.0},
    )
