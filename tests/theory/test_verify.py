"""Every registered claim comes out as expected, and the registry says where each comes from."""

import importlib
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import svmconv as sc
from svmconv import theory
from svmconv.theory import verify as module
from tests import fakes

THEORY = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
QUICK = ("ji2021-dual-acceleration", "nacson2019-sqrt", "wang2022-momentum")
"""Each measured by default; `make verify` measures the others, in the checks of every change."""
CLAIMS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in module.claims()
]


@pytest.mark.parametrize("name", CLAIMS)
def test_every_case_comes_out_as_expected(name):
    found = sc.verify([name])[0]
    came_out = [
        (f"{case.measurement.problem}, {case.measurement.method}", case.verdict,
         case.measurement.control.verdict)
        for case in found.cases
    ]  # fmt: skip
    expected = [(label, case.expected, "contradicted")
                for (label, _, _), case in zip(came_out, found.cases, strict=True)]  # fmt: skip
    assert came_out == expected
    assert found.verdict == "holds"
    for case in found.cases:
        measured = case.measurement
        assert measured.quantities
        assert measured.control.quantities
        assert measured.control.hypothesis
        if measured.clock:
            assert measured.log_t[0] < measured.log_t[1]
        else:  # a program, in which no time passes
            assert np.isnan(measured.log_t).all()
            assert measured.curves is None
        assert not measured.kappa < 0
        assert (measured.unresolved is None) == (case.expected == "holds")


@pytest.mark.parametrize("name", module.claims())
def test_a_claim_has_a_statement_a_source_and_a_section(name):
    claim = module.claims()[name]
    assert claim.id == name
    assert claim.source
    assert claim.statement.endswith(".")
    assert len(claim.cases) >= 2
    assert f"| `{name}` |" in THEORY, "missing in the table of docs/theory.md"
    assert f"### `{name}`" in THEORY, "has no section in docs/theory.md"


def test_the_documented_claims_are_the_registered_ones():
    rows = [line.split("`")[1] for line in THEORY.splitlines() if line.startswith("| `")]
    assert rows == list(module.claims())


def test_no_two_claims_share_an_id():
    """Every module that has CLAIMS is registered, and no claim hides another."""
    listed = []
    for path in Path(theory.__file__).parent.glob("*.py"):
        found = importlib.import_module(f"svmconv.theory.{path.stem}")
        listed += [claim.id for claim in getattr(found, "CLAIMS", ())]
    assert sorted(listed) == sorted(module.claims())


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("soudry2018-los", "soudry2018-loss"),
        ("soudry-duals", "soudry2018-duals"),
        ("bias-augment", "bias-augmented"),
        ("SOUDRY2018-LOSS", "soudry2018-loss"),
        ("li2018-lastlayer", "li2018-last-layer"),
    ],
)
def test_an_unknown_claim_is_answered_with_the_nearest(wrong, nearest):
    with pytest.raises(sc.DataError, match=f"unknown claim '{wrong}': did you mean '{nearest}'"):
        sc.verify([wrong])


@pytest.mark.parametrize("wrong", ["", "?", "\N{GREEK SMALL LETTER GAMMA}"])
def test_nonsense_is_answered_with_where_to_look(wrong):
    with pytest.raises(sc.DataError, match="svmconv list"):
        sc.verify([wrong])


@pytest.fixture
def stubs(monkeypatch):
    good = fakes.claim("good", (fakes.measurement(), "holds"))
    bad = fakes.claim(
        "bad",
        (fakes.measurement(), "holds"),
        (fakes.measurement(fakes.quantity(3.0), control=fakes.MISSED), "holds"),
    )
    monkeypatch.setattr(module, "claims", lambda: {"good": good, "bad": bad})


@pytest.mark.usefixtures("stubs")
def test_claims_flow_through_in_the_order_asked_for():
    told = []
    found = sc.verify(["bad", "good", "bad"], progress=told.append)
    assert [verdict.id for verdict in found] == ["bad", "good"]
    assert [verdict.verdict for verdict in found] == ["contradicted", "holds"]
    assert [verdict.as_expected for verdict in found] == [False, True]
    assert told == ["bad 1/2", "bad 2/2", "good 1/1"]
    assert found[0].source == "Nobody <2018>, theorem 3"
    assert all(verdict.seconds >= 0 for verdict in found)


@pytest.mark.usefixtures("stubs")
def test_all_of_them_or_one():
    assert [verdict.id for verdict in sc.verify()] == ["good", "bad"]
    assert [verdict.id for verdict in sc.verify("good")] == ["good"]
    assert sc.verify([]) == []


@pytest.mark.usefixtures("stubs")
def test_nothing_is_measured_before_every_id_is_known():
    told = []
    with pytest.raises(sc.DataError, match="unknown claim 'god': did you mean 'good'"):
        sc.verify(["good", "god"], progress=told.append)
    assert told == []


def test_every_published_claim_has_its_paper():
    """By its whole id where a source's year has several papers, else by what is before the dash."""
    text = (files("svmconv.theory") / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([\w-]+),$", text, re.MULTILINE)
    assert text.count("@") == len(keys) == len(set(keys))
    published = [name for name in module.claims() if re.match(r"[a-z]+\d{4}-", name)]
    assert len(published) > 20
    assert all(name in keys or name.partition("-")[0] in keys for name in published)


def test_works_cited_are_in_the_bibliography_and_those_in_it_are_cited():
    """By their titles, as theory.md lists them."""
    text = (files("svmconv.theory") / "references.bib").read_text(encoding="utf-8")
    titles = [
        t.translate(PLAIN).lower() for t in re.findall(r"^  title = (.*),$", text, re.MULTILINE)
    ]
    page = (Path(__file__).parents[2] / "docs" / "theory.md").read_text(encoding="utf-8")
    listed = page.partition("\n## References\n")[2].partition("\n\n(*)")[0].split("\n- ")[1:]
    works = [" ".join(work.split()).lower() for work in listed]
    assert len(titles) == len(works)
    assert [title for title in titles if not any(title in work for work in works)] == []


PLAIN = str.maketrans("", "", "{}")


def test_claims_spread_over_processes_come_out_the_same():
    names, told = ["nacson2019-sqrt", "wang2022-momentum"], []
    apart = sc.verify(names, progress=told.append, processes=2)
    here = sc.verify(names)
    assert [verdict.id for verdict in apart] == names
    for mine, theirs in zip(here, apart, strict=True):
        for case, other in zip(mine.cases, theirs.cases, strict=True):
            assert case.measurement.quantities == other.measurement.quantities
            assert case.measurement.control == other.measurement.control
    assert len(told) == sum(len(verdict.cases) for verdict in here)


def test_an_impossible_number_of_processes_is_refused():
    with pytest.raises(sc.DataError, match="processes must be an integer of at least 1"):
        sc.verify([], processes=0)
