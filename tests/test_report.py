import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import urlparse

import pytest
from rich.console import Console

import svmconv
from svmconv import plots, report
from svmconv.errors import DataError
from tests import fakes

GOOD = fakes.verdict(
    "first-claim",
    (fakes.measurement(fakes.quantity(), curves=fakes.curve()), "holds"),
    (fakes.HARD, "undecided"),
)
MISSED_CONTROL = fakes.verdict(
    "second-claim", (fakes.measurement(control=fakes.MISSED, curves=fakes.curve(13.8)), "holds")
)
WRONG = fakes.verdict("third-claim", (fakes.measurement(fakes.quantity(2.4)), "holds"))
ALL = [GOOD, MISSED_CONTROL, WRONG]


def text(verdicts, width=100):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(report.table(verdicts))
    return captured.get()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_table_fits_and_says_everything(width):
    shown = text(ALL, width)
    assert max(map(len, shown.splitlines())) <= width
    flat = " ".join(shown.split())
    for verdict in ALL:
        for part in (verdict.id, verdict.statement, verdict.source):
            assert part in flat
        for case in verdict.cases:
            m = case.measurement
            assert f"{m.problem}, bias none, gradient flow" in flat
            assert m.control.hypothesis in flat
    assert "rate t = 10^0.868589 to 10^434294, kappa 0.5" in flat
    assert "undecided (as expected: rows off S weigh more)" in flat
    assert "contradicted (expected: holds)" in flat
    assert "CONTROL NOT REFUTED: a control that nothing refutes (holds)" in flat


def test_last_line_counts():
    assert text(ALL).splitlines()[-1].strip() == (
        "3 claims: 1 hold, 1 undecided, 1 contradicted; 3 of 4 cases as expected; "
        "controls refuted 3/4"
    )
    assert "1 claim: 1 hold; 2 of 2 cases as expected; controls refuted 2/2" in text([GOOD])


def test_numbers_show_the_digits_that_matter():
    close = fakes.quantity(2.0 + 3e-6, error=4e-6)
    line = next(
        r
        for r in text([fakes.verdict("c", (fakes.measurement(close), "holds"))]).splitlines()
        if r.startswith("limit")
    )
    assert line.split() == ["limit", "2.000000", "2.000003", "4.0e-06", "5.0e-01", "holds"]


def test_json_has_exactly_the_schema():
    found = report.to_json(ALL)
    assert list(found) == ["schema", "svmconv", "device", "claims"]
    assert found["schema"] == 1
    assert found["svmconv"] == svmconv.__version__
    assert isinstance(found["device"], str)
    claim = found["claims"][0]
    assert list(claim) == ["id", "source", "statement", "verdict", "seconds", "cases"]
    assert claim["verdict"] == "holds"
    assert claim["cases"][1] == {
        "problem": "hard <rows> [x]",
        "bias": "none",
        "bias_scale": 1.0,
        "method": "gradient flow",
        "range": [2.0, 1e6],
        "clock": "rate t",
        "kappa": 0.5,
        "quantities": [
            {"name": "limit", "predicted": 2.0, "measured": 2.0, "error": 1.0, "tolerance": 0.5}
        ],
        "expected": "undecided",
        "verdict": "undecided",
        "unresolved": "rows off S weigh more",
        "control": {"hypothesis": fakes.REFUTED.hypothesis, "verdict": "contradicted"},
    }
    assert [c["verdict"] for c in found["claims"]] == ["holds", "undecided", "contradicted"]


def test_json_has_no_number_that_json_lacks():
    nan = fakes.measurement(fakes.quantity(float("nan"), error=float("inf")), kappa=float("inf"))
    case = report.to_json([fakes.verdict("c", (nan, "undecided"))])["claims"][0]["cases"][0]
    assert case["kappa"] is None
    assert case["quantities"][0]["measured"] is None
    assert case["quantities"][0]["error"] is None
    json.dumps(case, allow_nan=False)


def test_table_shows_what_is_not_finite():
    nan = fakes.measurement(fakes.quantity(float("nan"), error=float("inf")), kappa=float("inf"))
    assert "nan" in text([fakes.verdict("c", (nan, "undecided"))])


def test_a_program_has_no_range_of_times(tmp_path):
    nan = float("nan")
    program = replace(fakes.measurement(kappa=nan), log_t=(nan, nan), clock="")
    verdicts = [fakes.verdict("no-time", (program, "holds"))]
    shown = [line.strip() for line in text(verdicts).splitlines()]
    heading = shown.index("planted(n=1000, d=20), bias none, gradient flow")
    assert shown[heading + 1] == "holds"
    case = report.to_json(verdicts)["claims"][0]["cases"][0]
    assert (case["range"], case["clock"], case["kappa"]) == ([None, None], "", None)
    page = (report.write_report(verdicts, tmp_path / "r") / "index.html").read_text()
    assert '<p><span class="holds">holds</span></p>' in page
    assert "nan" not in page


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.links, self.words, self.tags = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


def test_report_is_a_page_with_relative_pictures(tmp_path):
    folder = report.write_report(ALL, tmp_path / "report")
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.html", "first-claim.png", "second-claim.png"}  # third: no curves
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    pictures = [link for link in page.links if link.endswith(".png")]
    assert sorted(pictures) == ["first-claim.png", "second-claim.png"]
    assert all(not urlparse(link).scheme and not link.startswith("/") for link in page.links)
    said = " ".join(page.words)
    for verdict in ALL:
        assert {verdict.statement, verdict.source} <= set(page.words)
    assert "hard <rows> [x]" in said
    assert "uniform [alpha] & <p>" in said
    assert not {"rows", "p>", "2018"} & set(page.tags)
    assert page.tags.count("table") == sum(len(verdict.cases) for verdict in ALL)
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_report_refuses_an_existing_folder(tmp_path):
    (tmp_path / "report").mkdir()
    with pytest.raises(DataError, match="exists"):
        report.write_report(ALL, tmp_path / "report")
    with pytest.raises(DataError, match="not a folder"):
        report.write_report(ALL, tmp_path / "absent" / "report")
    assert not list((tmp_path / "report").iterdir())


def test_report_leaves_nothing_behind_when_it_fails(tmp_path, monkeypatch):
    def fail(curves, title):
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "convergence", fail)
    with pytest.raises(KeyboardInterrupt):
        report.write_report(ALL, tmp_path / "report")
    assert not list(tmp_path.iterdir())


def test_colours_follow_the_verdict():
    console = Console(width=100, color_system="standard", force_terminal=True)
    with console.capture() as captured:
        console.print(report.table([WRONG]))
    assert re.search(r"\x1b\[31mcontradicted", captured.get())
