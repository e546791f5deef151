"""The look of every picture: svmconv.mplstyle, colours and markers in turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib.resources import as_file, files
from typing import Literal, ParamSpec

from matplotlib import rcParams, style
from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
_MARKERS = "osD^vP*"
_LINES: tuple[Literal["-", ":", "-."], ...] = ("-", ":", "-.")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw in the package's own style and leave matplotlib's settings as they were."""

    @wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with (
            as_file(files("svmconv") / "svmconv.mplstyle") as path,
            style.context(str(path)),
        ):
            return draw(*args, **kwargs)

    return styled


def color(number: int) -> str:
    """The style's colours in turn, resolved now: "C0" would wait until the figure is drawn."""
    palette = rcParams["axes.prop_cycle"].by_key()["color"]
    return palette[number % len(palette)]


def marker(number: int) -> str:
    """A shape beside every colour, so that no picture depends on colour alone.

    The next one each time the colours begin again: there are as many.
    """
    return _MARKERS[(number + number // len(_MARKERS)) % len(_MARKERS)]


def line(number: int) -> Literal["-", ":", "-."]:
    """Solid, until the colours begin again."""
    return _LINES[number // len(_MARKERS) % len(_LINES)]
