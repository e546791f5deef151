"""A function over items in several processes, which never outlive the one that asked."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from queue import Empty
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Tell = Callable[[str], None]

_POLL = 0.1
"""Seconds between two looks at what the processes have to tell."""

_telling: list[Queue] = []
"""In a process made here: where its lines go."""


def in_processes(
    work: Callable[[T, Tell], R], items: Sequence[T], processes: int, tell: Tell
) -> list[R]:
    """[work(item, tell) for item in items], begun in order; results and lines come back.

    `work` and the items are pickled, so `work` is a function of a module. The processes are new
    ones (spawned: a copy of a process that runs JAX would hang), so a script needs its
    `if __name__ == "__main__"`. They divide the cores among them, and end when this process fails,
    is interrupted or killed. Raises what `work` raises, and RuntimeError where a process dies of
    something else.
    """
    context = get_context("spawn")
    lines: Queue[str] = context.Queue()
    shares: Queue[list[int]] = context.Queue()
    for number in range(processes):
        shares.put(cores()[number::processes] or cores())  # more processes than cores share them
    # Its other end is never written to: it closes when this process ends, however that happens.
    theirs, ours = Pipe(duplex=False)
    with ProcessPoolExecutor(processes, context, _begin, (lines, shares, theirs)) as pool, ours:
        futures = [pool.submit(_call, work, item) for item in items]
        while not _settled(futures):
            _pass_on(lines, tell)
        results = [future.result() for future in futures]
        while not lines.empty():
            _pass_on(lines, tell)
    return results


def cores() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _settled(futures: Sequence[Future]) -> bool:
    """Whether all are done, or one has failed."""
    return all(f.done() for f in futures) or any(f.done() and f.exception() for f in futures)


def _pass_on(lines: Queue[str], tell: Tell) -> None:
    with suppress(Empty):
        tell(lines.get(timeout=_POLL))


def _begin(lines: Queue[str], shares: Queue[list[int]], alive: Connection) -> None:
    """In each process, first of all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the asking one answers it
    if hasattr(os, "sched_setaffinity"):
        # Thread pools as wide as the machine, in every process, take a third of its time.
        os.sched_setaffinity(0, shares.get())
    _telling[:] = [lines]
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive: Connection) -> None:
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _call(work: Callable[[Any, Tell], R], item: Any) -> R:
    return work(item, _telling[0].put)
