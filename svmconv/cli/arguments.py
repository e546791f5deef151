"""The command line as words: what may be typed, and what to say to a slip.

argparse and not tyro, because building tyro's parser alone takes longer than --help may (0.3 s).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from svmconv import __version__
from svmconv.cli.commands import Audit, Command, List, Solve, Sweep, Verify
from svmconv.hints import nearest

# Written out, since importing them from svmconv.problem would load numpy; a test compares them.
BIASES = ("none", "augmented", "free")
GEOMETRIES = ("l2", "l1", "linf", "spectral")
LOSSES = ("logistic", "exponential")
_COMMANDS: dict[str, type[Command]] = {
    "verify": Verify,
    "solve": Solve,
    "audit": Audit,
    "sweep": Sweep,
    "list": List,
}


class UsageError(Exception):
    """The command line cannot be understood; one sentence says why."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.options: list[str] = []
        super().__init__(*args, **kwargs)

    def add_argument(self, *names: str, **kwargs: Any) -> argparse.Action:
        """Keep the options' names, which argparse does not give away."""
        self.options += [name for name in names if name.startswith("-")]
        return super().add_argument(*names, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def parse(argv: Sequence[str]) -> Command:
    """The command to run. Raises UsageError; --help and --version print and raise SystemExit."""
    parser, commands = _parsers()
    name = next((word for word in argv if not word.startswith("-")), None)
    if name is not None and name not in commands:
        raise UsageError(f"unknown command {name!r}: {nearest(name, commands)}")
    _check_options(argv, (commands[name] if name else parser).options)
    found = vars(parser.parse_args(argv))
    if found["command"] == "sweep":
        given = {n: found.pop(n) for n in (*SEVERAL, *_SINGLE)}
        found["grid"] = {name: value for name, value in given.items() if value is not None}
    return _COMMANDS[found.pop("command")](**found)


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        "svmconv",
        description="How training turns a last layer into a support vector machine: exact, "
        "certified, checked against theory.",
        epilog="Exit status: 0 as expected; 1 not; 2 usage or bad input; 3 could not certify; "
        "130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"svmconv {__version__}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: dict[str, _Parser] = {}
    for name, command in _COMMANDS.items():
        text = (command.__doc__ or "").partition("\n")[0]
        commands[name] = choices.add_parser(name, help=text, description=text, allow_abbrev=False)
    _verify(commands["verify"])
    _solve(commands["solve"])
    _audit(commands["audit"])
    _sweep(commands["sweep"])
    _list(commands["list"])
    return parser, commands


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="claims, as `svmconv list` names them")
    parser.add_argument(
        "--all", action="store_true", help="every claim, those that take minutes too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number here")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write index.html and a picture per claim here"
    )


def _solve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.npz", help="arrays x (n, d) and y (n,)")
    parser.add_argument(
        "--bias",
        type=_one_of(BIASES),
        default="none",
        metavar="|".join(BIASES),
        help="through the origin (default); what descent on (w, b) reaches; the classical SVM",
    )
    parser.add_argument(
        "--bias-scale",
        type=_number,
        default=1.0,
        metavar="C",
        help="augmented: minimise |w|^2 + b^2/C (default 1)",
    )
    parser.add_argument(
        "--geometry",
        type=_one_of(GEOMETRIES),
        default="l2",
        metavar="|".join(GEOMETRIES),
        help="the norm of w that is minimised (default l2)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="save the SVM here")


def _audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE.npz|FILE.safetensors",
        help="arrays x (n, d): features; y (n,): labels; w (d,) or (K, d): the last layer; "
        "optionally b: its bias",
    )


def _sweep(parser: argparse.ArgumentParser) -> None:
    for name, (kind, text) in {**SEVERAL, **_SINGLE}.items():
        count = "+" if name in SEVERAL else None
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, nargs=count, type=kind, metavar="V", help=text, dest=name)
    parser.add_argument("--flow", action="store_true", help="gradient flow, to ln t = --log-t")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.nc", help="the result; continued if begun"
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS|local:N", help="send the work to a Dask cluster, or N processes"
    )
    parser.add_argument("--yes", action="store_true", help="a sweep of more than a day is meant")


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bibtex",
        action="store_true",
        help="the works that claims, methods and bounds are taken from",
    )


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """An argparse type that accepts these words and suggests the nearest."""

    def chosen(word: str) -> str:
        if word not in choices:
            raise argparse.ArgumentTypeError(f"unknown value {word!r}: {nearest(word, choices)}")
        return word

    return chosen


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number") from None


def _truth(word: str) -> bool:
    if word not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")
    return word == "true"


SEVERAL: dict[str, tuple[Callable[[str], Any], str]] = {
    "data": (str, "data sets (default half_spaces); `svmconv list` names them"),
    "n": (_number, "rows"),
    "d": (_number, "features"),
    "classes": (_number, "planted: classes"),
    "n_support": (_number, "planted: support vectors"),
    "spanning": (_truth, "planted: whether they span all dimensions, true or false"),
    "theta": (_number, "planted: smallest margin off the support"),
    "margin": (_number, "half_spaces, planted, half_plane, disc"),
    "lambda_min": (_number, "planted: smallest eigenvalue of M"),
    "std": (_number, "blobs, multiclass_blobs"),
    "noise": (_number, "moons"),
    "radius": (_number, "disc"),
    "optimizer": (str, "gd, heavy-ball, normalized-gd, dual-acceleration, sgd, sign-descent, ..."),
    "rate": (_number, "step lengths (default .1)"),
    "power": (_number, "step t has length rate (t + 1)^-power"),
    "momentum": (_number, "heavy-ball"),
    "batch": (_number, "sgd: rows of a batch"),
    "replacement": (_truth, "sgd: rows drawn with replacement, true or false"),
    "b1": (_number, "adam"),
    "b2": (_number, "adam"),
    "eps": (_number, "adam"),
    "bias": (str, "none (default), augmented"),
    "bias_scale": (_number, "augmented: minimise |w|^2 + b^2/C"),
}
_SINGLE: dict[str, tuple[Callable[[str], Any], str]] = {
    "seeds": (_number, "data sets of each kind, drawn with seeds 0, 1, ... (default 1)"),
    "steps": (_number, "steps that every optimizer takes"),
    "log_t": (_number, "ln of the time to which the flow is followed"),
    "loss": (_one_of(LOSSES), "logistic (default) or exponential"),
}


def _check_options(argv: Sequence[str], known: list[str]) -> None:
    for word in argv:
        if word == "--":
            return
        option = word.partition("=")[0]
        if re.match("--?[a-zA-Z]", option) and option not in known:
            raise UsageError(f"unknown option {option!r}: {nearest(option, known)}")
