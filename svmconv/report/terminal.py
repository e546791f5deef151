"""Verdicts as a table for a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from svmconv.report.words import COLUMNS, expectation, label, numbers, summary, time_range
from svmconv.theory.claim import CaseVerdict, Verdict, Word

_STYLE: dict[Word, str] = {"holds": "green", "undecided": "yellow", "contradicted": "red"}
_WIDTHS = (13, 13, 7, 9, 12)


def table(verdicts: Sequence[Verdict]) -> RenderableType:
    """Every claim with its cases, quantities and controls, for a terminal of 80 columns or more.

    Ends with one row per claim and a line of counts.
    """
    return Group(*map(_claim, verdicts), _overview(verdicts), Text(summary(verdicts), "bold"))


def _claim(verdict: Verdict) -> RenderableType:
    title = Text.assemble(
        (verdict.id, "bold"), "  ", _word(verdict.verdict), (f"  {verdict.seconds:.1f} s", "dim")
    )
    parts: list[RenderableType] = [
        title,
        Text(verdict.statement),
        Text(verdict.source, "dim italic"),
    ]
    for number, case in enumerate(verdict.cases):
        parts += [Text(), _case_heading(case), _quantities(case, header=number == 0)]
        parts.append(_control(case))
    return Padding(Group(*parts), (0, 0, 2, 0))


def _case_heading(case: CaseVerdict) -> Text:
    m, aside = case.measurement, expectation(case)
    return Text.assemble(
        (label(m), "bold"),
        f"\n{time_range(m)}",
        _word(case.verdict),
        (f" ({aside})" if aside else "", "" if case.met else "bold red"),
    )


def _quantities(case: CaseVerdict, header: bool) -> Table:
    rows = Table(box=None, padding=(0, 1, 0, 0), expand=True, show_header=header)
    rows.add_column(COLUMNS[0], ratio=1, header_style="dim")
    for name, width in zip(COLUMNS[1:], _WIDTHS, strict=True):
        right = name != "verdict"
        rows.add_column(name, width=width, justify="right" if right else "left", header_style="dim")
    for q in case.measurement.quantities:
        rows.add_row(Text(q.name), *numbers(q), _word(q.verdict))
    return rows


def _control(case: CaseVerdict) -> Text:
    control = case.measurement.control
    refuted = control.verdict == "contradicted"
    return Text.assemble(
        ("control refuted: " if refuted else "CONTROL NOT REFUTED: ", "dim" if refuted else "red"),
        (control.hypothesis, "dim" if refuted else "red"),
        ("" if refuted else f" ({control.verdict})", "red"),
    )


def _overview(verdicts: Sequence[Verdict]) -> Table:
    rows = Table(box=None, padding=(0, 2, 0, 0))
    rows.add_column("claim", header_style="dim", overflow="fold")
    rows.add_column("verdict", header_style="dim")
    for name in ("as expected", "controls refuted", "seconds"):
        rows.add_column(name, justify="right", header_style="dim")
    for verdict in verdicts:
        n = len(verdict.cases)
        met = sum(case.met for case in verdict.cases)
        refuted = sum(c.measurement.control.verdict == "contradicted" for c in verdict.cases)
        rows.add_row(
            Text(verdict.id),
            _word(verdict.verdict),
            f"{met}/{n}",
            f"{refuted}/{n}",
            f"{verdict.seconds:.1f}",
        )
    return rows


def _word(word: Word) -> Text:
    return Text(word, _STYLE[word])
