"""Pairs of point sets that several tests measure."""

import numpy as np

XOR = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
TOUCHING = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])


def overlapping(n=200, d=3, distance=1.0, seed=0):
    """Two Gaussian clouds, their means apart along the first feature."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + distance * np.eye(1, d), rng.standard_normal((n, d))


def near_pair(distance, offset, seed):
    """Sets around (3, 0) and (-3, 0) and a pair between them, so near that its points nearly agree.

    All differences point right, as far as rounding at the offset leaves the near one alone.
    """
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, (2, 4, 2)) + np.array([[[3.0, 0.0]], [[-3.0, 0.0]]])
    middle, angle = rng.uniform(-1, 1, 2), rng.uniform(-1.2, 1.2)
    a[0], b[0] = middle + distance * np.array([np.cos(angle), np.sin(angle)]), middle
    return a + offset, b + offset
