"""What the table and the page say in the same words: counts, numbers, ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence

from svmconv.theory.claim import CaseVerdict, Measurement, Quantity, Verdict

COLUMNS = ("quantity", "predicted", "measured", "error", "tolerance", "verdict")


def summary(verdicts: Sequence[Verdict]) -> str:
    """Counts in one line: "8 claims: 8 hold; 31 of 31 cases as expected; ..."."""
    words = [verdict.verdict for verdict in verdicts]
    cases = [case for verdict in verdicts for case in verdict.cases]
    counts = [f"{words.count('holds')} hold"]
    counts += [f"{words.count(w)} {w}" for w in ("undecided", "contradicted") if w in words]
    met = sum(case.met for case in cases)
    refuted = sum(case.measurement.control.verdict == "contradicted" for case in cases)
    return (
        f"{_plural(len(verdicts), 'claim')}: {', '.join(counts)}; "
        f"{met} of {_plural(len(cases), 'case')} as expected; "
        f"controls refuted {refuted}/{len(cases)}"
    )


def label(m: Measurement) -> str:
    """What a case is about: problem, bias, method."""
    scale = f" with c = {m.bias_scale:g}" if m.bias_scale != 1.0 else ""
    return f"{m.problem}, bias {m.bias}{scale}, {m.method}"


def expectation(case: CaseVerdict) -> str:
    """What is to be said beside a verdict: nothing where a case holds as it should."""
    m = case.measurement
    if not case.met:
        if case.verdict != case.expected:
            return f"expected: {case.expected}"
        return "for no reason that theory foresaw" if m.unresolved is None else "an error bar broke"
    return "" if case.verdict == "holds" else f"as expected: {m.unresolved}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def numbers(q: Quantity) -> tuple[str, str, str, str]:
    """predicted, measured, error, tolerance, with the digits that the error bar leaves."""
    digits = 4
    if q.error > 0 and math.isfinite(q.error) and q.predicted and math.isfinite(q.predicted):
        digits = min(7, max(3, 2 + math.ceil(math.log10(abs(q.predicted) / q.error))))
    return (
        f"{q.predicted:#.{digits}g}",
        f"{q.measured:#.{digits}g}",
        f"{q.error:.1e}",
        f"{q.tolerance:.1e}",
    )


def time_range(m: Measurement) -> str:
    """The clock's range as powers of ten, t may be 10^434294, and kappa where there is one.

    Ends in a colon, for a verdict to follow. Empty where `clock` is: no time passes in a program.
    """
    if not m.clock:
        return ""
    low, high = (log / math.log(10.0) for log in m.log_t)
    kappa = "" if math.isnan(m.kappa) else f", kappa {m.kappa:.3g}"
    return f"{m.clock} = 10^{low:.6g} to 10^{high:.6g}{kappa}: "
