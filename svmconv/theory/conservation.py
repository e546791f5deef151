"""What softmax gradients cannot move: sum_k W_k and sum_k b_k, the sums over classes.

d loss / d W_k = (q_k - [k = y]) x, and q sums to one: the gradient sums to zero over classes for
every row, hence so does any linear combination of gradients, past ones included (momentum) and of
any batch. Methods that divide by a size of their own for every entry (Adam, RMSProp), or keep only
its sign (sign descent), break this for K >= 3 (for K = 2 the two entries of a feature are opposite,
and so are their steps); coordinate descent moves one entry alone; weight decay shrinks the sum.

**The error bar is rounding, worst case**, u = 2^-53: a step rounds every entry of W once, which
moves the sum of a column by at most u sum_k |W_k|, over all columns u sqrt(K) |W|_F; and T steps by
T times that. The gradient itself sums to zero up to the rounding of its sums over N rows and K
classes: at most (N + K + 8) u of 2 |x| (1 - q_y), and 1 - q_y <= loss, so all steps together add as
much of 2 R rate sum_t L(t), rate = eta / (1 - beta) with momentum, over 1 - beta once more for the
roundings of its buffer. Errors of random sign add up to about u |W| sqrt(T) instead.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import optax
from jaxtyping import Float64

from svmconv.geometry import length
from svmconv.optimizers import GD, SGD, CoordinateDescent, HeavyBall, Optimizer, SignDescent
from svmconv.theory import problems, tolerances
from svmconv.theory import quantities as q
from svmconv.theory.claim import Case, Claim, Control, Measurement, Quantity
from svmconv.theory.comparison import EPS, Comparison, compare
from svmconv.theory.setting import Descent, Setting

STEPS = 30_000


def start() -> Float64[np.ndarray, "3 6"]:
    """(W, b) whose sums over the three classes are about 3 in every column."""
    return 1.0 + np.random.default_rng(1).standard_normal((3, 6))


def setting(optimizer: Optimizer | optax.GradientTransformation) -> Setting:
    """Three classes with a bias, from uncentred weights."""
    problem = partial(problems.gaussian_classes, 30, 5, 3, 1)
    return Setting(problem, Descent(optimizer, STEPS), "augmented", init=start)


MOVE: dict[str, Optimizer | optax.GradientTransformation] = {
    "Adam": optax.adam(0.01),
    "sign descent": SignDescent(0.01),
    "coordinate descent": CoordinateDescent(0.01),
    "weight decay": optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1)),
}
"""Methods that must be found to move the sums, by the same rule."""

METHODS: tuple[tuple[Optimizer, str], ...] = (
    (GD(0.1), "Adam"), (HeavyBall(0.05), "weight decay"), (SGD(0.02, batch=5), "sign descent")
)  # fmt: skip
"""Methods whose steps are linear combinations of gradients, each with one of MOVE as a control."""


def moved(c: Comparison, what: str, sums: Float64[np.ndarray, "t _"]) -> Quantity:
    """How far sums over classes are from what they were, at the recording where they are farthest.

    The tolerance is relative to |W|: a change that nobody would notice in the weights.
    """
    largest = float(c.run.norm.max())
    drift = float(length(sums - sums[0]).max())
    return Quantity(what, 0.0, drift, rounding(c), tolerances.CONSERVED * largest)


def rounding(c: Comparison) -> float:
    """The worst that float64 can do to the sums over classes in this run, as a length."""
    method, k = c.setting.method, c.problem.n_classes
    assert isinstance(method, Descent)
    known = isinstance(method.optimizer, Optimizer)
    rate = method.optimizer.effective_rate if known else 0.0
    beta = getattr(method.optimizer, "momentum", 0.0)
    writes = method.steps * EPS / 2 * np.sqrt(k) * float(c.run.norm.max())
    # the loss of every step is at most that of the recording before it, but for heavy ball's waves
    losses = np.maximum.accumulate(np.exp(c.run.log_loss.values)[::-1])[::-1]
    # and a batch's loss at most n / batch times that of all rows
    share = c.problem.n / getattr(method.optimizer, "batch", c.problem.n)
    path = float(losses[:-1] @ np.diff(c.run.step.values)) * 2.0 * rate * share
    x = c.problem.rows(c.setting.bias, c.setting.bias_scale)
    sums = (c.problem.n + k + 8) * EPS / 2 * float(length(x).max()) * path / (1.0 - beta)
    return float(writes + sums)


def sums_over_classes(c: Comparison) -> tuple[Quantity, ...]:
    """Those of the weights and those of the bias."""
    w, b = c.run.w.values.sum(axis=1), c.run.b.values.sum(axis=1)
    return moved(c, "moved sum of W_k", w), moved(c, "moved sum of b_k", b[:, None])


def conservation(optimizer: Optimizer, name: str) -> Measurement:
    """The sums of one method, with one that is no sum of gradients as its control."""
    c = compare(setting(optimizer))
    wrong = compare(setting(MOVE[name]))
    control = Control(f"{name} conserves them too", sums_over_classes(wrong))
    found = sums_over_classes(c)
    return replace(q.measured_case(c, found, control), unresolved=None)


CLAIMS = (
    Claim(
        "softmax-conservation",
        "derived (docs/theory.md)",
        "Gradient steps on the softmax loss, with momentum or in batches too, keep the sums of "
        "weights and biases over classes; sign and coordinate descent, Adam and weight decay move "
        "them.",
        tuple(Case(partial(conservation, *method)) for method in METHODS),
    ),
)
