"""Catastrophic forgetting: are support vectors the rows of an old task worth rehearsing?

Li, Ding, Gao, arXiv 1808.05385, name this as a use of "the last layer is an SVM"; the experiment is
ours. A network learns one pair of digits, then another, while it rehearses m rows of the first:
the support vectors of the exact SVM of its penultimate features, the m rows closest to that SVM, or
random rows. Both tasks share one head of two logits, so that one SVM is about all old rows and
chance is one half; in a head of four the new task alone would push both old logits down.

    python -m simulations.forgetting --preset smoke

writes runs/forgetting-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import xarray as xr
from flax import nnx
from jaxtyping import Int

from simulations import command, digit_pairs
from svmconv.problem import Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin
from svmconv.training.evaluate import evaluate
from svmconv.training.fit import features

Rows = Int[np.ndarray, " m"]
"""Places of rows of the old task."""

CHOICES = ("svm", "random")
SUPPORT = "support vectors"


@dataclass(frozen=True, kw_only=True)
class Config(digit_pairs.Config):
    """Two tasks, and how many rows of the first are rehearsed during the second."""

    old: digit_pairs.Pair = (0, 1)
    new: digit_pairs.Pair = (2, 3)
    budgets: tuple[int, ...] = (4, 16, 64, 256)
    """Even numbers m of rehearsed rows, half of each class."""


PRESETS = {
    "smoke": Config(rows=400, epochs=8, budgets=(4, 16, 64)),
    "paper": Config(epochs=3),
}
"""Every step of the new task sees 50 rows, half of them old: 128 steps, and 1,452."""


def run(config: Config) -> xr.Dataset:
    """Test accuracies of both tasks, over seed; of a rehearsal also over budget and choice.

    old_before    of the old task before the new one is learnt
    old_without, new_without   of both tasks after it, nothing rehearsed
    old, new      the same after rehearsing; choice "svm" is the support vectors (budget "support
                  vectors") or the closest rows (budget m), "random" as many of each class at random
    m             (seed, budget) rows that were rehearsed

    Raises NotSeparableError where the old task was not learnt well enough for an exact SVM.
    """
    runs = [_one_seed(config, seed) for seed in range(config.seeds)]
    return xr.concat(runs, "seed").assign_coords(seed=np.arange(config.seeds))


def _one_seed(config: Config, seed: int) -> xr.Dataset:
    old, new = (config.problem(pair, "train") for pair in (config.old, config.new))
    tests = [config.problem(pair, "test") for pair in (config.old, config.new)]
    network = config.network(seed)
    config.learn(network, old, seed)
    kept = memories(features(network, old), config.budgets, seed)

    def after(rows: Rows) -> list[float]:
        """Accuracies of both tasks once the new one is learnt too."""
        further = nnx.clone(network)
        config.learn(further, rehearsing(new, old, rows), seed)
        return [evaluate(further, test).accuracy for test in tests]

    accuracies = np.array([[after(rows) for rows in pair] for pair in kept.values()])
    without = after(np.zeros(0, np.int64))
    return xr.Dataset(
        {
            "old_before": evaluate(network, tests[0]).accuracy,
            "old_without": without[0],
            "new_without": without[1],
            "old": (("budget", "choice"), accuracies[..., 0]),
            "new": (("budget", "choice"), accuracies[..., 1]),
            "m": ("budget", [len(chosen) for chosen, _ in kept.values()]),
        },
        {"budget": list(kept), "choice": list(CHOICES)},
    )


def memories(seen: Problem, budgets: tuple[int, ...], seed: int) -> dict[str, tuple[Rows, Rows]]:
    """By budget: rows that the exact SVM of the features `seen` chooses, and random ones."""
    svm = max_margin(seen, bias="augmented")
    chosen = {SUPPORT: svm.support} | {str(m): closest(svm, seen, m) for m in budgets}
    rng = np.random.default_rng(seed)
    return {name: (rows, random_like(rows, seen, rng)) for name, rows in chosen.items()}


def closest(svm: MaxMargin, seen: Problem, m: int) -> Rows:
    """m // 2 rows of smallest margin of each class, in order of class and margin."""
    margins = seen.signs * (seen.x @ svm.w + svm.b)
    order = np.argsort(margins, kind="stable")
    return np.concatenate([order[seen.index[order] == k][: m // 2] for k in range(2)])


def random_like(rows: Rows, seen: Problem, rng: np.random.Generator) -> Rows:
    """As many different rows of each class as there are among `rows`, at random."""
    counts = np.bincount(seen.index[rows], minlength=2)
    members = [np.flatnonzero(seen.index == k) for k in range(2)]
    return np.concatenate(
        [rng.choice(own, count, replace=False) for own, count in zip(members, counts, strict=True)]
    )


def rehearsing(new: Problem, old: Problem, rows: Rows) -> Problem:
    """The new task and, in turn, as many of the kept `rows` of the old one: both weigh alike.

    Where none are kept, the new task twice, so that training takes as many steps.
    """
    x, y = (old.x[rows], old.y[rows]) if len(rows) else (new.x, new.y)
    turn = np.resize(np.arange(len(y)), new.n)
    x, y = np.concatenate([new.x, x[turn]]), np.concatenate([new.y, y[turn]])
    return Problem(x, y, f"{new.name}, rehearsing")


if __name__ == "__main__":
    sys.exit(command.main("forgetting", PRESETS, run, __doc__))
