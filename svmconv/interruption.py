"""Ctrl-C that waits for the device: a program left running there takes Python down as it exits."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SOON = 0.05
"""Seconds, by which a callback has ended."""


def heard_everywhere() -> None:
    """Let a Ctrl-C come again that fell into a callback of the garbage collector (JAX has one).

    There Python can only print it and go on.
    """

    def again(dropped: Any) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            threading.Timer(_SOON, _thread.interrupt_main).start()
        else:
            sys.__unraisablehook__(dropped)

    sys.unraisablehook = again


@contextmanager
def finishing() -> Iterator[None]:
    """The block runs to its end; a Ctrl-C meanwhile interrupts after it.

    In threads other than the main one, which no signal reaches, and where Ctrl-C is not Python's to
    handle, nothing changes.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    caught: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda *given: caught.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if caught:
        handler(*caught[0])
