"""The claim of docs/adding-a-claim.md runs as it stands, and can fail."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import svmconv as sc
from svmconv.theory import verify as module
from svmconv.theory.claim import CaseVerdict

DOCUMENT = (Path(__file__).parents[1] / "docs" / "adding-a-claim.md").read_text()
EXAMPLE, TRYING = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture
def names(monkeypatch):
    """What the blocks define; the registry is put back afterwards."""
    known = dict(module.claims())
    monkeypatch.setattr(module, "claims", lambda: known)
    found = {}
    exec(EXAMPLE, found)
    return found


def test_it_is_short():
    assert len(EXAMPLE.splitlines()) <= 25


def test_it_holds_and_refutes_its_control(names, capsys):
    exec(TRYING, names)
    assert capsys.readouterr().out == "holds\n"
    claim = names["claim"]
    assert module.claims()[claim.id] is claim
    (found,) = sc.verify([claim.id])
    assert found.verdict == "holds"
    assert len(found.cases) == 2
    assert {case.verdict for case in found.cases} == {"holds"}
    assert {case.measurement.control.verdict for case in found.cases} == {"contradicted"}


@pytest.mark.parametrize("log_t", [20.0, 200.0])
def test_its_error_bar_is_honest_and_not_idle(names, log_t):
    (right,) = names["measure"](log_t).quantities
    assert right.verdict == "holds"
    assert right.error <= 1e-6 * right.predicted


def test_another_loss_constant_is_contradicted(names):
    (right,) = names["measure"](40.0).quantities
    wrong = replace(right, measured=right.measured * (1 + 1e-5))
    assert wrong.verdict == "contradicted"


def test_early_on_it_is_undecided_and_says_why(names):
    measurement = names["measure"](10.0)
    assert measurement.unresolved is not None
    early = CaseVerdict(measurement, "undecided")
    assert early.verdict == "undecided"
    assert early.met
