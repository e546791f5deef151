"""Finished parts of a sweep on disk, and the one file that they become.

While a sweep runs, FILE.nc.parts holds plan.json (configuration and versions) and one npz file per
finished part, each written aside and then renamed: whatever stops the sweep, the same command goes
on from there. Nothing depends on when or where a part was computed, so the result is the same.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np

from svmconv.devices import kind_of_device
from svmconv.errors import DataError
from svmconv.results import check_writable, locked, open_lazily, run_id, stamp, write_aside
from svmconv.sweep import clock, plan
from svmconv.sweep.grid import Grid
from svmconv.sweep.plan import Part
from svmconv.sweep.runs import CURVES, NUMBERS, TIMES, describe

_PLAN = "plan.json"
_OF = "part_of"
_WORDS = ("id", "data", "optimizer", "bias", "loss", "status", "reason")
_LONG_NAMES = {
    **CURVES, **NUMBERS, **TIMES,
    "id": "hash of the run's configuration", "status": "ok, or why the row is nan",
    "reason": "the same in a sentence",
}  # fmt: skip
_WHOLE = -1
"""An integer coordinate that does not apply."""


class Store:
    """The folder of parts beside the file they will become."""

    def __init__(self, grid: Grid, out: Path) -> None:
        self.grid, self.out = grid, out
        self.folder = out.with_name(f"{out.name}.parts")
        self._stamp = stamp(grid.config(), device=kind_of_device(), dtype="float64")
        self._origin = json.loads(self._stamp["provenance"])

    def complete(self) -> bool:
        """Whether the file is there already. DataError if it is of another sweep or version."""
        if not self.out.exists():
            return False
        if self.out.is_dir():
            raise DataError(f"{self.out} is a folder: choose another --out")
        with open_lazily(self.out) as found:
            theirs = json.loads(found.attrs["provenance"])
        _check_same(self.out, theirs, self._origin, "choose another --out or move it away")
        if self.folder.exists():  # killed between the last two steps
            shutil.rmtree(self.folder)
        return True

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the folder, made or found, for this sweep alone. DataError if that cannot be."""
        if not self.folder.exists():
            check_writable(self.out)
            self._check_space(2 * plan.size(self.grid))
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            reason = error.strerror
            raise DataError(
                f"{self.folder} cannot be made ({reason}): choose another --out"
            ) from None
        with locked(self.folder) as free:
            if not free:
                raise DataError(f"another process is writing {self.folder}: let it finish")
            self._check_plan()
            yield

    def has(self, part: Part) -> bool:
        """Whether a part is finished."""
        return self._path(part).exists()

    def keep(self, part: Part, columns: Mapping[str, np.ndarray]) -> None:
        """Put a finished part on disk."""
        plain = {n: c.astype(str) if c.dtype == object else c for n, c in columns.items()}
        with write_aside(self._path(part)) as aside:
            np.savez(aside, **{_OF: self._mark(part)}, **plain)  # pyright: ignore[reportArgumentType]

    def assemble(self) -> None:
        """Write the file from all parts, then remove them."""
        self._check_space(plan.size(self.grid))
        try:
            self._write()
        except RuntimeError as error:  # HDF5 has no OSError for a full disk
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"{self.out} could not be written ({reason}): free some space"
            ) from None
        shutil.rmtree(self.folder)

    def _write(self) -> None:
        with write_aside(self.out) as aside, h5netcdf.File(aside.name, "w") as file:
            times = clock.axis(self.grid)
            file.dimensions = {"run": self.grid.size, "log1p_t": len(times)}
            axis = file.create_variable("log1p_t", ("log1p_t",), data=times)
            axis.attrs["long_name"] = (
                "ln(1 + t), t the total length of the steps or the flow's time"
            )
            described = coordinates(self.grid)
            for part in plan.parts(self.grid):
                self._copy(part, file, described)
            named = {"status", "reason", *described}
            file.attrs.update(
                self._stamp,
                coordinates=" ".join(name for name in file.variables if name in named),
            )

    def _copy(
        self, part: Part, file: h5netcdf.File, labels: Mapping[str, tuple[type, Any]]
    ) -> None:
        """One part into its place."""
        columns = self._load(part)
        grid = self.grid
        described = [
            describe(choice, method, grid)
            for choice in part.choices(grid)
            for method in grid.methods
        ]
        if columns["status"].shape != (len(described),):
            raise DataError(self._damaged(part))
        for name, (kind, fill) in labels.items():
            values = [one.get(name, fill) for one in described]
            columns[name] = np.array(values, dtype=object if kind is str else kind)
        for name, column in columns.items():
            if name in TIMES and grid.log_t is not None:
                continue
            if name not in file.variables:
                dims = ("run", "log1p_t")[: column.ndim]
                kind = h5py.string_dtype() if name in _WORDS else column.dtype
                variable = file.create_variable(name, dims, dtype=kind)
                asked = f"{name}, as asked for; -1, nan or nothing where there is none"
                variable.attrs["long_name"] = _LONG_NAMES.get(name, asked)
            if name in _WORDS:
                column = column.astype(object)
            file.variables[name][part.runs(grid)] = column

    def _load(self, part: Part) -> dict[str, np.ndarray]:
        try:
            with open(self._path(part), "rb") as file, np.load(file, allow_pickle=False) as arrays:
                columns = dict(arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            raise DataError(self._damaged(part)) from None
        if columns.pop(_OF, None) != self._mark(part):
            raise DataError(f"{self._path(part)} is a part of another sweep: remove it")
        return columns

    def _mark(self, part: Part) -> str:
        """Which part of which sweep, by what code."""
        return f"{part.number} of {run_id(self._origin)}"

    def _damaged(self, part: Part) -> str:
        return f"{self._path(part)} is damaged: remove it and give the same command again"

    def _path(self, part: Part) -> Path:
        return self.folder / f"part-{part.number:06}.npz"

    def _check_plan(self) -> None:
        """What is in the folder must be of this sweep and these versions."""
        path = self.folder / _PLAN
        if not any(self.folder.glob("part-*.npz")):  # nothing to lose
            path.unlink(missing_ok=True)
        if not path.exists():
            with write_aside(path) as aside:
                aside.write(json.dumps(self._origin, indent=1).encode())
            return
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise DataError(f"{path} is damaged: remove {self.folder} to start anew") from None
        advice = "go on with what it was begun with, or remove it to start anew"
        _check_same(self.folder, theirs, self._origin, advice)

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.out.parent).free
        if needed > free:
            raise DataError(
                f"the sweep needs about {needed / 1e9:.3g} GB in {self.out.parent.absolute()}, and "
                f"{free / 1e9:.3g} are free: free some space or choose another --out"
            )


def coordinates(grid: Grid) -> dict[str, tuple[type, Any]]:
    """Every coordinate of a run with its kind and what stands where it does not apply."""
    found: dict[str, tuple[type, Any]] = {}
    for shape in grid.shapes:
        for method in grid.methods:
            for name, value in describe(shape.choice(0), method, grid).items():
                kind = {str: str, float: float}.get(type(value), int)
                found[name] = kind, {str: "", float: np.nan, int: _WHOLE}[kind]
    return found


def _check_same(
    path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any], advice: str
) -> None:
    """DataError that names the first difference."""
    for key in ("config", "versions", "git", "source", "device"):
        a, b = theirs.get(key), ours[key]
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            name = next(name for name in {**a, **b} if a.get(name) != b.get(name))
            difference = f"{name} {a.get(name)!r}, not {b.get(name)!r}"
        else:
            difference = f"{'revision' if key == 'git' else key} {a}, not {b}"
        raise DataError(f"{path} is of another sweep ({difference}): {advice}")
