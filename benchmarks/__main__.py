"""python -m benchmarks [PART ...]: measure, and print every number beside its target."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import import_module, metadata

from benchmarks import Line

PARTS = {
    "svm": "exact SVM",
    "flow": "gradient flow",
    "start": "starting",
    "training": "training a network",
}


def main(*chosen: str) -> int:
    """0 if every target was met, 1 if one was missed, 2 for a part that does not exist."""
    unknown = set(chosen) - set(PARTS)
    if unknown:
        print(
            f"no part {', '.join(sorted(unknown))}: choose of {', '.join(PARTS)}", file=sys.stderr
        )
        return 2
    print(machine())
    verdicts = []
    for part in chosen or PARTS:
        print(f"\n{PARTS[part]}")
        lines: Iterator[Line] = import_module(f"benchmarks.{part}").lines()
        for line in lines:
            print(line, flush=True)
            verdicts.append(line.met)
    short = {"missed": verdicts.count(False), "not measured": verdicts.count(None)}
    told = ", ".join(f"{count} {what}" for what, count in short.items() if count)
    print(f"\n{told or 'every target met'}")
    return 1 if short["missed"] else 0


def machine() -> str:
    """Cores, load before the start (a busy machine spoils timings), versions."""
    packages = ("numpy", "scipy", "cvxpy", "jax", "diffrax", "scikit-learn")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {versions}"
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
