"""Where a figure comes from: its results, what made each of them, what it was drawn with.

No host, no clock: the same results give the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from svmconv.results import open_lazily

_PACKAGES = ("svmconv", "matplotlib", "numpy", "xarray")
_OF_LAST_LAYER = ("convergence", "plane")
"""Folders that simulations.last_layer writes without its own name."""


def provenance(name: str, results: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Of figure `name`, drawn from `files` of the folder `results`."""
    return {
        "figure": name,
        "drawn_by": "python -m figures",
        "versions": {package: version(package) for package in _PACKAGES},
        "results": {
            file.relative_to(results).as_posix(): {
                "made_by": made_by(file.relative_to(results)),
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "provenance": _stamped(file),
            }
            for file in files
        },
    }


def made_by(file: Path) -> str:
    """The command that writes a result: its place tells simulation and preset."""
    if file.name == "frozen.nc":
        return f"python -m simulations.frozen {file.parent.as_posix()}"
    if file.parts[0] in _OF_LAST_LAYER:
        return "python -m simulations.last_layer --preset smoke"
    name, _, preset = file.parts[0].removesuffix(".nc").partition("-")
    return f"python -m simulations.{name} --preset {preset}"


def _stamped(file: Path) -> Any:
    """Configuration, versions and revision that a NetCDF result carries; None of an .npz."""
    if file.suffix != ".nc":
        return None
    with open_lazily(file) as found:
        return json.loads(found.attrs["provenance"])
