"""Parts of a sweep sent to a Dask cluster (extra `cluster`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import numpy as np

from svmconv.errors import DataError
from svmconv.results import provenance
from svmconv.sweep.grid import Grid
from svmconv.sweep.plan import Part
from svmconv.sweep.runs import compute

TIMEOUT = 10.0
"""Seconds that a scheduler has to answer, and then a worker to appear."""
RETRIES = 3
AHEAD = 4
"""Parts per worker that are on their way at once."""


def computed(
    address: str, grid: Grid, wanted: Iterator[Part]
) -> Iterator[tuple[Part, dict[str, np.ndarray]]]:
    """Parts as they are finished by the workers at `address`, or by "local:N" new ones.

    A worker that dies costs its part another try. Raises DataError where nobody answers, or
    workers have other versions than this process.
    """
    try:
        from distributed import as_completed
    except ImportError:
        raise DataError("--dask needs an extra: pip install 'svmconv[cluster]'") from None
    with ExitStack() as stack:
        client = _client(address, stack)
        _check_versions(client)
        ahead = AHEAD * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))

        def submit(part: Part) -> Any:
            return client.submit(_compute, grid, part, retries=RETRIES, pure=False)

        running = as_completed([submit(part) for part in islice(wanted, ahead)])
        for future in running:
            yield _result(future, address)
            for part in islice(wanted, 1):
                running.add(submit(part))


def _result(future: Any, address: str) -> tuple[Part, dict[str, np.ndarray]]:
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except KilledWorker:
        raise DataError(
            f"a part killed {RETRIES + 1} workers, for want of memory perhaps: give workers more, "
            "or make n smaller"
        ) from None
    except (CancelledError, OSError):
        raise DataError(
            f"the scheduler at {address} is gone: what was finished is kept, and the same command "
            "goes on from there"
        ) from None


def _compute(grid: Grid, part: Part) -> tuple[Part, dict[str, np.ndarray]]:
    return part, compute(grid, part)


def _client(address: str, stack: ExitStack) -> Any:
    from distributed import Client, LocalCluster

    try:
        if address.startswith("local:"):
            workers = int(address.removeprefix("local:"))
            if workers < 1:
                raise ValueError
            cluster = stack.enter_context(
                LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
            )
            return stack.enter_context(Client(cluster))
        client = stack.enter_context(Client(address, timeout=TIMEOUT))
    except ValueError:
        raise DataError(
            f"--dask {address}: give the address of a scheduler, such as tcp://host:8786, or "
            "local:N for N processes here"
        ) from None
    except OSError:
        raise DataError(
            f"no Dask scheduler answers at {address}: start one with `dask scheduler`, or use "
            "--dask local:2"
        ) from None
    try:
        client.wait_for_workers(1, timeout=TIMEOUT)
    except TimeoutError:
        raise DataError(
            f"the scheduler at {address} has no workers: start one with `dask worker {address}`"
        ) from None
    return client


def _check_versions(client: Any) -> None:
    ours = provenance()
    for worker, theirs in client.run(provenance).items():
        if theirs != ours:
            names = {**ours["versions"], "revision": ours["git"], "source": ours["source"]}
            others = {**theirs["versions"], "revision": theirs["git"], "source": theirs["source"]}
            name = next(name for name in names if names[name] != others.get(name))
            raise DataError(
                f"worker {worker} has {name} {others.get(name)}, this process {names[name]}: "
                "install the same on both"
            )
