"""python -m benchmarks [PART ...] [--json FILE]: measure, print every number beside its target."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

import jax

from benchmarks import Line
from svmconv.devices import use_cores

PARTS = {
    "svm": "exact SVM",
    "flow": "gradient flow",
    "start": "starting",
    "training": "training a network",
    "separability": "linear separability of layers",
    "collapse": "neural collapse",
    "ceilings": "what this machine can do at best",
    "many": "many runs at once",
}


def main(*words: str) -> int:
    """0 if every target was met, 1 if one was missed, 2 for a part that does not exist."""
    chosen, out = list(words), None
    if "--json" in chosen:
        at = chosen.index("--json")
        out = Path(next(iter(chosen[at + 1 :]), ""))
        del chosen[at : at + 2]
        if out.suffix != ".json" or not out.parent.is_dir():
            print("--json needs the name of a new file that ends in .json", file=sys.stderr)
            return 2
    unknown = set(chosen) - set(PARTS)
    if unknown:
        print(
            f"no part {', '.join(sorted(unknown))}: choose of {', '.join(PARTS)}", file=sys.stderr
        )
        return 2
    use_cores()
    print(machine())
    table: dict[str, list[Line]] = {}
    for part in chosen or PARTS:
        print(f"\n{PARTS[part]}")
        lines: Iterator[Line] = import_module(f"benchmarks.{part}").lines()
        for line in lines:
            print(line, flush=True)
            table.setdefault(part, []).append(line)
    if out is not None:
        found = {part: [line._asdict() for line in rows] for part, rows in table.items()}
        out.write_text(json.dumps({"machine": machine(), **found}, indent=1, default=bool) + "\n")
    verdicts = [line.met for rows in table.values() for line in rows]
    short = {"missed": verdicts.count(False), "not measured": verdicts.count(None)}
    told = ", ".join(f"{count} {what}" for what, count in short.items() if count)
    print(f"\n{told or 'every target met'}")
    return 1 if short["missed"] else 0


def machine() -> str:
    """Cores, load before the start (a busy machine spoils timings), versions."""
    packages = ("numpy", "scipy", "cvxpy", "jax", "diffrax", "scikit-learn")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    kind = jax.devices()[0].device_kind
    kind = processor() if kind == "cpu" else kind
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, {kind}), load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, {versions}"
    )


def processor() -> str:
    """Its name where the system tells."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "cpu"
    names = (line.partition(":")[2].strip() for line in told if line.startswith("model name"))
    return next(names, "cpu")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
