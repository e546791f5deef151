"""Checkpoints from which a killed run goes on to exactly the same end.

One orbax checkpoint is kept: the newest. orbax writes it under another name and renames it once it
is whole, so a kill at any moment leaves a whole checkpoint or none. All of it is plain arrays. The
run it belongs to is known by its identity, which includes the traced program of a step, and with it
the architecture, the loss and every constant of the optimizer.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from svmconv.errors import DataError
from svmconv.training.tracker import Tracker

Arrays = dict[str, np.ndarray]

SHARE = 0.05
"""Most of a run's time that checkpoints at log-spaced losses may take."""
LONGEST = 60.0
"""Seconds of work that a kill may cost."""


class Checkpoints:
    """The newest state of one run in a folder; without a folder, nothing.

    Its kind, its settings, a traced step and the arrays it starts from say which run.
    """

    def __init__(
        self,
        folder: str | Path | None,
        kind: str,
        settings: Mapping[str, Any],
        program: Any,
        start: tuple[Any, ...],
    ) -> None:
        self.folder = None if folder is None else Path(folder).resolve()
        self.identity = {} if folder is None else _identity(kind, settings, program, start)
        self.saved, self.cost = time.perf_counter(), 0.0

    def newest(self) -> Arrays | None:
        """The arrays saved last, or None; what a kill left half-written is removed.

        Raises DataError where the folder holds another run.
        """
        if self.folder is None or not self.folder.exists():
            return None
        if not self.folder.is_dir():
            raise DataError(f"{self.folder} is a file: name a folder for checkpoints")
        for entry in self.folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(entry)
        found = self._entries()
        if not found:
            return None
        try:
            arrays = {name: np.asarray(v) for name, v in _checkpointer().restore(found[-1]).items()}
            theirs = json.loads(arrays.pop("identity").tobytes())
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{found[-1]} is not a checkpoint of svmconv: remove it or choose another folder"
            ) from error
        for key, value in self.identity.items():
            if theirs.get(key) != value:
                raise DataError(
                    f"{self.folder} holds checkpoints of a run with another {key}: choose another "
                    "folder, or ask for that run again"
                )
        return arrays

    def save(self, step: int, arrays: Arrays) -> None:
        """Keep this state instead of the one before."""
        if self.folder is None:
            return
        start = time.perf_counter()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            older = self._entries()
            identity = np.frombuffer(json.dumps(self.identity).encode(), np.uint8)
            target = self.folder / f"step-{step:012d}"
            if target not in older:
                _checkpointer().save(target, {**arrays, "identity": identity})
            for entry in older:
                if entry != target:
                    shutil.rmtree(entry)
        except OSError as error:
            raise DataError(f"{self.folder} could not be written ({error})") from error
        self.saved = time.perf_counter()
        self.cost = self.saved - start

    def save_when_due(self, step: int, arrays: Any, *, spaced: bool) -> None:
        """`save` what the function `arrays` gives, at a log-spaced loss or after a minute."""
        waited = time.perf_counter() - self.saved
        if self.folder and (waited > LONGEST or (spaced and waited > self.cost / SHARE)):
            self.save(step, arrays())

    def how_to_continue(self) -> str:
        """What Ctrl-C says."""
        if self.folder is None:
            return "interrupted: next time, name a folder for checkpoints= to continue from there"
        return f"interrupted: the same call continues from {self.folder}"

    def _entries(self) -> list[Path]:
        assert self.folder is not None
        return sorted(p for p in self.folder.glob("step-*") if p.name[5:].isdigit())


def plain(leaves: tuple[Any, ...], prefix: str = "") -> Arrays:
    """Arrays on the host, by number; random keys as their bits."""
    return {
        f"{prefix}{i}": np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        for i, leaf in enumerate(leaves)
    }


def restored(fresh: tuple[Any, ...], arrays: Arrays, prefix: str) -> tuple[Any, ...]:
    """The saved arrays in the place of fresh ones."""
    saved = (jnp.asarray(arrays[f"{prefix}{i}"]) for i in range(len(fresh)))
    return tuple(
        jax.random.wrap_key_data(value) if _is_key(leaf) else value
        for leaf, value in zip(fresh, saved, strict=True)
    )


def records_of(tracker: Tracker | None) -> Arrays:
    """What a tracker has recorded, as the bytes of a NetCDF file."""
    if tracker is None or not tracker.dataset.sizes["step"]:
        return {}
    file = io.BytesIO()
    tracker.dataset.to_netcdf(file, engine="h5netcdf")
    return {"records": np.frombuffer(file.getvalue(), np.uint8)}


def restore_records(tracker: Tracker | None, arrays: Arrays) -> None:
    """Give a tracker the records that were saved with the state."""
    if tracker is None or "records" not in arrays:
        return
    with xr.open_dataset(io.BytesIO(arrays["records"].tobytes()), engine="h5netcdf") as records:
        Tracker.__init__(tracker, tracker.measure, tracker.at, records.load(), tracker.hidden)


def _identity(
    kind: str, settings: Mapping[str, Any], program: Any, start: tuple[Any, ...]
) -> dict[str, Any]:
    """What makes two runs the same, in the order in which differences are named.

    The program is compared as text, without the addresses of Python functions; it names
    neither the device nor how many there are.
    """
    text = re.sub(r" at 0x[0-9a-f]+", "", str(program.jaxpr))
    return {
        "kind": kind,
        **{f"version of {p}": version(p) for p in ("jax", "flax", "optax")},
        **settings,
        "network, loss or optimizer": _hash(text.encode()),
        "start": _hash(*(value.tobytes() for value in plain(start).values())),
    }


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _checkpointer() -> Any:
    import orbax.checkpoint as ocp  # half a second that a run without checkpoints is spared

    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
