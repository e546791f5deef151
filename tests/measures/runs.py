"""Trajectories written by hand: weights in, a run's labelled dataset out."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from svmconv.problem import Problem


def trajectory(problem: Problem, w: Any, b: Any = None, **attrs: Any) -> xr.Dataset:
    """Recordings at ln(1 + t) = 0, 1, 2, ... with the margins that these weights really have."""
    w = np.asarray(w, dtype=float)
    b = np.zeros(w.shape[:-1]) if b is None else np.asarray(b, dtype=float)
    outer = ("log1p_t",) if problem.binary else ("log1p_t", "class")
    scores = np.einsum("...d,nd->...n", w, problem.x) + b[..., None]
    if problem.binary:
        margin = (problem.signs * scores).min(axis=1)
    else:
        rows = np.arange(problem.n)
        lead = scores[:, problem.index, rows][:, None] - scores
        lead[:, problem.index, rows] = np.inf
        margin = lead.min(axis=(1, 2))
    return xr.Dataset(
        {
            "w": ((*outer, "feature"), w),
            "b": (outer, b),
            "margin": ("log1p_t", margin),
            "log_loss": ("log1p_t", -np.arange(len(w)) * 10.0),
        },
        {"log1p_t": np.arange(len(w), dtype=float)},
        {"problem_id": problem.id, "bias": "none", "bias_scale": 1.0} | attrs,
    )
