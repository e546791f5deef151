"""Ctrl-C that waits for the device: a program left running there takes Python down as it exits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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
