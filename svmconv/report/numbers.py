"""Verdicts as one JSON object, schema 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from svmconv import __version__
from svmconv.theory.claim import CaseVerdict, Verdict

SCHEMA = 1


def to_json(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The object that `svmconv verify --json` writes; numbers that are not finite become None."""
    import jax

    return {
        "schema": SCHEMA,
        "svmconv": __version__,
        "device": jax.devices()[0].device_kind,
        "claims": [
            {
                "id": verdict.id,
                "source": verdict.source,
                "statement": verdict.statement,
                "verdict": verdict.verdict,
                "seconds": _finite(verdict.seconds),
                "cases": [_case_to_json(case) for case in verdict.cases],
            }
            for verdict in verdicts
        ],
    }


def _finite(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None


def _case_to_json(case: CaseVerdict) -> dict[str, Any]:
    m = case.measurement
    return {
        "problem": m.problem,
        "bias": m.bias,
        "bias_scale": m.bias_scale,
        "method": m.method,
        "range": [_finite(log) for log in m.log_t],
        "clock": m.clock,
        "kappa": _finite(m.kappa),
        "quantities": [
            {
                "name": q.name,
                "predicted": _finite(q.predicted),
                "measured": _finite(q.measured),
                "error": _finite(q.error),
                "tolerance": _finite(q.tolerance),
            }
            for q in m.quantities
        ],
        "expected": case.expected,
        "verdict": case.verdict,
        "unresolved": m.unresolved,
        "control": {"hypothesis": m.control.hypothesis, "verdict": m.control.verdict},
    }
