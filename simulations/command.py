"""What the commands of all simulations share: arguments, how they end, results that are whole."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import xarray as xr

from svmconv.errors import DataError, SvmconvError
from svmconv.interruption import heard_everywhere
from svmconv.results import check_writable, locked, save
from svmconv.training.interrupted import Interrupted

C = TypeVar("C")
"""Configuration of a simulation, a dataclass."""
_UNFINISHED = ".unfinished."


def arguments(name: str, presets: Mapping[str, Any], doc: str | None) -> argparse.ArgumentParser:
    """--preset and --out; the first line of `doc` says what the simulation is."""
    parser = argparse.ArgumentParser(
        f"python -m simulations.{name}", description=(doc or "").partition("\n")[0]
    )
    parser.add_argument("--preset", choices=presets, default="smoke")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER")
    return parser


def finished(work: Callable[[], None]) -> int:
    """0 once `work` is done, else one sentence on standard error: 2, or 130 on Ctrl-C."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # as it was during the imports
        signal.signal(signal.SIGINT, signal.default_int_handler)
    heard_everywhere()
    try:
        work()
    except SvmconvError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted: give the same command again", file=sys.stderr)
        return 130
    return 0


def main(
    name: str,
    presets: Mapping[str, C],
    run: Callable[[C], xr.Dataset],
    doc: str | None,
    argv: Sequence[str] | None = None,
    *,
    summary: Callable[[xr.Dataset], str] | None = None,
) -> int:
    """Write what `run` returns to OUT/NAME-PRESET.nc and say so; as `finished`."""
    chosen = arguments(name, presets, doc).parse_args(argv)
    config, target = presets[chosen.preset], chosen.out / f"{name}-{chosen.preset}.nc"

    def work() -> None:
        make_folder(chosen.out)
        check_writable(target)
        try:
            found = run(config)
        except KeyboardInterrupt as error:  # some know better what is kept
            words = "interrupted: nothing was written, the same command starts anew"
            raise Interrupted(str(error) or words) from None
        save(found, target, asdict(config))  # pyright: ignore[reportArgumentType]
        print(target)
        if summary is not None:
            print(summary(found))

    return finished(work)


def make_folder(folder: Path) -> None:
    """Make it, and those above. DataError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        raise DataError(f"{folder} cannot be made ({reason}): choose another --out") from None


@contextmanager
def all_or_nothing(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder whose empty folders `names` move to `out` only once the block has ended well.

    What a killed run left behind is removed first: nobody holds its lock any more.
    """
    check_new(out, names)
    make_folder(out)
    try:
        for left in out.glob(f"{_UNFINISHED}*"):
            with locked(left) as free:
                if free:
                    shutil.rmtree(left)
        staging = tempfile.TemporaryDirectory(dir=out, prefix=_UNFINISHED)
    except OSError as error:
        reason = error.strerror
        raise DataError(f"{out} cannot be written ({reason}): choose another --out") from None
    try:
        with staging as aside, locked(Path(aside)):
            for name in names:
                Path(aside, name).mkdir()
            yield Path(aside)
            check_new(out, names)  # another run may have ended meanwhile
            for name in names:
                Path(aside, name).rename(out / name)
    except OSError as error:
        reason = error.strerror
        raise DataError(f"{out} could not be written ({reason}): free some space") from error


def check_new(out: Path, names: Sequence[str]) -> None:
    """DataError if `out` holds one of them."""
    for target in (out / name for name in names):
        if target.exists():
            raise DataError(f"{target} exists: remove it or choose another folder with --out")
