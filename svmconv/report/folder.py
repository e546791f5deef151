"""Verdicts as a folder: index.html and a picture per claim."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from svmconv import __version__, plots
from svmconv.errors import DataError
from svmconv.report.words import COLUMNS, expectation, label, numbers, summary, time_range
from svmconv.results import check_writable
from svmconv.theory.claim import CaseVerdict, Verdict, Word

_CSS = """
body { font: 15px/1.5 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { border-top: 1px solid #ccc; padding-top: 1em }
table { border-collapse: collapse; margin: .4em 0 }
th, td { padding: .15em .8em .15em 0; text-align: right }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left }
th { font-weight: normal; color: #666; border-bottom: 1px solid #ccc }
img { max-width: 100% } .source { color: #666; font-style: italic }
.holds { color: #00714f } .undecided { color: #8a6100 } .contradicted { color: #b03a00 }
"""


def write_report(verdicts: Sequence[Verdict], folder: str | Path) -> Path:
    """index.html and a picture per claim in a new folder, written aside, then renamed.

    Raises DataError if the folder exists or cannot be made.
    """
    target = Path(folder)
    check_writable(target)
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        pictures = {v.id: _picture(v, aside) for v in verdicts}
        (aside / "index.html").write_text(_page(verdicts, pictures), encoding="utf-8")
        aside.chmod(0o755)
        os.rename(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return target


def _picture(verdict: Verdict, folder: Path) -> str | None:
    """Draw the claim's curves; the file's name, or None if there is nothing to draw."""
    curves = {
        f"{n}. {label(m)}": m.curves
        for n, m in enumerate((case.measurement for case in verdict.cases), 1)
        if m.curves is not None
    }
    try:
        figure = plots.convergence(curves, verdict.id)
    except DataError:
        return None
    name = f"{verdict.id}.png"
    figure.savefig(folder / name)
    return name


def _page(verdicts: Sequence[Verdict], pictures: dict[str, str | None]) -> str:
    links = "\n".join(
        f'<li><a href="#{escape(v.id)}">{escape(v.id)}</a> {_span(v.verdict)}</li>'
        for v in verdicts
    )
    claims = "\n".join(_section(v, pictures[v.id]) for v in verdicts)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>svmconv verify</title><style>{_CSS}</style>\n"
        f"<h1>svmconv {escape(__version__)}: claims and verdicts</h1>\n"
        f"<p>{escape(summary(verdicts))}</p>\n<ul>\n{links}\n</ul>\n{claims}\n</html>\n"
    )


def _section(verdict: Verdict, picture: str | None) -> str:
    name = escape(verdict.id)
    image = f'<p><img src="{escape(picture)}" alt="convergence, {name}"></p>' if picture else ""
    cases = "\n".join(_case_section(n, case) for n, case in enumerate(verdict.cases, 1))
    return (
        f'<h2 id="{name}">{name}: {_span(verdict.verdict)}</h2>\n'
        f'<p>{escape(verdict.statement)}</p>\n<p class="source">{escape(verdict.source)}</p>\n'
        f"{image}\n{cases}"
    )


def _case_section(number: int, case: CaseVerdict) -> str:
    m, aside = case.measurement, expectation(case)
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in (q.name, *numbers(q)))
        + f"<td>{_span(q.verdict)}</td></tr>"
        for q in m.quantities
    )
    return (
        f"<h3>{number}. {escape(label(m))}</h3>\n"
        f"<p>{escape(time_range(m))}{_span(case.verdict)}"
        f"{escape(f' ({aside})' if aside else '')}</p>\n"
        f"<table><tr>{head}</tr>\n{rows}\n</table>\n"
        f"<p>Control, which must be contradicted: {escape(m.control.hypothesis)}: "
        f"{_span(m.control.verdict)}</p>"
    )


def _span(word: Word) -> str:
    return f'<span class="{word}">{word}</span>'
