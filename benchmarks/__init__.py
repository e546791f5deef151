"""Speed and exactness beside what a user would pick instead: `python -m benchmarks [PART ...]`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Line(NamedTuple):
    """One measurement; with a target, whether it was met, or None where nothing was measured."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = True

    def __str__(self) -> str:
        line = f"  {self.what:44} {self.measured:50} "
        if not self.target:
            return line.rstrip()
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        return f"{line}target {self.target}: {verdict}"


def on_cores(count: int, *module: str) -> list[float]:
    """The numbers that `python -m MODULE ...` prints where it may use `count` cores only."""
    ours = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, ours[:count])
    try:
        command = [sys.executable, "-m", *module]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        os.sched_setaffinity(0, ours)
    return [float(word) for word in told.split()]


def timed(run: Callable[[], T]) -> tuple[float, T]:
    """Wall-clock seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result
