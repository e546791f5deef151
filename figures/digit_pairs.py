"""What the figures of simulations.digit_pairs share: means, paired differences."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from svmconv.plots.style import color, marker


def mean_and_spread(
    ax: Axes, x: Float64[np.ndarray, " m"], y: xr.DataArray, number: int, line: str = "-"
) -> None:
    """Mean over seeds and, as bars, their standard deviation; y (seed, m).

    Number 0 is larger: it can be seen where number 1 lies upon it.
    """
    size = 2.0 if number == 0 else 1.0
    ax.errorbar(
        x, y.mean("seed").to_numpy(), y.std("seed", ddof=1).to_numpy(), color=color(number),
        marker=marker(number), markersize=3.5 * size, linestyle=line, linewidth=1.2 * size,
        capsize=2.5 * size, elinewidth=0.8 * size,
    )  # fmt: skip


def paired(ax: Axes, x: Float64[np.ndarray, " m"], difference: xr.DataArray) -> None:
    """A difference within each seed, as dots, and their mean, as a bar; (seed, m)."""
    ax.axhline(0.0, color="0.5", linewidth=0.8)
    for one in difference.transpose("seed", ...).to_numpy():
        ax.plot(x, one, linestyle="none", marker="o", markersize=3, color="0.3", alpha=0.6)
    ax.plot(
        x, difference.mean("seed").to_numpy(), linestyle="none", marker="_", markersize=14,
        markeredgewidth=2, color=color(2),
    )  # fmt: skip


def paired_handles() -> list[Line2D]:
    """What a legend says of `paired`."""
    return [
        Line2D([], [], linestyle="none", marker="o", markersize=3, color="0.3", label="one seed"),
        Line2D(
            [], [], linestyle="none", marker="_", markersize=14, markeredgewidth=2, color=color(2),
            label="mean over seeds",
        ),
    ]  # fmt: skip
