"""Run claims: the registry, and `verify`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from svmconv.errors import DataError
from svmconv.hints import nearest
from svmconv.problem import check_counts
from svmconv.processes import in_processes
from svmconv.theory.claim import CaseVerdict, Claim, Verdict


@cache
def claims() -> dict[str, Claim]:
    """Every claim by its id, in the order of docs/theory.md."""
    from svmconv.theory import (
        conservation,
        derived,
        ew2020_average,
        ew2020_ball,
        ew2020_flow,
        ew2020_layers,
        ew2020_relu,
        fan2025,
        gunasekar2018,
        ji2019,
        ji2021,
        ji2022,
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
        wang2025,
        zhang2024,
        zhu2021,
    )

    descent = (soudry2018, soudry2018_degenerate, soudry2018_multiclass, residual, conservation)
    l2_methods = (derived, ji2021, nacson2019, wang2022, ji2019)
    norms = (gunasekar2018, zhang2024, wang2021, fan2025)
    networks = (li2018, li2018_joint, lyu2020, soudry2018_deep)
    simplex = (ew2020_average, ew2020_ball, ew2020_layers, ew2020_relu, ew2020_flow)
    features = (zhu2021, ji2022, wang2025)
    sources = (*descent, *l2_methods, *norms, *networks, *simplex, *features)
    found = [claim for source in sources for claim in source.CLAIMS]
    return {claim.id: claim for claim in found}


def verify(
    ids: Iterable[str] | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
    processes: int = 1,
) -> list[Verdict]:
    """Measure the named claims, or all that take no minutes, and judge each.

    `progress` is told one line before each case. With more `processes` than one, each measures the
    claims of one paper at a time, which share their runs; a script that asks for them needs its
    `if __name__ == "__main__"`. Raises DataError on an unknown id, naming the nearest one.
    """
    check_counts(1, processes=processes)
    chosen = select(ids)
    papers: dict[str, list[Claim]] = {}
    for claim in chosen:
        papers.setdefault(claim.id.partition("-")[0], []).append(claim)
    # Most cases first: the last one to begin should be short, for the others to wait for.
    groups = sorted(papers.values(), key=lambda group: -sum(len(c.cases) for c in group))
    names = [[claim.id for claim in group] for group in groups]
    processes = min(processes, len(names))
    if processes <= 1:
        return judge([claim.id for claim in chosen], progress)
    apart = in_processes(judge, names, processes, progress)
    found = {verdict.id: verdict for verdicts in apart for verdict in verdicts}
    return [found[claim.id] for claim in chosen]


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
            hint = nearest(name.lower(), known, otherwise="`svmconv list` names them all")
            raise DataError(f"unknown claim {name!r}: {hint}")
    return [known[name] for name in wanted]


def judge(names: Sequence[str], progress: Callable[[str], None]) -> list[Verdict]:
    """Measure the claims of these ids one after the other."""
    return [_judge(claims()[name], progress) for name in names]


def _judge(claim: Claim, progress: Callable[[str], None]) -> Verdict:
    start = time.perf_counter()
    cases = []
    for number, case in enumerate(claim.cases, 1):
        progress(f"{claim.id} {number}/{len(claim.cases)}")
        cases.append(CaseVerdict(case.measure(), case.expected))
    return Verdict(
        claim.id, claim.source, claim.statement, tuple(cases), time.perf_counter() - start
    )
