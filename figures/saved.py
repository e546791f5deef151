"""The saved results that figures are drawn from; what is read is noted, for their provenance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import xarray as xr

from svmconv.errors import DataError
from svmconv.results import load

_noted: ContextVar[list[Path] | None] = ContextVar("noted", default=None)


def saved(results: Path, name: str, presets: tuple[str, ...] = ("paper", "smoke")) -> xr.Dataset:
    """The result of the first preset that has one. DataError if none has."""
    files = [results / f"{name}-{preset}.nc" for preset in presets]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        raise DataError(f"{files[-1]}: no such file: run a simulation first")
    return read(found)


def read(path: Path) -> xr.Dataset:
    """A result, noted. DataError if it is none."""
    return load(noted(path))


def noted(path: Path) -> Path:
    """`path`, which a figure is about to read."""
    files = _noted.get()
    if files is not None and path not in files:
        files.append(path)
    return path


@contextmanager
def noting() -> Iterator[list[Path]]:
    """The files that are read in the block, in order."""
    files: list[Path] = []
    token = _noted.set(files)
    try:
        yield files
    finally:
        _noted.reset(token)
