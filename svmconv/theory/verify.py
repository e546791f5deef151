"""Run claims: the registry, and `verify`."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable
from functools import cache

from svmconv.errors import DataError
from svmconv.problem import check_counts
from svmconv.processes import in_processes
from svmconv.theory.claim import CaseVerdict, Claim, Verdict


@cache
def claims() -> dict[str, Claim]:
    """Every claim by its id, in the order of docs/theory.md."""
    from svmconv.theory import (
        conservation,
        derived,
        fan2025,
        gunasekar2018,
        ji2019,
        ji2021,
        li2018,
        li2018_joint,
        lyu2020,
        nacson2019,
        residual,
        soudry2018,
        soudry2018_deep,
        soudry2018_degenerate,
        soudry2018_multiclass,
        wang2021,
        wang2022,
        zhang2024,
    )

    descent = (soudry2018, soudry2018_degenerate, soudry2018_multiclass, residual, conservation)
    l2_methods = (derived, ji2021, nacson2019, wang2022, ji2019)
    norms = (gunasekar2018, zhang2024, wang2021, fan2025)
    networks = (li2018, li2018_joint, lyu2020, soudry2018_deep)
    sources = (*descent, *l2_methods, *norms, *networks)
    found = [claim for source in sources for claim in source.CLAIMS]
    return {claim.id: claim for claim in found}


def verify(
    ids: Iterable[str] | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
    processes: int = 1,
) -> list[Verdict]:
    """Measure the named claims, or all that take no minutes, and judge each.

    `progress` is told one line before each case. With more `processes` than one, each measures one
    claim at a time; a script that asks for them needs `if __name__ == "__main__"`. Raises DataError
    on an unknown id, naming the nearest one.
    """
    check_counts(1, processes=processes)
    chosen = [claim.id for claim in select(ids)]
    processes = min(processes, len(chosen))
    if processes <= 1:
        return [judge(name, progress) for name in chosen]
    # Last ones first: those about networks take longest, and would leave the others idle.
    return in_processes(judge, chosen[::-1], processes, progress)[::-1]


def select(ids: Iterable[str] | None) -> list[Claim]:
    """The claims of these ids, or all but the extended. Raises DataError on an unknown id."""
    known = claims()
    if ids is None:
        return [claim for claim in known.values() if not claim.extended]
    if isinstance(ids, str):
        ids = [ids]
    wanted = list(dict.fromkeys(ids))
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise DataError(f"unknown claim {name!r}: did you mean {near[0]!r}?")
    return [known[name] for name in wanted]


def judge(name: str, progress: Callable[[str], None]) -> Verdict:
    """Measure one claim."""
    claim = claims()[name]
    start = time.perf_counter()
    cases = []
    for number, case in enumerate(claim.cases, 1):
        progress(f"{claim.id} {number}/{len(claim.cases)}")
        cases.append(CaseVerdict(case.measure(), case.expected))
    return Verdict(
        claim.id, claim.source, claim.statement, tuple(cases), time.perf_counter() - start
    )
