"""What each command does: a frozen dataclass holds its arguments, `run` gives the exit status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

_LONG = 86400.0
"""Seconds of a sweep that must be meant."""
_BAR = 30
"""Characters of a bar that is full."""
_PROCESSES = 4
"""The longest claim takes a fourth of all: more would wait for it, with 1.2 GiB each."""


@runtime_checkable
class Command(Protocol):
    """One command with its arguments."""

    def run(self) -> int:
        """Do it; the exit status."""
        ...


@dataclass(frozen=True)
class Verify:
    """Check published claims: predicted beside measured, each with a control to refute."""

    ids: list[str]
    all: bool = False
    json: Path | None = None
    report: Path | None = None

    def run(self) -> int:
        """0 if every case came out as expected and every control was refuted, else 1."""
        self._check_outputs()
        import json

        from svmconv import report
        from svmconv.cli.terminal import show
        from svmconv.results import write_aside
        from svmconv.theory.verify import claims as known
        from svmconv.theory.verify import select, verify

        claims = select(list(known()) if self.all else self.ids or None)
        progress = _progress(sum(len(claim.cases) for claim in claims))
        names = [claim.id for claim in claims]
        verdicts = verify(names, progress=progress, processes=_processes())
        if self.json is not None:
            text = json.dumps(report.to_json(verdicts), indent=1, allow_nan=False) + "\n"
            with write_aside(self.json) as file:
                file.write(text.encode())
        if self.report is not None:
            report.write_report(verdicts, self.report)
        show(report.table(verdicts))
        return 0 if all(verdict.as_expected for verdict in verdicts) else 1

    def _check_outputs(self) -> None:
        """Before the run, not after it."""
        from svmconv.errors import DataError
        from svmconv.results import check_writable

        if self.ids and self.all:
            raise DataError("give claim ids or --all, not both")
        outputs = [path for path in (self.json, self.report) if path is not None]
        if len({path.absolute() for path in outputs}) < len(outputs):
            raise DataError(f"--json and --report both name {self.json}: give two names")
        for path in outputs:
            check_writable(path)


@dataclass(frozen=True)
class Solve:
    """The exact hard-margin SVM of your rows, with its certificate."""

    file: Path
    bias: Literal["none", "augmented", "free"] = "none"
    bias_scale: float = 1.0
    geometry: Literal["l2", "l1", "linf", "spectral"] = "l2"
    out: Path | None = None

    def run(self) -> int:
        """0; the SVM is printed and, with --out, saved for MaxMargin.load."""
        from svmconv.errors import DataError
        from svmconv.results import check_writable

        if self.out is not None:
            if self.out.suffix != ".npz":
                raise DataError(f"--out {self.out}: the name must end in .npz")
            check_writable(self.out)
        if self.bias_scale != 1.0 and self.bias != "augmented":
            raise DataError("--bias-scale acts on --bias augmented only: give both or neither")
        from svmconv.cli.files import read_arrays
        from svmconv.cli.terminal import show, svm_table
        from svmconv.problem import Problem
        from svmconv.svm.solve import max_margin

        arrays = read_arrays(self.file, ("x", "y"))
        problem = Problem(arrays["x"], arrays["y"], self.file.name)
        svm = max_margin(
            problem, bias=self.bias, bias_scale=self.bias_scale, geometry=self.geometry
        )
        if self.out is not None:
            svm.save(self.out)
        show(svm_table(problem, svm))
        return 0


@dataclass(frozen=True)
class Audit:
    """How far your last layer is from the exact SVM of your features."""

    file: Path

    def run(self) -> int:
        """0; the audit's report is printed."""
        from svmconv.cli.files import read_arrays
        from svmconv.measures.audit import audit

        arrays = read_arrays(self.file, ("x", "y", "w"), optional=("b",))
        print(audit(arrays["x"], arrays["y"], arrays["w"], arrays.get("b")))
        return 0


@dataclass(frozen=True)
class Sweep:
    """A grid of training runs into one result file; goes on where it was stopped."""

    out: Path
    grid: dict[str, Any]
    flow: bool = False
    dask: str | None = None
    yes: bool = False

    def run(self) -> int:
        """0, or 1 where no run came out well; the file and what came out are printed."""
        from svmconv.devices import use_cores
        from svmconv.errors import DataError
        from svmconv.sweep import Grid, plan, sweep

        if self.flow == (self.grid.get("log_t") is None):
            raise DataError("--flow and --log-t go together: give both, or --optimizer and --steps")
        grid = Grid(**self.grid)
        if not self.yes and plan.seconds(grid) > _LONG:
            raise DataError(f"this is a grid of {plan.told(grid)}: give --yes if it is meant")
        if self.dask is None:
            use_cores()
        with sweep(grid, self.out, dask=self.dask, tell=_say) as found:
            status = found.status.values
            print(f"{self.out}: {len(status):,} runs")
            for word in sorted(set(status)):
                of = status == word
                reason = str(found.reason.values[of][0])
                print(f"  {int(of.sum()):,} {word}" + (f", the first: {reason}" if reason else ""))
        return int(not (status == "ok").any())


@dataclass(frozen=True)
class List:
    """Claims, data sets, models and optimisers, by the names they are asked for."""

    bibtex: bool = False

    def run(self) -> int:
        """0; the names are printed, each with its first line, or the sources of the claims."""
        from svmconv.cli.terminal import catalogue, show

        if self.bibtex:
            from importlib.resources import files

            print((files("svmconv.theory") / "references.bib").read_text(encoding="utf-8"), end="")
        else:
            show(catalogue())
        return 0


def _say(line: str) -> None:
    import sys

    print(f"svmconv: {line}", file=sys.stderr)


def _processes() -> int:
    """As many as there are cores and work for, where no accelerator is to be shared."""
    import jax

    from svmconv.processes import cores

    return min(len(cores()), _PROCESSES) if jax.default_backend() == "cpu" else 1


def _progress(total: int) -> Callable[[str], None]:
    """One line per case on standard error; a person sees a bar grow, a log keeps it plain."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    started = iter(range(1, total + 1))

    def show(line: str) -> None:
        number = next(started)
        done = round(_BAR * (number - 1) / total)
        bar = "#" * done + "." * (_BAR - done) + "  " if console.is_terminal else ""
        console.print(f"{bar}{number}/{total}  {line}", style="dim", markup=False)

    return show
