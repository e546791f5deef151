"""A last layer against the exact SVMs of its own current features: one record of a training run.

Features that nothing separates, or that are too close to it for float64, are no exception: they
have gaps of nan and say why. Features that are not finite are one: training has diverged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from svmconv.errors import CertificateError, NotSeparableError
from svmconv.measures.collapse import Collapse, collapse
from svmconv.measures.gaps import gaps
from svmconv.measures.layer import Layer, read
from svmconv.problem import Bias, Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin

GAPS = ("angle", "angle_w", "direction_gap", "margin_gap", "floor")
"""What is taken from sc.gaps as it is; nan where there is no SVM."""


class Exact(NamedTuple):
    """The exact SVMs of some features, or why there are none."""

    svms: dict[Bias, MaxMargin]
    conflict: NotSeparableError | None = None
    """The convex combination of signed rows that is zero, where nothing separates them."""
    uncertified: CertificateError | None = None
    """The bounds, where float64 could not tell (of the first SVM that it could not settle)."""


class Comparison(NamedTuple):
    """A layer beside the exact SVMs of its features."""

    layer: Layer
    exact: Exact
    collapse: Collapse
    record: xr.Dataset
    """As `last_layer_gaps`."""


def last_layer_gaps(features: Any, labels: Any, weight: Any, bias: Any = None) -> xr.Dataset:
    """Everything that is measured of a last layer on its CURRENT features, as scalars and rows.

    features (n, d), the last layer's input in evaluation mode; labels, weight, bias as in sc.audit.
    Over `against`, the SVM's bias kind ("augmented", what descent on (w, b) reaches, and "free",
    the classical one; "none" alone for a layer without a bias):

    angle, angle_w, direction_gap, margin_gap, bias_gap (K classes: one each), norm, floor: sc.gaps
    svm_margin      exact hard margin; its certificate's relative_gap
    support         support vectors of the SVM
    overlap         share of that many rows of highest loss that are support vectors, or as near

    and of the layer and its features alone:

    separable       whether an exact SVM was certified, through the origin if there is no bias
    conflicting     rows in the convex combination that proves the features not separable; 0 where
                    they are, and where float64 cannot tell (separable is False then too)
    errors          rows that the layer misclassifies (ties count)
    layer_log_loss  ln of the layer's mean logistic (softmax) loss
    midpoint        where the layer's threshold cuts the gap between the classes along its own w,
                    from max of w.x over classes[0] (0) to min over classes[1] (1): 0.5 is halfway;
                    nan where that gap is empty. K classes: of all pairs i < j, along w_j - w_i, the
                    one farthest from 0.5, nan if any gap is empty
    rank, spread    of the features (svmconv.measures.collapse); spread over `class`
    collapsed       whether some class has become a point: the SVM is then of a degenerate set
    stationarity, slackness   as in kkt_residual

    Gaps are nan where there is no certified SVM, and angles where w = 0. Raises DataError.
    """
    return compared(read(features, labels, weight, bias)).record


def compared(layer: Layer) -> Comparison:
    """The layer beside the exact SVMs of its features."""
    exact = exact_svms(layer.problem, layer.kinds)
    shape = collapse(layer.problem, layer.eps)
    conflict = exact.conflict
    variables: dict[str, Any] = {
        "separable": bool(exact.svms),
        "conflicting": 0 if conflict is None else len(np.unique(conflict.rows)),
        "errors": layer.errors,
        "layer_log_loss": layer.log_loss,
        "midpoint": midpoint(layer),
        "rank": shape.rank,
        "spread": ("class", shape.spread),
        "collapsed": bool(shape.collapsed.any()),
        "stationarity": layer.stationarity,
        "slackness": layer.slackness,
    }
    variables |= _against(layer, exact.svms)
    return Comparison(layer, exact, shape, xr.Dataset(variables, {"against": list(layer.kinds)}))


def exact_svms(problem: Problem, kinds: tuple[Bias, ...]) -> Exact:
    """The exact SVM of every bias kind, or a proof that there is none."""
    svms: dict[Bias, MaxMargin] = {}
    uncertified = None
    for kind in kinds:
        try:
            svms[kind] = max_margin(problem, bias=kind)
        except NotSeparableError as conflict:  # of one kind with an intercept, hence of both
            return Exact({}, conflict)
        except CertificateError as error:
            uncertified = uncertified or error
    return Exact(svms, None, uncertified)


def midpoint(layer: Layer) -> float:
    """Where the threshold cuts the gap between two classes, as in `last_layer_gaps`.

    The threshold is at -b, so that the distances to the two ends of the gap are the smallest
    margins of the two classes, whatever w and b.
    """
    index, k = layer.problem.index, layer.problem.n_classes
    smallest = np.stack([layer.margins[index == own].min(axis=0) for own in range(k)])
    if layer.problem.binary:
        near, far = smallest[:1, 0], smallest[1:, 0]
    else:
        i, j = np.triu_indices(k, 1)
        near, far = smallest[i, j], smallest[j, i]
    gap = near + far
    position = np.divide(near, gap, out=np.full(gap.shape, np.nan), where=gap > 0)
    return float(position[np.argmax(np.abs(position - 0.5))])  # argmax takes a nan for the largest


def _against(layer: Layer, svms: dict[Bias, MaxMargin]) -> dict[str, Any]:
    """What is measured against each SVM, nan where there is none."""
    kinds, hardest = layer.kinds, np.argsort(-layer.log_row_losses, kind="stable")
    found = {name: np.full(len(kinds), np.nan) for name in (*GAPS, "overlap", "svm_margin")}
    found["relative_gap"] = np.full(len(kinds), np.nan)
    found["support"] = np.zeros(len(kinds), dtype=np.int64)
    found["norm"] = np.array([layer.norm(kind) for kind in kinds])
    bias_gap = np.full((len(kinds), *layer.b.shape), np.nan)
    for i, kind in enumerate(kinds):
        if kind not in svms:
            continue
        svm = svms[kind]
        row = gaps(layer.trajectory(kind), svm)
        for name in GAPS:
            found[name][i] = row[name].values[0] if name in row else np.nan
        bias_gap[i] = row.bias_gap.values[0]
        found["svm_margin"][i] = svm.margin
        found["relative_gap"][i] = svm.certificate.relative_gap
        found["support"][i] = len(svm.support)
        found["overlap"][i] = np.isin(hardest[: len(svm.support)], svm.active).mean()
    variables: dict[str, Any] = {name: ("against", value) for name, value in found.items()}
    return variables | {"bias_gap": (("against", "class")[: bias_gap.ndim], bias_gap)}
