"""Simulations: one runnable file per experiment, whose saved results the figures are drawn from."""

import sys
from types import TracebackType


def _without_traceback(kind: type[BaseException], error: BaseException, at: TracebackType) -> None:
    """Ctrl-C while Python still imports is no fault to report."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, at)


if sys.argv[0] == "-m":  # python -m simulations.NAME, and NAME is not yet imported
    sys.excepthook = _without_traceback
