"""Convergence to the exact SVM, against time and against loss."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from svmconv.errors import DataError
from svmconv.plots.style import color, line, marker, styled


class _View(NamedTuple):
    """A horizontal axis: a natural logarithm `sign * variable`, ticked at powers of ten."""

    variable: str
    sign: int
    label: str


_VIEWS = (
    _View("log1p_t", 1, "total step length t  (axis: logarithm of ln t)"),
    _View("log_loss", -1, "mean loss L  (axis: logarithm of ln 1/L)"),
)
_PANELS = {
    "angle": "angle to the exact {norm}SVM [rad]",
    "margin_gap": "relative {norm}margin gap",
    "residual": "residual $|w - \\mathrm{forecast}|$",
    "loss_constant": r"$|\gamma^2 L \tau - 1|$",
}
_DASHES = (0, (4, 2))
_LEGEND_WIDTH = 105
"""Characters of a line of the legend."""
_LN10 = math.log(10.0)


@styled
def convergence(curves: Mapping[str, xr.Dataset], title: str = "") -> Figure:
    """Angle, margin gap and residual against time and against loss, one colour per labelled curve.

    `curves` are results of `gaps` over log1p_t, with an optional `residual` and `loss_constant` and
    optional `angle_forecast`, `margin_gap_forecast`, `residual_forecast`. The measurement is the
    pale line, the forecast the dashes over it, and angles below the certified `floor` are shaded.
    A curve's attrs may name the norm of its SVM, `geometry`, and what its log1p_t is, `time`.
    Times below 1 and losses above 1/2 are not shown. Raises DataError if no curve has anything to
    show.
    """
    panels = [name for name in _PANELS if any(_points(c, name, _VIEWS[0]) for c in curves.values())]
    if not panels:
        raise DataError(
            "the curves hold no positive angle, margin gap or residual after t = 1: there is "
            "nothing to draw"
        )
    shaded = 0
    handles = _legend(curves)
    lines = sum(str(handle.get_label()).count("\n") + 1 for handle in handles)
    norms = dict.fromkeys(c.attrs.get("geometry", "") for c in curves.values())
    norm = ", ".join(filter(None, norms)) + " " if any(norms) else ""
    figure = Figure(figsize=(7.2, 0.9 + 2.2 * len(panels) + 0.17 * lines))
    grid = figure.subplots(len(panels), len(_VIEWS), sharex="col", sharey="row", squeeze=False)
    for name, row in zip(panels, grid, strict=True):
        for view, ax in zip(_VIEWS, row, strict=True):
            ax.set(xscale="log", yscale="log")
            for number, curve in enumerate(curves.values()):
                _draw_curve(ax, curve, name, view, number)
        _fit_measured(row[0], [c[name].to_numpy() for c in curves.values() if name in c])
        if name == "angle":
            shaded = _shade_floors(row, list(curves.values()))
        row[0].set_ylabel(_PANELS[name].replace("{norm}", norm))
    time = next(iter(curves.values())).attrs.get("time", _VIEWS[0].label)
    for view, column, label in zip(_VIEWS, grid.T, (time, _VIEWS[1].label), strict=True):
        tick_powers_of_ten(column[-1], view.sign)
        column[-1].set_xlabel(label)
    figure.suptitle(title)
    if shaded:
        whose = ", each in its curve's colour" if shaded > 1 else ""
        handles.append(Patch(color="0.8", label=f"below the certified floor{whose}"))
    figure.legend(handles=handles, loc="outside lower left", ncols=1)
    return figure


def _points(
    curve: xr.Dataset, name: str, view: _View
) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]] | None:
    """The points of a variable that log axes can show; None if there are none."""
    if name not in curve or view.variable not in curve:
        return None
    x, y = view.sign * curve[view.variable].to_numpy(), curve[name].to_numpy()
    shown = (x >= math.log(2.0)) & np.isfinite(x) & np.isfinite(y) & (y > 0)
    return (x[shown], y[shown]) if shown.any() else None


def _draw_curve(ax: Axes, curve: xr.Dataset, name: str, view: _View, number: int) -> None:
    look = color(number)
    if (measured := _points(curve, name, view)) is not None:
        every = max(1, len(measured[0]) // 8)
        ax.plot(
            *measured,
            color=look,
            alpha=0.35,
            linewidth=3.5,
            linestyle=line(number),
            solid_capstyle="round",
        )
        ax.plot(
            *measured,
            color=look,
            linestyle="none",
            marker=marker(number),
            markersize=4,
            markevery=(number * every // 7 % every, every),
        )
    if (forecast := _points(curve, f"{name}_forecast", view)) is not None:
        ax.plot(*forecast, color=look, linestyle=_DASHES)


def _fit_measured(ax: Axes, measured: list[np.ndarray]) -> None:
    """Limits from the measurements alone: a forecast may go on to 1e-300."""
    values = np.concatenate(measured)
    values = values[np.isfinite(values) & (values > 0)]
    ax.set_ylim(values.min() / 2, values.max() * 2)


def _shade_floors(row: np.ndarray, curves: list[xr.Dataset]) -> int:
    """Shade angles too small to be certified; far below every curve, a note replaces the shade.

    Returns how many floors were shaded.
    """
    lowest, highest = row[0].get_ylim()
    floors = [c["floor"].to_numpy() for c in curves if "floor" in c]
    top = max((float(f[f > 0].max()) for f in floors if (f > 0).any()), default=math.nan)
    if math.isnan(top):
        return 0
    if top < lowest / 1000:
        note = f"certified floor {top:.0e}, below this axis"
        row[0].text(0.02, 0.03, note, transform=row[0].transAxes, fontsize=7, color="0.35")
        return 0
    row[0].set_ylim(min(lowest, top / 10), highest)
    for view, ax in zip(_VIEWS, row, strict=True):
        for number, curve in enumerate(curves):
            if (floor := _points(curve, "floor", view)) is not None:
                ax.fill_between(*floor, 1e-300, color=color(number), alpha=0.18, linewidth=0)
    return len(floors)


def tick_powers_of_ten(ax: Axes, sign: int) -> None:
    """Ticks on an axis that holds ln(value) on a log scale, written as powers of ten of value."""
    low, high = (limit / _LN10 for limit in ax.get_xlim())
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leading in ((1, 2, 5), (1, 3), (1,)):  # the finest that leaves room for the labels
        exponents = [m * 10.0**k for k in decades for m in leading if low <= m * 10.0**k <= high]
        if len(exponents) <= 5:
            break
    else:
        exponents = exponents[::2]
    ax.xaxis.set_major_locator(FixedLocator([e * _LN10 for e in exponents]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"$10^{{{sign * x / _LN10:.6g}}}$"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _legend(curves: Mapping[str, xr.Dataset]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=color(n), marker=marker(n), markersize=4, linestyle=line(n),
               label=textwrap.fill(label, _LEGEND_WIDTH, subsequent_indent=" " * 6))
        for n, label in enumerate(curves)
    ]  # fmt: skip
    if any(f"{name}_forecast" in curve for curve in curves.values() for name in _PANELS):
        handles.append(Line2D([], [], color="0.3", linestyle=_DASHES, label="forecast, not fitted"))
    return handles
