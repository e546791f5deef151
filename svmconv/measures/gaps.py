"""Gaps between a run and the exact SVM, each with the floor that the certificate leaves."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float64

from svmconv.errors import DataError
from svmconv.geometry import angle, centre, direction_gap, length
from svmconv.geometry import norm as norm_in
from svmconv.svm.result import MaxMargin


def gaps(trajectory: xr.Dataset, svm: MaxMargin) -> xr.Dataset:
    """Compare every recording with the SVM of the same problem and bias kind.

    Over log1p_t: angle (radians; for "augmented" that of (w, b / sqrt c), with angle_w of w alone),
    direction_gap = 1 - cos, margin_gap = (gamma - margin / |w|) / gamma, bias_gap = b/|w| -
    b*/|w*|, norm |w|, log_loss (natural log), floor (the angle that the SVM is certified to).
    In margin_gap |w| is the norm of the SVM's geometry, elsewhere l2; off l2 the floor is nan and
    angles mean little unless svm.unique. Weights of K classes are centred over classes first (not
    for margin_gap off l2). nan where w = 0. Raises DataError when
    trajectory and SVM are of different problems or bias kinds.
    """
    _check(trajectory, svm)
    found = gap_arrays(trajectory.w.values, trajectory.b.values, trajectory.margin.values, svm)
    bias = found.pop("bias_gap")
    found |= {
        "log_loss": trajectory.log_loss.values,
        "floor": np.full(len(bias), svm.certificate.angle_bound),
    }
    dims = ("log1p_t",) if bias.ndim == 1 else ("log1p_t", "class")
    return xr.Dataset(
        {name: ("log1p_t", value) for name, value in found.items()} | {"bias_gap": (dims, bias)},
        {name: trajectory[name] for name in ("log1p_t", "step") if name in trajectory.coords},
        {**trajectory.attrs, "margin": svm.margin, "geometry": svm.geometry},
    )


def gap_arrays(
    given: Float64[np.ndarray, "t *w"],
    b: Float64[np.ndarray, "t *b"],
    margin: Float64[np.ndarray, " t"],
    svm: MaxMargin,
) -> dict[str, np.ndarray]:
    """The gaps of weights `given` with intercepts b, without log_loss and floor."""
    augmented = svm.bias == "augmented"
    w = given
    if given.ndim == 3:
        w, b = centre(given), centre(b[..., None])[..., 0]
    scaled = b[..., None] / np.sqrt(svm.bias_scale)
    whole = np.concatenate([w, scaled], axis=-1) if augmented else w
    flat, flat_w = (v.reshape(len(v), -1) for v in (whole, w))
    target, target_w = svm.w_aug.ravel(), svm.w.ravel()
    norm, norm_w = length(flat), length(flat_w)
    over, over_w = (np.where(size > 0, size, np.nan) for size in (norm, norm_w))
    size = over
    if svm.geometry != "l2":
        size = np.array([
            norm_in(one, svm.geometry) if one.any() and np.isfinite(one).all() else np.nan
            for one in given
        ])  # fmt: skip
    with np.errstate(invalid="ignore"):  # a forecast at ln t = -inf
        found = {
            "angle": angle(flat, target),
            "direction_gap": direction_gap(flat, target),
            "margin_gap": (svm.margin - margin / size) / svm.margin,
            "norm": norm,
            "bias_gap": (b.T / over_w).T - svm.b / length(target_w),
        }
    if augmented:
        found["angle_w"] = angle(flat_w, target_w)
    return found


def _check(trajectory: xr.Dataset, svm: MaxMargin) -> None:
    for key in ("problem_id", "bias", "bias_scale"):
        theirs, ours = trajectory.attrs.get(key), getattr(svm, key)
        if key == "bias_scale" and svm.bias != "augmented":
            continue
        if theirs != ours:
            raise DataError(
                f"this trajectory has {key} {theirs!r}, the SVM has {ours!r}: compare a run with "
                "max_margin of the same problem and bias kind"
            )
