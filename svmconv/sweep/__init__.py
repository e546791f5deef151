"""Sweeps: thousands of runs, each beside its exact SVM, in one labelled file.

`use_cores` first, where runs are to divide among the cores of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from svmconv.errors import DataError
from svmconv.progress import progress_bar
from svmconv.results import open_lazily
from svmconv.sweep import plan
from svmconv.sweep.cluster import computed
from svmconv.sweep.grid import Grid
from svmconv.sweep.plan import Part
from svmconv.sweep.runs import compute
from svmconv.sweep.store import Store


class Stopped(KeyboardInterrupt):
    """Ctrl-C during a sweep; its message says what is kept and how to go on."""


def sweep(
    grid: Grid,
    out: str | Path,
    *,
    dask: str | None = None,
    tell: Callable[[str], None] | None = None,
) -> xr.Dataset:
    """Run the grid and write one NetCDF file; the same call goes on where another was stopped.

    Returns the file opened lazily: dims run, log1p_t = ln(1 + t); a coordinate for every swept
    parameter, `id` (a hash of the run's configuration), `status` ("ok", or why the row is nan) and
    `reason`; the gaps and forecasts of runs.CURVES, the constants of runs.NUMBERS. `dask` sends the
    work to a cluster: the address of a scheduler or "local:N".

    Raises DataError: a file of another sweep or version, no space, no cluster; Stopped on Ctrl-C.
    """
    out = Path(out)
    if out.suffix != ".nc":
        raise DataError(f"{out}: the name of a sweep's result must end in .nc")
    store = Store(grid, out)
    if not store.complete():
        with store.open():
            _run(grid, store, dask, tell or (lambda line: None))
    return open_lazily(out)


def _run(grid: Grid, store: Store, dask: str | None, tell: Callable[[str], None]) -> None:
    total = plan.count(grid)
    done = (
        sum(store.has(part) for part in plan.parts(grid)) if any(store.folder.glob("*.npz")) else 0
    )
    tell(plan.told(grid) + (f"; {done} of {total} parts are there" if done else ""))
    wanted = (part for part in plan.parts(grid) if not store.has(part))
    finished: Iterator[tuple[Part, dict[str, np.ndarray]]]
    if dask is None:
        finished = ((part, compute(grid, part)) for part in wanted)
    else:
        finished = computed(dask, grid, wanted)
    try:
        with progress_bar("sweep", total) as advance:
            advance(done, "")
            for part, columns in finished:
                store.keep(part, columns)
                done += 1
                advance(done, "")
    except KeyboardInterrupt:
        raise Stopped(
            f"interrupted: {done} of {total} parts are kept in {store.folder}: the same command "
            "goes on from there"
        ) from None
    store.assemble()
