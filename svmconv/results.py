"""Save and load labelled results: one NetCDF file, a schema number, provenance, no pickles."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
import xarray as xr

from svmconv.errors import DataError

SCHEMA = 1
_PACKAGES = (
    "svmconv", "jax", "jaxlib", "numpy", "scipy", "diffrax", "optimistix", "lineax", "equinox",
    "optax", "flax", "cvxpy", "clarabel", "daqp",
)  # fmt: skip
"""All that has a say in a digit of a result."""


def run_id(config: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of the configuration as canonical JSON."""
    return hashlib.sha256(_canonical(config).encode()).hexdigest()[:16]


def provenance() -> dict[str, Any]:
    """Versions, git revision and source; no host, no clock: equal runs give equal files."""
    return {
        "versions": {p: _version(p) for p in _PACKAGES},
        "git": _git_revision(),
        "source": _source(),
    }


def save(dataset: xr.Dataset, path: str | Path, config: Mapping[str, Any] | None = None) -> Path:
    """Write a NetCDF file (aside, then renamed) with `svmconv_schema` and one JSON `provenance`.

    Raises DataError if the path exists or cannot be written.
    """
    stamped = dataset.assign_attrs(stamp(config))
    # In memory first: HDF5 on a full disk fills the screen with messages of its own.
    whole = stamped.to_netcdf(engine="h5netcdf")
    with write_aside(path) as aside:
        aside.write(whole)
    return Path(path)


def stamp(config: Mapping[str, Any] | None = None, **more: str) -> dict[str, Any]:
    """The attributes that make a NetCDF file a result of svmconv; `more` joins its provenance."""
    return {
        "svmconv_schema": SCHEMA,
        "provenance": _canonical({"config": config or {}, **provenance(), **more}),
    }


def load(path: str | Path) -> xr.Dataset:
    """Read a result into memory. DataError on a missing, foreign or newer file."""
    with open_lazily(path) as dataset, _readable(path):
        return dataset.load()


def open_lazily(path: str | Path) -> xr.Dataset:
    """A result whose numbers are read as they are used; close it. DataError as `load`."""
    with _readable(path):
        opened = xr.open_dataset(path, engine="h5netcdf", phony_dims="access")
    try:
        _check_schema(path, opened.attrs.get("svmconv_schema"))
    except DataError:
        opened.close()
        raise
    return opened


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a NetCDF result of svmconv ({error})") from None


def _check_schema(path: str | Path, schema: object) -> None:
    if not isinstance(schema, int | np.integer):
        raise DataError(f"{path}: a NetCDF file, but not written by svmconv (no svmconv_schema)")
    if schema > SCHEMA:
        raise DataError(
            f"{path}: schema {schema} is newer than this svmconv reads ({SCHEMA}): upgrade svmconv"
        )


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Lock a folder while this process lives in the block; whether nobody else had it."""
    import fcntl  # not on Windows

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


@contextmanager
def write_aside(path: str | Path) -> Iterator[IO[bytes]]:
    """A temporary file that takes the name `path` only once the block has ended well.

    Nothing is overwritten and nothing half-written is left. Raises DataError, a full disk included.
    """
    target = Path(path)
    check_writable(target)
    try:
        handle = tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        )
    except OSError:
        raise DataError(f"{target.parent} cannot be written: choose another folder") from None
    try:
        with handle:
            yield handle
        os.chmod(handle.name, 0o644)
        os.replace(handle.name, target)
    except BaseException as error:
        Path(handle.name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise DataError(f"{target} could not be written ({error}): free some space") from error
        raise


def check_writable(path: str | Path) -> None:
    """DataError unless `path` is new and its folder can be written; call before a long run."""
    target = Path(path)
    if target.exists():
        or_remove = "" if target.is_dir() else " or remove it first"
        raise DataError(f"{target} exists: choose another name{or_remove}")
    if not target.parent.is_dir():
        raise DataError(f"{target.parent} is not a folder: create it first")
    if not os.access(target.parent, os.W_OK):
        raise DataError(f"{target.parent} cannot be written: choose another folder")


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _source() -> str:
    """Hash of the package: a revision does not tell one uncommitted change from another."""
    package = Path(__file__).parent
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def _git_revision() -> str:
    """The commit of this source, "-dirty" if any Python file differs from it.

    "unknown" outside its own repository: a wheel may be installed inside somebody else's.
    """
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = _git("status", "--porcelain", "--", ":(top)*.py")
        return _git("rev-parse", "--short=12", "HEAD") + "-dirty" * bool(changed)
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    options = {"cwd": Path(__file__).parent, "capture_output": True, "text": True}
    return subprocess.run(command, timeout=5, check=True, **options).stdout.strip()
