"""The verdict rule, by table."""

import math

import pytest

from svmconv.theory.claim import CaseVerdict, Control, Quantity, Verdict, worst
from svmconv.theory.quantities import refuted, within
from tests import fakes

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("predicted", "measured", "error", "tolerance", "word"),
    [
        (2.0, 2.25, 0.5, 1.0, "holds"),
        (2.0, 2.5, 0.5, 1.0, "holds"),  # |measured - predicted| = e
        (2.0, math.nextafter(2.5, 3), 0.5, 1.0, "contradicted"),
        (2.0, 1.5, 0.5, 1.0, "holds"),
        (2.0, math.nextafter(1.5, 1), 0.5, 1.0, "contradicted"),
        (2.0, 2.0, 0.5, 0.5, "holds"),  # e = tolerance
        (2.0, 2.0, 0.5, math.nextafter(0.5, 0), "undecided"),
        (2.0, 9.0, 0.5, 0.4, "undecided"),  # far off, but the bar is too wide to say so
        (2.0, 2.0, 0.0, 0.0, "holds"),
        (2.0, math.nextafter(2.0, 3), 0.0, 0.0, "contradicted"),
        (NAN, 2.0, 0.5, 1.0, "undecided"),
        (2.0, NAN, 0.5, 1.0, "undecided"),
        (2.0, 2.0, NAN, 1.0, "undecided"),
        (2.0, 2.0, 0.5, NAN, "undecided"),
        (2.0, INF, 0.5, 1.0, "undecided"),
        (INF, INF, 0.5, 1.0, "undecided"),
        (2.0, 2.0, INF, INF, "undecided"),
        (2.0, 2.0, 0.5, INF, "undecided"),
    ],
)
def test_the_rule(predicted, measured, error, tolerance, word):
    assert Quantity("x", predicted, measured, error, tolerance).verdict == word


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ([], "undecided"),
        (["holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["undecided", "contradicted", "holds"], "contradicted"),
        (["contradicted", "undecided"], "contradicted"),
    ],
)
def test_the_worst_word_wins(words, word):
    assert worst(iter(words)) == word


HOLDS, CONTRADICTED, UNDECIDED = fakes.quantity(), fakes.quantity(3.0), fakes.UNDECIDED


def test_a_control_is_judged_by_the_same_rule():
    assert Control("x", (HOLDS,)).verdict == "holds"
    assert Control("x", (HOLDS, CONTRADICTED)).verdict == "contradicted"
    assert Control("x", (UNDECIDED,)).verdict == "undecided"
    assert Control("x", ()).verdict == "undecided"


@pytest.mark.parametrize(
    ("found", "expected", "control", "as_expected"),
    [
        (HOLDS, "holds", fakes.REFUTED, True),
        (HOLDS, "holds", fakes.MISSED, False),
        (HOLDS, "holds", Control("too near", (UNDECIDED,)), False),
        (HOLDS, "undecided", fakes.REFUTED, False),
        (UNDECIDED, "undecided", fakes.REFUTED, False),
        (UNDECIDED, "holds", fakes.REFUTED, False),
        (CONTRADICTED, "holds", fakes.REFUTED, False),
        (CONTRADICTED, "undecided", fakes.REFUTED, False),
    ],
)
def test_as_expected_needs_the_verdict_and_a_refuted_control(found, expected, control, as_expected):
    case = CaseVerdict(fakes.measurement(found, control=control), expected)
    assert case.as_expected == as_expected


@pytest.mark.parametrize(
    ("found", "unresolved", "met"),
    [
        (UNDECIDED, "too early", True),
        (UNDECIDED, None, False),  # a bar that is too wide for no reason that theory knows
        (fakes.quantity(9.0, error=1.0), "too early", False),  # beyond even so wide a bar
        (fakes.quantity(math.nan, error=1.0), "too early", False),
        (fakes.quantity(9.0, error=INF), "too early", True),
        (HOLDS, "too early", False),
    ],
)
def test_undecided_counts_only_where_theory_foresaw_it_and_no_bar_broke(found, unresolved, met):
    case = CaseVerdict(fakes.measurement(found, unresolved=unresolved), "undecided")
    assert case.met == met
    assert case.as_expected == met


def judged(*cases):
    return Verdict("id", "source", "statement", tuple(CaseVerdict(m, e) for m, e in cases), 0.0)


def test_a_claim_holds_when_every_case_came_out_as_expected():
    good = (fakes.measurement(HOLDS), "holds")
    hard = (fakes.HARD, "undecided")
    missed = (fakes.measurement(HOLDS, control=fakes.MISSED), "holds")
    wrong = (fakes.measurement(CONTRADICTED), "holds")
    surprising = (fakes.measurement(UNDECIDED), "holds")
    assert judged(good, hard).verdict == "holds"
    assert judged(good, missed).verdict == "undecided"
    assert judged(good, surprising).verdict == "undecided"
    assert judged(good, hard, wrong).verdict == "contradicted"
    assert not judged(good, wrong).as_expected


@pytest.mark.parametrize(
    ("distance", "word"),
    [(0.0, "undecided"), (0.1, "undecided"), (0.1875, "undecided"), (0.25, "contradicted"),
     (-0.25, "contradicted"), (-0.1875, "undecided"), (9.0, "contradicted"),
     (math.nan, "undecided"), (math.inf, "undecided")],
)  # fmt: skip
def test_a_control_nearer_than_twice_the_error_bar_is_not_refuted(distance, word):
    right = Quantity("x", 2.0, 2.0, 0.125, 1.0)
    assert refuted("x", right, 2.0 + distance).verdict == word


def test_a_control_cannot_be_refuted_by_a_measurement_that_agrees_with_it():
    """The run says 3, theory 2, the wrong hypothesis 3: the control holds, as it must not."""
    right = Quantity("x", 2.0, 3.0, 0.125, 1.0)
    assert refuted("x", right, 3.0).verdict == "holds"


def test_within_widens_the_bar_by_the_way_still_to_go():
    wide = within(Quantity("x", 2.0, 2.0, 0.125, 0.25), 0.5)
    assert (wide.error, wide.tolerance) == (0.625, 0.625)
    assert refuted("x", wide, 3.0).verdict == "undecided"  # 1 < 2 * .625
    assert refuted("x", wide, 3.5).verdict == "contradicted"
