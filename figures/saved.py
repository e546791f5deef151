"""The saved result that a figure is drawn from."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from svmconv.errors import DataError
from svmconv.results import load


def saved(results: Path, name: str, presets: tuple[str, ...] = ("paper", "smoke")) -> xr.Dataset:
    """The result of the first preset that has one. DataError if none has."""
    files = [results / f"{name}-{preset}.nc" for preset in presets]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        raise DataError(f"{files[-1]}: no such file: run a simulation first")
    return load(found)
