"""How long a user waits before anything happens: fresh processes, median of five."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import Line, timed

HELP = 0.3


def lines() -> Iterator[Line]:
    seconds = _median([str(Path(sys.executable).with_name("svmconv")), "--help"])
    yield Line("svmconv --help", f"{seconds:.3f} s", f"under {HELP} s", seconds < HELP)
    for code in ("pass", "import svmconv", "from svmconv import max_margin"):
        yield Line(f"python -c '{code}'", f"{_median([sys.executable, '-c', code]):.3f} s")


def _median(command: list[str]) -> float:
    """The first run, which may find cold files, is not counted."""
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "NO_COLOR": "1"}}
    runs = [timed(lambda: subprocess.run(command, check=True, **quiet))[0] for _ in range(6)]
    return statistics.median(runs[1:])
