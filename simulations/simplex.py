"""The picture of a layer: its rows on the plane of the class means, the simplex closest to them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Float64, Int

ROWS = ("train", "test")
PICTURED = 3
"""Classes of the projected layer: their centred means span a plane, so nothing of them is lost."""
SHOWN = 100
"""Rows of each class, at most, that are kept of it."""


def picture(
    x: Float[np.ndarray, "n d"],
    x_test: Float[np.ndarray, "m d"],
    index: Int[np.ndarray, " n"],
    index_test: Int[np.ndarray, " m"],
) -> xr.Dataset:
    """Features on the plane of the class means of training rows, classes 0 to PICTURED - 1."""
    means = np.stack([x[index == k].mean(axis=0) for k in range(PICTURED)])
    centre, plane = means.mean(axis=0), plane_of(means)
    shape = len(ROWS), PICTURED * SHOWN
    projected, label = np.full((*shape, 2), np.nan, np.float32), np.full(shape, -1, np.int8)
    in_plane = []
    for at, (features, own) in enumerate(((x, index), (x_test, index_test))):
        along, shown = (features - centre) @ plane, first(own, SHOWN)
        projected[at, : shown.sum()], label[at, : shown.sum()] = along[shown], own[shown]
        in_plane.append(along.var(axis=0).sum() / features.var(axis=0).sum())
    drawn = (means - centre) @ plane
    return xr.Dataset(
        {
            "projected": (("rows", "row", "axis"), projected),
            "label": (("rows", "row"), label),
            "means": (("class", "axis"), drawn),
            "simplex": (("class", "axis"), nearest_simplex(drawn)),
            "in_plane": ("rows", in_plane),
        },
        {"rows": list(ROWS)},
    )


def plane_of(means: Float64[np.ndarray, "k d"]) -> Float64[np.ndarray, "d k-1"]:
    """Orthonormal directions, the principal ones of the K centred class means."""
    return np.linalg.svd(means - means.mean(axis=0))[2][: len(means) - 1].T


def nearest_simplex(points: Float64[np.ndarray, "k k-1"]) -> Float64[np.ndarray, "k k-1"]:
    """The regular simplex at the least sum of squared distances: moved, turned, reflected, scaled.

    Orthogonal Procrustes (Schonemann 1966) with a scale: of S^T M = U diag(s) V^T, the turn is
    U V^T and the scale sum(s) / |S|^2, S any regular simplex around 0, M the centred points.
    """
    k, centre = len(points), points.mean(axis=0)
    corners = np.eye(k) - 1.0 / k
    simplex = corners @ np.linalg.svd(corners)[2][: k - 1].T
    left, sizes, right = np.linalg.svd(simplex.T @ (points - centre))
    return centre + simplex @ (left @ right) * (sizes.sum() / (simplex**2).sum())


def first(index: Int[np.ndarray, " n"], rows: int) -> Bool[np.ndarray, " n"]:
    """Which rows are among the first so many of their class."""
    chosen = np.zeros(len(index), bool)
    for k in np.unique(index):
        chosen[np.flatnonzero(index == k)[:rows]] = True
    return chosen
