"""What the commands print: tables for a terminal, plain text for a pipe."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterable
from importlib import import_module

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from svmconv.problem import Problem
from svmconv.svm.result import MaxMargin


def show(renderable: RenderableType) -> None:
    """Print to standard output; colours only on a terminal and without NO_COLOR.

    Captured first, since rich would answer a closed pipe by leaving with status 1.
    """
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(renderable)
    encoding = sys.stdout.encoding or "utf-8"
    text = "\n".join(line.rstrip() for line in captured.get().split("\n"))
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def svm_table(problem: Problem, svm: MaxMargin) -> Table:
    """The SVM's numbers, each on a line of its own."""
    proof = svm.certificate
    b = np.array2string(np.asarray(svm.b), precision=10, separator=", ")
    scale = f" (scale {svm.bias_scale:g})" if svm.bias == "augmented" else ""
    direction = f"within {proof.angle_bound:.1e} rad of the exact one"
    if math.isnan(proof.angle_bound):
        direction = "unique; its angle is not certified" if svm.unique else "one of many optima"
    return _pairs(
        {
            "problem": f"{problem.name}: {problem.n} rows, {problem.d} features, "
            f"{problem.n_classes} classes",
            "bias": f"{svm.bias}{scale}, geometry {svm.geometry}",
            "margin": f"{svm.margin:.15g}",
            "certified": f"{proof.lower:.15g} to {proof.upper:.15g}, "
            f"relative gap {proof.relative_gap:.1e}",
            "direction": direction,
            "width": f"{svm.width:.15g}",
            "b": b,
            "support vectors": _rows(svm.support),
            "active rows": _rows(svm.active),
            "solved by": f"{svm.solver}, {svm.rounds} round{'s' if svm.rounds != 1 else ''}",
        }
    )


def catalogue() -> RenderableType:
    """Claims, data sets, models and optimisers, each name with a line about it."""
    from svmconv.sweep.grid import OPTIMIZERS
    from svmconv.theory.verify import claims

    return Group(
        *_section("claims (svmconv verify ID)", {c.id: c.statement for c in claims().values()}),
        *_section("data sets (sc.data)", _public("data", inspect.isfunction)),
        *_section("models (svmconv.models)", _public("models", _built)),
        *_section("optimisers (sc.optimizers)", _public("optimizers", _built)),
        *_section("optimisers of svmconv sweep", {n: o.__name__ for n, o in OPTIMIZERS.items()}),
    )


def _public(module: str, kind: Callable[[object], bool]) -> dict[str, str]:
    """Public names of svmconv.<module> with the first lines of their docstrings."""
    package = import_module(f"svmconv.{module}")
    members = inspect.getmembers(package, kind)
    return {
        name: (inspect.getdoc(member) or "").partition("\n")[0]
        for name, member in members
        if not name.startswith("_") and member.__module__.startswith(package.__name__)
    }


def _built(member: object) -> bool:
    """A class that builds on another: a base that only says what they share is not listed."""
    return inspect.isclass(member) and member.__base__ is not object


def _section(title: str, entries: dict[str, str]) -> Iterable[RenderableType]:
    return Text(title, "bold"), _pairs(entries), Text()


def _pairs(entries: dict[str, str]) -> Table:
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    rows.add_column(style="cyan", no_wrap=True)
    rows.add_column()
    for name, line in entries.items():
        rows.add_row(Text(name), Text(line))
    return rows


def _rows(numbers: np.ndarray) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return f"{len(numbers)} (rows {shown}{', ...' if len(numbers) > 8 else ''})"
