"""The plane of two features: rows, exact SVM, network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import xarray as xr
from jaxtyping import Float64, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from svmconv.errors import DataError
from svmconv.plots.style import color, marker, styled
from svmconv.problem import Bias, Problem

Plane = Float64[np.ndarray, "m m"]
LineStyle = Literal["-", "--", ":", "-."]


@runtime_checkable
class ExactSVM(Protocol):
    """What `plane` reads of a hard-margin SVM; `max_margin` returns one."""

    @property
    def w(self) -> Float64[np.ndarray, "*w"]:
        """(2,) or (K, 2)."""
        ...

    @property
    def b(self) -> float | Float64[np.ndarray, " k"]:
        """Intercepts."""
        ...

    @property
    def margin(self) -> float:
        """1 / norm of the weights."""
        ...

    @property
    def support(self) -> Int[np.ndarray, " s"]:
        """Row numbers of the support vectors."""
        ...

    @property
    def bias(self) -> Bias:
        """Kind of intercept."""
        ...

    @property
    def problem_id(self) -> str:
        """Content hash of the problem it solves."""
        ...


class Panel(NamedTuple):
    """One plane of `planes`."""

    problem: Problem
    svm: ExactSVM | None = None
    """None where the rows are not separable, which the panel then says."""
    network: xr.DataArray | None = None
    """Logits as `grid` makes them."""
    retrained: xr.DataArray | None = None
    """Those of its last layer trained again from new weights."""
    title: str = ""
    """Instead of the problem's name."""


def grid(
    problem: Problem,
    network: Callable[[Float64[np.ndarray, "m 2"]], Float64[np.ndarray, "m *k"]],
    resolution: int = 200,
) -> xr.DataArray:
    """A network's logits on a square grid around the data of a two-feature problem.

    `network` maps points (m, 2) to logits: (m,) or (m, 1) positive on classes[1], or (m, K). The
    result, dims (x2, x1, class), can be saved and is what `plane` reads. DataError unless d = 2.
    """
    x1, x2 = _plane_axes(problem, resolution)
    points = np.stack(np.meshgrid(x1, x2), axis=-1)
    logits = np.asarray(network(points.reshape(-1, 2)), np.float64)
    logits = _one_per_class(logits.reshape(len(points), len(points), -1))
    return xr.DataArray(logits, {"x2": x2, "x1": x1}, ("x2", "x1", "class"), "logits")


@styled
def plane(problem: Problem, svm: ExactSVM, network: xr.DataArray | None = None) -> Figure:
    """Rows in the plane, the exact SVM with its margins, and a network's boundary if given.

    Support vectors are ringed; `network` holds logits as `grid` makes them. Raises DataError unless
    the problem has two features and the SVM belongs to it.
    """
    figure = Figure(figsize=(5.6, 6.0))
    panel = Panel(problem, svm, network)
    handles = _draw_panel(figure.subplots(), panel)
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


@styled
def planes(panels: Sequence[Sequence[Panel]], title: str = "") -> Figure:
    """Several of them, in rows and columns, under one legend.

    A class that has become a point is marked, with the number of its rows. Raises DataError as
    `plane` does, or unless the rows are equally long.
    """
    columns = {len(row) for row in panels}
    if len(columns) != 1 or not min(columns):
        raise DataError("planes needs one or more rows of panels, all equally long")
    figure = Figure(figsize=(0.2 + 3.5 * max(columns), 0.8 + 4.1 * len(panels)))
    figure.set_layout_engine("constrained", h_pad=0.06)
    places = figure.subplots(len(panels), max(columns), squeeze=False)
    handles = {}
    alike = len({tuple(panel.problem.classes) for row in panels for panel in row}) == 1
    for row, axes in zip(panels, places, strict=True):
        for panel, ax in zip(row, axes, strict=True):
            drawn, k = _draw_panel(ax, panel), panel.problem.n_classes
            if not alike:  # one colour stands for different classes
                ax.legend(handles=drawn[:k], loc="upper right", fontsize=7, frameon=True)
            handles |= {handle.get_label(): handle for handle in (drawn if alike else drawn[k:])}
    figure.suptitle(title)
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=3)
    return figure


def _draw_panel(ax: Axes, panel: Panel) -> list[Line2D]:
    """Everything of one panel; what its legend names."""
    problem, svm, network, retrained, title = panel
    if svm is not None and svm.problem_id != problem.id:
        raise DataError(
            f"this SVM belongs to another problem ({svm.problem_id}) than {problem.name!r} "
            f"({problem.id}): solve this one with max_margin(problem)"
        )
    x1, x2 = _plane_axes(problem, 2)
    ax.grid(False)
    handles = _draw_rows(ax, problem)
    words = "not separable: no exact SVM"
    if svm is not None:
        handles += _draw_svm(ax, problem, svm)
        words = f"bias {svm.bias}, margin {svm.margin:.6g}"
    if network is not None:
        handles.append(_draw_network(ax, network, color(3), "--", "network boundary"))
    if retrained is not None:
        label = "last layer retrained to the same loss"
        handles.append(_draw_network(ax, retrained, color(4), "-.", label))
    ax.set(xlabel="feature 1", ylabel="feature 2", xlim=x1, ylim=x2, aspect="equal")
    ax.set_title(f"{title or problem.name}\n{words}")
    return handles


def _plane_axes(
    problem: Problem, resolution: int
) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    if problem.d != 2:
        raise DataError(f"the plane shows two features, {problem.name!r} has {problem.d}")
    low, high = problem.x.min(axis=0), problem.x.max(axis=0)
    half = 0.58 * float((high - low).max()) or 1.0
    x1, x2 = (np.linspace(c - half, c + half, resolution) for c in (low + high) / 2)
    return x1, x2


def _one_per_class(scores: Float64[np.ndarray, "m m k"]) -> Float64[np.ndarray, "m m c"]:
    """A single score of two classes s as the pair (0, s)."""
    return np.concatenate([0 * scores, scores], axis=-1) if scores.shape[-1] == 1 else scores


def _draw_rows(ax: Axes, problem: Problem) -> list[Line2D]:
    for k, name in enumerate(problem.classes):
        rows = problem.x[problem.index == k]
        ax.plot(
            *rows.T,
            color=color(k),
            marker=marker(k),
            linestyle="none",
            markersize=4,
            markeredgewidth=0,
            alpha=0.75,
            label=f"class {name}",
        )
        if len(rows) > 1 and (rows == rows[0]).all():
            _mark_point(ax, rows[0], f"class {name}: all {len(rows)} rows", color(k))
    return list(ax.lines)


def _mark_point(ax: Axes, point: Float64[np.ndarray, " 2"], words: str, look: str) -> None:
    """Where a whole class is, and that it is there."""
    ax.annotate(
        words,
        (float(point[0]), float(point[1])),
        xytext=(14, -14),
        textcoords="offset points",
        color=look,
        fontsize=8,
        arrowprops={"arrowstyle": "->", "color": look, "shrinkB": 5},
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        zorder=5,
    )


def _draw_svm(ax: Axes, problem: Problem, svm: ExactSVM) -> list[Line2D]:
    """Boundary, margins and support vectors."""
    (rings,) = ax.plot(
        *problem.x[svm.support].T,
        linestyle="none",
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor="black",
        label="support vector",
    )
    scores = grid(problem, lambda points: points @ svm.w.T + svm.b, resolution=400)
    _draw_boundary(ax, scores, "black", "-")
    _draw_margins(ax, scores, "black", ":")
    return [
        rings,
        Line2D([], [], color="black", linestyle="-", label="exact SVM"),
        Line2D([], [], color="black", linestyle=":", label="its margins"),
    ]


def _draw_network(ax: Axes, logits: xr.DataArray, look: str, line: LineStyle, label: str) -> Line2D:
    _draw_boundary(ax, logits, look, line)
    return Line2D([], [], color=look, linestyle=line, label=label)


def _draw_boundary(ax: Axes, scores: xr.DataArray, look: str, line: LineStyle) -> None:
    """Where the highest score passes from one class to another; each stretch drawn once."""
    for k in range(scores.sizes["class"] - 1):
        own, earlier, later = _split(scores, k)
        lead = np.where(earlier > np.maximum(own, later), np.nan, own - later)
        _contour(ax, scores, lead, 0.0, look, line)


def _draw_margins(ax: Axes, scores: xr.DataArray, look: str, line: LineStyle) -> None:
    """Where each class leads its best rival by exactly 1."""
    for k in range(scores.sizes["class"]):
        own, earlier, later = _split(scores, k)
        lead = own - np.maximum(earlier, later)
        _contour(ax, scores, lead, 1.0, look, line)


def _contour(
    ax: Axes, scores: xr.DataArray, lead: Plane, level: float, look: str, line: LineStyle
) -> None:
    if (lead > level).any() and (lead < level).any():
        x1, x2 = scores["x1"].to_numpy(), scores["x2"].to_numpy()
        ax.contour(x1, x2, lead, levels=[level], colors=look, linestyles=[line])


def _split(scores: xr.DataArray, k: int) -> tuple[Plane, Plane, Plane]:
    """The score of class k, the best score of the classes before it, and of those after it."""
    values = scores.transpose("x2", "x1", "class").to_numpy()
    before, after = values[..., :k], values[..., k + 1 :]
    return values[..., k], before.max(axis=-1, initial=-np.inf), after.max(axis=-1, initial=-np.inf)
