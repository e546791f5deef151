"""What a person watching a long run sees."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress_bar(label: str, total: float | None) -> Iterator[Callable[[float, str], None]]:
    """Call the yielded function with the total done so far and a few words about the state.

    Silent unless standard error is a terminal.
    """
    with Progress(
        *Progress.get_default_columns(),
        "{task.fields[state]}",
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task(label, total=total, state="")
        yield lambda done, state: bar.update(task, completed=done, state=state)
