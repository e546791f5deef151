"""Norms and their duals, angles, centring over classes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from svmconv.problem import Geometry

Directions = Float64[np.ndarray, "*batch p"]


def angle(u: Directions, v: Float64[np.ndarray, " p"]) -> Float64[np.ndarray, "*batch"]:
    """Angle in radians between each u and v, as 2 atan2(|u' - v'|, |u' + v'|) of unit vectors.

    arccos would not resolve angles below 2e-8. nan where a vector is zero.
    """
    u, v = unit(u), unit(v)
    half = np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))
    return np.asarray(2.0 * half)


def direction_gap(u: Directions, v: Float64[np.ndarray, " p"]) -> Float64[np.ndarray, "*batch"]:
    """1 - cos of the angle, computed as |u' - v'|^2 / 2 so that it has no floor at 1e-16."""
    return np.asarray(np.sum((unit(u) - unit(v)) ** 2, axis=-1) / 2.0)


def unit(v: Directions) -> Directions:
    """v / |v| along the last axis, safe for entries whose squares over- or underflow; 0 -> nan."""
    with np.errstate(invalid="ignore", divide="ignore"):
        v = v / np.abs(v).max(axis=-1, keepdims=True)
        return v / np.linalg.norm(v, axis=-1, keepdims=True)


def length(v: Directions) -> Float64[np.ndarray, "*batch"]:
    """Euclidean norm along the last axis, safe for entries whose squares over- or underflow."""
    largest = np.abs(v).max(axis=-1, keepdims=True)
    safe = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    return np.asarray(largest[..., 0] * np.linalg.norm(v / safe, axis=-1))


def centre(w: Float64[np.ndarray, "*batch k p"]) -> Float64[np.ndarray, "*batch k p"]:
    """W (..., K, p) minus its mean over classes: the part of W that predictions depend on.

    nan where a class is infinite, as every forecast is at t = 0.
    """
    with np.errstate(invalid="ignore"):
        return w - w.mean(axis=-2, keepdims=True)


def norm(w: Float64[np.ndarray, "*w"], geometry: Geometry = "l2") -> float:
    """The norm that the hard-margin program of this geometry minimises; entrywise for l1, linf.

    Safe for entries whose squares over- or underflow, as is dual_norm.
    """
    if geometry == "spectral":
        return float(np.linalg.norm(np.atleast_2d(w), 2))
    if geometry == "l2":
        return float(length(w.ravel()))
    return float(np.linalg.norm(w.ravel(), {"l1": 1, "linf": np.inf}[geometry]))


def dual_norm(z: Float64[np.ndarray, "*w"], geometry: Geometry = "l2") -> float:
    """max of <w, z> over norm(w) <= 1: l2 -> l2, l1 -> linf, linf -> l1, spectral -> nuclear."""
    if geometry == "spectral":
        return float(np.linalg.norm(np.atleast_2d(z), "nuc"))
    duals: dict[Geometry, Geometry] = {"l2": "l2", "l1": "linf", "linf": "l1"}
    return norm(z, duals[geometry])
