"""How often the checker is right: random right hypotheses, and random wrong ones.

A verdict is worth what it rules out. Random problems of five families are run and judged by the
rules of `svmconv verify`: right forecasts must never be contradicted, and of hypotheses that are
wrong by a random amount none may hold. "undecided" is allowed, and counted.

    python -m simulations.power --preset smoke

writes runs/power-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr

from simulations import command
from svmconv import data
from svmconv.geometry import norm
from svmconv.optimizers import Adam, CoordinateDescent, NormalizedGD, Optimizer, SignDescent
from svmconv.problem import Geometry, Problem
from svmconv.svm.solve import max_margin
from svmconv.theory import other_norms
from svmconv.theory import quantities as q
from svmconv.theory.claim import Quantity, Word, worst
from svmconv.theory.comparison import Comparison, compare
from svmconv.theory.setting import Descent, Setting

NORMS: tuple[tuple[Optimizer, Geometry], ...] = (
    (SignDescent(0.01), "linf"), (Adam(0.01, b2=0.99), "linf"), (CoordinateDescent(0.01), "l1")
)  # fmt: skip
L2: Geometry = "l2"
WORDS: tuple[Word, ...] = ("holds", "undecided", "contradicted")
SMALLEST = 0.01
"""Wrong hypotheses are off by factors of e^.01 and more, or are left out."""


class Hypothesis(NamedTuple):
    """What is claimed of one run, and whether it is true."""

    kind: str
    right: bool
    off_by: float
    """ln of the factor by which it is wrong, without sign; 0 if right."""
    problem: str
    quantities: tuple[Quantity, ...]

    @property
    def verdict(self) -> Word:
        """By the rule of every claim."""
        return worst(quantity.verdict for quantity in self.quantities)

    @property
    def miss(self) -> float:
        """|measured - predicted| in units of the error bar, of the quantity that misses most."""
        return max(abs(x.measured - x.predicted) / x.error for x in self.quantities)


@dataclass(frozen=True, kw_only=True)
class Config:
    """How many problems of each family."""

    each: int


PRESETS = {"smoke": Config(each=2), "paper": Config(each=12)}


def run(config: Config) -> xr.Dataset:
    """Over `hypothesis`: kind, right, off_by, problem, verdict, and miss in units of the error bar.

    Raises nothing that a claim would not.
    """
    drawn = [h for family in FAMILIES for seed in range(config.each) for h in family(seed)]
    # A hypothesis that comes out as good as right is not a wrong one.
    found = [h for h in drawn if h.right or h.off_by >= SMALLEST]
    columns = {
        "kind": [h.kind for h in found],
        "right": [h.right for h in found],
        "off_by": [h.off_by for h in found],
        "problem": [h.problem for h in found],
        "verdict": [h.verdict for h in found],
        "miss": [h.miss for h in found],
    }
    return xr.Dataset({name: ("hypothesis", np.array(v)) for name, v in columns.items()})


def flows(seed: int) -> Iterator[Hypothesis]:
    """Flow through the origin, up to ln t = 1e6."""
    rng = np.random.default_rng([1, seed])
    problem = planted(rng)
    c = compare(Setting(lambda: problem))
    loss, duals = q.loss_constant(c), q.dual_error(c)
    right = (q.direction(c), q.residual(c), q.scaled_gap(c), loss, duals)
    yield Hypothesis("flow", True, 0.0, problem.name, right)
    size = amount(rng)
    yield _wrong("perturbed duals", abs(size), c, q.dual_error(c, perturbed(c, size, rng)))
    size = amount(rng)
    rate = replace(loss, predicted=loss.predicted * np.exp(size))
    yield _wrong("wrong rate", abs(size), c, rate, q.residual(c, shift=size))


def biased(seed: int) -> Iterator[Hypothesis]:
    """Flow of (w, b), rows away from the origin."""
    rng = np.random.default_rng([2, seed])
    base = planted(rng, spare=2)  # else the same (w, b) is the best for every price of b
    problem = Problem(base.x + rng.standard_normal(base.d), base.y, f"shifted {base.name}")
    c = compare(Setting(lambda: problem, bias="augmented"))
    margin = q.classical_margin(c)
    yield Hypothesis("flow of (w, b)", True, 0.0, problem.name, (q.direction(c), margin))
    own = 1.0 / norm(c.svm.w)
    free = 1.0 / norm(max_margin(problem, bias="free").w)
    yield _limit("classical SVM", c, margin, own, free)
    scale = float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.5, 4.0)))
    other = max_margin(problem, bias="augmented", bias_scale=scale)
    yield _limit("wrong bias scale", c, margin, own, 1.0 / norm(other.w))


def descents(seed: int) -> Iterator[Hypothesis]:
    """Descent on ln L."""
    rng = np.random.default_rng([3, seed])
    problem = planted(rng)
    c = compare(_on_log_loss(problem))
    yield Hypothesis("descent on ln L", True, 0.0, problem.name, _constants(c))
    size = amount(rng)
    yield _wrong("perturbed margin", abs(size), c, *_margin_off_by(c, size))


def classes(seed: int) -> Iterator[Hypothesis]:
    """Descent on ln L with three or four classes."""
    rng = np.random.default_rng([4, seed])
    k = int(rng.integers(3, 5))
    problem = data.planted(
        n=40,
        d=2 * k - 2,
        n_support=8,
        spanning=True,
        classes=k,
        theta=float(rng.uniform(1.5, 3.0)),
        seed=int(rng.integers(10**6)),
    )
    c = compare(_on_log_loss(problem))
    right = _constants(c)
    yield Hypothesis("K classes", True, 0.0, problem.name, right)
    factor = float(rng.choice([k, k - 1, 2.0, 0.5, 1.0 / k]))
    loss = replace(right[1], predicted=right[1].predicted + np.log(factor))
    yield _wrong("wrong K factor", abs(np.log(factor)), c, loss)


def norms(seed: int) -> Iterator[Hypothesis]:
    """Sign descent, Adam and coordinate descent, in their own norm and in another."""
    rng = np.random.default_rng([5, seed])
    problem = planted(rng, spare=1)
    method, own = NORMS[seed % len(NORMS)]
    for geometry in (own, L2):
        r = other_norms.run(other_norms.Setting(lambda: problem, method, 30_000, geometry))
        found = other_norms.growth_of_margin(r), other_norms.margin(r)
        wrong = geometry != own
        off_by = float(np.log(r.svm.margin * norm(_own_svm(problem, own), geometry)))
        kind = "wrong norm" if wrong else "other norms"
        yield Hypothesis(kind, not wrong, abs(off_by) * wrong, problem.name, found)


FAMILIES: Sequence[Callable[[int], Iterator[Hypothesis]]] = (
    flows, biased, descents, classes, norms
)  # fmt: skip


def planted(rng: np.random.Generator, spare: int = 0) -> Problem:
    """A random planted problem of two classes; at least `spare` dimensions are not supported."""
    d = int(rng.integers(3 + spare, 9))
    n_support = int(rng.integers(2, d + 1 - spare))
    return data.planted(
        n=int(rng.integers(n_support + 5, 100)),
        d=d,
        n_support=n_support,
        theta=float(rng.uniform(1.3, 3.0)),
        lambda_min=float(rng.uniform(0.3, 1.0)),
        spanning=n_support == d,
        seed=int(rng.integers(10**6)),
    )


def amount(rng: np.random.Generator) -> float:
    """Between SMALLEST and 1 in size, log-uniform, of either sign."""
    return float(rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(np.log(SMALLEST), 0.0)))


def perturbed(c: Comparison, size: float, rng: np.random.Generator) -> np.ndarray:
    """The duals with one support vector's off by e^size."""
    alpha = c.constants.alpha.copy()
    alpha[rng.choice(np.flatnonzero(alpha))] *= np.exp(size)
    return alpha


def _wrong(kind: str, off_by: float, c: Comparison, *found: Quantity) -> Hypothesis:
    return Hypothesis(kind, False, off_by, c.problem.name, found)


def _limit(kind: str, c: Comparison, right: Quantity, own: float, other: float) -> Hypothesis:
    """A limit that the run has come to within as much as it has come to its own."""
    near = q.within(right, abs(right.predicted - own))
    return _wrong(kind, abs(np.log(other / own)), c, replace(near, predicted=other))


def _on_log_loss(problem: Problem) -> Setting:
    rate = 0.5 / float(np.square(problem.x).sum(axis=1).max())
    return Setting(lambda: problem, Descent(NormalizedGD(rate), 30_000), clock="loss")


def _constants(c: Comparison) -> tuple[Quantity, ...]:
    return q.scaled_gap(c), q.scaled_loss(c), q.offset(c)


def _margin_off_by(c: Comparison, size: float) -> tuple[Quantity, ...]:
    """What a margin off by e^size would make of both constants."""
    moved = c.norm * c.constants.gamma * np.expm1(size)
    return tuple(
        replace(found, measured=found.measured + moved)
        for found in (q.scaled_gap(c), q.scaled_loss(c))
    )


def _own_svm(problem: Problem, geometry: Geometry) -> np.ndarray:
    return max_margin(problem, geometry=geometry).w


def counts(found: xr.Dataset) -> str:
    """What came out, in two lines."""
    lines = []
    for right, must_not in ((True, "contradicted"), (False, "holds")):
        verdicts = found.verdict.to_numpy()[found.right.to_numpy() == right]
        each = ", ".join(f"{word} {int((verdicts == word).sum())}" for word in WORDS)
        what = "right" if right else "wrong"
        lines.append(f"  {len(verdicts)} {what} hypotheses: {each} ({must_not} must be 0)")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(command.main("power", PRESETS, run, __doc__, summary=counts))
