"""Read the arrays of a user's file, with one sentence for each way it can be wrong."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from svmconv.errors import DataError


def read_arrays(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The named arrays of an npz or safetensors file; nothing is unpickled. Raises DataError."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: name one .npz or .safetensors file")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.suffix not in (".npz", ".safetensors"):
        raise DataError(f"{path}: the name must end in .npz or .safetensors")
    read = _read_npz if path.suffix == ".npz" else _read_safetensors
    return read(path, tuple(required), tuple(optional))


def _read_npz(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, np.ndarray]:
    how = "write it with numpy.savez(path, " + ", ".join(f"{k}=..." for k in required) + ")"
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not an npz file, or is cut short: {how}")
    try:
        with np.load(path, allow_pickle=False) as file:
            _check_names(path, file.files, required, how)
            return {name: file[name] for name in (*required, *optional) if name in file.files}
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path} holds pickled objects, which are never loaded: save plain arrays of "
                "numbers (labels may be strings: give them a string dtype)"
            ) from None
        raise DataError(f"{path} holds an array that cannot be read ({error}): {how}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, RuntimeError) as error:
        raise DataError(f"{path} is damaged ({error}): {how}") from None


def _read_safetensors(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    how = "write it with safetensors.numpy.save_file, arrays " + ", ".join(required)
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a safetensors file ({error}): {how}") from None
    _check_names(path, found, required, how)
    return {name: found[name] for name in (*required, *optional) if name in found}


def _check_names(
    path: Path, found: Sequence[str] | Mapping[str, np.ndarray], required: tuple[str, ...], how: str
) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        raise DataError(
            f"{path} has no array {', '.join(missing)} (it holds {', '.join(found) or 'none'}): "
            f"{how}"
        )
