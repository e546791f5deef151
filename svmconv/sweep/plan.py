"""A sweep cut into parts: data sets of one shape, few enough to hold, to lose and to do again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from svmconv.sweep.clock import POINTS
from svmconv.sweep.grid import Choice, Grid, Shape

SECONDS = 60.0
"""Work of a part, about: what a killed sweep loses."""
WIDEST, NARROWEST = 1024, 8
"""Data sets of a part."""
_BYTES = 2**28
"""Rows of a part, which are held several times."""
_COMPILE = 3.0
"""Seconds to compile a method for a shape."""
_SOLVE = 0.01
"""Seconds for one exact SVM with its constants, of a small problem."""
_ROW, _FEATURE, _FLOW = 1.0e-9, 0.15e-9, 1.0e-5
"""Seconds per step and row, and per feature more; per flow, row and feature."""
_COLUMNS = 14
"""Columns over (run, log1p_t), near enough to tell how large a file becomes."""


@dataclass(frozen=True)
class Part:
    """Data sets `first` to `first` + `count` of a shape; their runs begin at number `start`."""

    number: int
    shape: int
    first: int
    count: int
    start: int
    width: int
    """What each method's runs are padded to."""

    def choices(self, grid: Grid) -> list[Choice]:
        """The data sets."""
        shape = grid.shapes[self.shape]
        return [shape.choice(index) for index in range(self.first, self.first + self.count)]

    def runs(self, grid: Grid) -> slice:
        """Where its runs are among all, method running fastest."""
        return slice(self.start, self.start + self.count * len(grid.methods))


def parts(grid: Grid) -> Iterator[Part]:
    """All of them in order; the cut is a function of the grid alone."""
    number = start = 0
    for place, shape in enumerate(grid.shapes):
        width = _width(grid, shape)
        for first in range(0, len(shape), width):
            count = min(width, len(shape) - first)
            yield Part(number, place, first, count, start, width)
            number, start = number + 1, start + count * len(grid.methods)


def count(grid: Grid) -> int:
    """How many parts there are."""
    return sum(-(-len(shape) // _width(grid, shape)) for shape in grid.shapes)


def seconds(grid: Grid) -> float:
    """How long all runs take on two cores, to a factor of a few."""
    compiling = _COMPILE * len({type(method) for method in grid.methods})
    return sum(compiling + len(shape) * _seconds(grid, shape) for shape in grid.shapes)


def size(grid: Grid) -> int:
    """Bytes of the result, about."""
    return grid.size * POINTS * 8 * _COLUMNS


def _width(grid: Grid, shape: Shape) -> int:
    n, columns, _ = _dimensions(shape)
    fitting = min(SECONDS / _seconds(grid, shape), _BYTES / (8 * n * columns), WIDEST)
    power = 1 << (int(max(fitting, NARROWEST)).bit_length() - 1)
    enough = 1 << (len(shape) - 1).bit_length()
    return min(power, max(enough, NARROWEST))


def _seconds(grid: Grid, shape: Shape) -> float:
    """Of one data set with every method."""
    n, columns, classes = _dimensions(shape)
    rivals = 1 if classes == 2 else classes
    total = _SOLVE
    for method in grid.methods:
        if method is None:
            total += _FLOW * n * (columns + 5) * rivals**2
        else:
            slower = 3 if method.on_log_loss else 1  # logarithms
            total += (grid.steps or 1) * n * rivals * slower * (_ROW + _FEATURE * columns)
    return total


def _dimensions(shape: Shape) -> tuple[int, int, int]:
    """Rows, columns and classes; sets in the plane have no d, and three blobs no classes."""
    classes = 3 if shape.name == "multiclass_blobs" else shape.fixed.get("classes", 2)
    return shape.fixed["n"], shape.fixed.get("d", 2) + (shape.bias == "augmented"), classes


def told(grid: Grid) -> str:
    """`1,024 runs, about 3 minutes on two cores, 7 MB`."""
    duration = seconds(grid)
    for unit, length in (("years", 3.15e7), ("days", 86400), ("hours", 3600), ("minutes", 60)):
        if duration >= 2 * length:
            words = f"{duration / length:,.0f} {unit}"
            break
    else:
        words = f"{math.ceil(duration)} seconds"
    return f"{grid.size:,} runs, about {words} on two cores, {size(grid) / 1e6:,.0f} MB"
