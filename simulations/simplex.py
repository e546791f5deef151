"""Class means in their own plane, and the regular simplex closest to them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


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
