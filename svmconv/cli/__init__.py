"""The command `svmconv`. Nothing heavy is imported before a command runs: --help stays instant.

Exit status: 0 every case as expected and every control refuted; 1 otherwise; 2 usage or bad input;
3 could not certify; 130 interrupted; 141 the reader of standard output went away.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from svmconv.cli.arguments import UsageError, parse
from svmconv.interruption import heard_everywhere


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status. Errors become one sentence on standard error."""
    heard_everywhere()
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            status = _run(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()
        except UsageError as error:
            return _complain(error, 2)
        except KeyboardInterrupt as error:
            return _complain(str(error) or "interrupted", 130)
        except BrokenPipeError:
            # What is left unwritten goes nowhere, so that Python does not complain on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except Exception as error:
            return _explain(error)
    return status


def _run(argv: Sequence[str]) -> int:
    try:
        command = parse(argv)
    except SystemExit:  # --help and --version have printed what was asked for
        return 0
    return command.run()


def _explain(error: Exception) -> int:
    """The exit status of an error made on purpose; any other is a bug and keeps its traceback."""
    from svmconv.errors import CertificateError, SvmconvError

    if isinstance(error, CertificateError):
        return _complain(error, 3)
    if isinstance(error, SvmconvError):
        return _complain(error, 2 if isinstance(error, ValueError) else 1)
    if isinstance(error, OSError):
        return _complain(error, 2)
    raise error


def _complain(message: object, status: int) -> int:
    print(f"svmconv: {message}", file=sys.stderr)
    return status


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"svmconv: warning: {message}", file=sys.stderr)
