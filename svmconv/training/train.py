"""Minibatch training of a network by any optax transformation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple, get_args

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float64, Int64

from svmconv.errors import DataError, DivergedError
from svmconv.problem import Problem, check_choice, check_counts, check_problem
from svmconv.progress import progress_bar
from svmconv.training import checkpoint
from svmconv.training.evaluate import Evaluation, Evaluator
from svmconv.training.interrupted import Interrupted
from svmconv.training.network import Leaves, Opened, on_device, opened, replicated
from svmconv.training.objectives import OBJECTIVES, ObjectiveName
from svmconv.training.step import Augment, Stepper
from svmconv.training.tracker import Tracker, check_tracker

GROWTH = 1.25
"""All rows are evaluated, and a checkpoint is due, where 1 - log_loss has grown by this factor."""


class Training(NamedTuple):
    """What training leaves behind, besides the trained module itself."""

    log_loss: Float64[np.ndarray, " epochs"]
    """ln of the mean softmax cross-entropy over each epoch's batches, as they were trained on."""
    objective: Float64[np.ndarray, " epochs"]
    """Mean of the chosen loss over each epoch's batches."""
    evaluated: Int64[np.ndarray, " m"]
    """Epochs, from 1 and log-spaced in the loss, after which all rows were evaluated."""
    evaluated_log_loss: Float64[np.ndarray, " m"]
    """ln of the mean softmax cross-entropy of all rows, in evaluation mode."""
    accuracy: Float64[np.ndarray, " m"]
    """Share of rows whose own logit is strictly the largest, in evaluation mode."""
    final: Evaluation
    """All rows after the last epoch."""
    images_per_second: float
    """Of this call, with compilation, evaluation and checkpoints; nan if nothing was left to do."""


def train(
    module: nnx.Module,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    *,
    epochs: int,
    batch: int | None = None,
    loss: ObjectiveName = "cross_entropy",
    stop_log_loss: float = -np.inf,
    seed: int = 0,
    augment: Augment | None = None,
    tracker: Tracker | None = None,
    checkpoints: str | Path | None = None,
) -> Training:
    """Train `module` in place for `epochs` passes over the shuffled rows, in its own dtype.

    `module(x)` returns (logits (n, K), hidden activations), as the networks of svmconv.models do.
    Every step takes `batch` rows (None: all), spread over jax.devices(); the last one of an epoch
    takes what is left. Training ends early after an epoch whose mean log-loss is at most
    `stop_log_loss`. `augment(key, x)` changes the rows (b, d) of a batch. The tracker is asked
    after every epoch and at the end, and measures in evaluation mode, at the log-loss of all rows.

    With a folder `checkpoints`, the same call goes on where a killed one stopped, to the same bits
    on the same machine; more `epochs` go further. Raises DataError where that folder holds another
    run or the logits do not fit the classes, DivergedError where the loss is not finite,
    Interrupted on Ctrl-C, which leaves the module as it was.
    """
    check_problem(problem)
    check_choice("loss", loss, get_args(ObjectiveName))
    check_counts(0, seed=seed)
    check_counts(1, epochs=epochs, **({} if batch is None else {"batch": batch}))
    check_tracker(tracker)
    if not isinstance(optimizer, optax.GradientTransformation):
        raise DataError(f"optimizer must be one of optax, such as adam(1e-3), got {optimizer!r}")
    size = problem.n if batch is None else batch
    if size > problem.n:
        raise DataError(f"batch={batch}, but there are {problem.n} rows: give at most as many")
    with jax.enable_x64(True):
        taken = opened(module, problem, training=True)
        rows = on_device(problem, taken.dtype)
        stepper = Stepper(taken, rows, optimizer, OBJECTIVES[loss], size, seed, augment)
        settings = {"problem": problem.id, "seed": seed, "batch": size}
        kept = checkpoint.Checkpoints(
            checkpoints, "train", settings, stepper.program, taken.params + taken.rest
        )
        evaluator = Evaluator(opened(module, problem, training=False).network, rows)
        run = _Run(problem, taken, stepper, evaluator, tracker, kept)
        with progress_bar(f"{type(module).__name__} on {problem.name}", epochs) as show:
            try:
                begun, clock, speed = run.epoch, time.perf_counter(), np.nan
                while run.epoch < epochs and not run.log_loss <= stop_log_loss:
                    run.one_epoch()
                    speed = (run.epoch - begun) * problem.n / (time.perf_counter() - clock)
                    show(run.epoch, f"log-loss {run.log_loss:.4g}, {speed:.0f} images/s")
                final = run.end()
            except KeyboardInterrupt:
                raise Interrupted(kept.how_to_continue()) from None
        taken.write_to(module, *run.params_and_rest())
    history = {name: np.array(values) for name, values in run.history.items()}
    return Training(**history, final=final, images_per_second=float(speed))


class _Run:
    """The state and the history of one run, and what happens between its epochs."""

    def __init__(
        self,
        problem: Problem,
        taken: Opened,
        stepper: Stepper,
        evaluator: Evaluator,
        tracker: Tracker | None,
        kept: checkpoint.Checkpoints,
    ) -> None:
        self.problem, self.taken, self.stepper = problem, taken, stepper
        self.evaluator, self.tracker, self.kept = evaluator, tracker, kept
        self.history: dict[str, list] = {name: [] for name in Training._fields[:5]}
        # A copy: the first step gives its input up, and these arrays are the module's own.
        state = tuple(leaf.copy() for leaf in stepper.start)
        saved = kept.newest()
        if saved is not None:
            state = checkpoint.restored(state, saved, "state")
            self.history = {name: saved[name].tolist() for name in self.history}
            checkpoint.restore_records(tracker, saved)
        self.state: Leaves = replicated(state)

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.history["log_loss"])

    @property
    def log_loss(self) -> float:
        """That of the last epoch."""
        return self.history["log_loss"][-1] if self.epoch else np.inf

    def params_and_rest(self) -> tuple[Leaves, Leaves]:
        """Parameters and running statistics."""
        p, r = len(self.taken.params), len(self.taken.rest)
        return self.state[:p], self.state[p : p + r]

    def one_epoch(self) -> None:
        """All rows once; then what is due: evaluation, tracker, checkpoint."""
        self.state, log_loss, objective = self.stepper.epoch(self.state, self.epoch)
        self.history["log_loss"].append(log_loss)
        self.history["objective"].append(objective)
        self._check(log_loss, objective)
        spaced = self._spaced()
        due = self.tracker is not None and self.tracker.due(self.step, log_loss)
        if spaced or due:
            found = self.evaluated()
            if spaced:
                self.history["evaluated"].append(self.epoch)
                self.history["evaluated_log_loss"].append(found.log_loss)
                self.history["accuracy"].append(found.accuracy)
            if due:
                self._track(found)
        self.kept.save_when_due(self.epoch, self.arrays, spaced=spaced)

    def end(self) -> Evaluation:
        """Save, then track the end, which a longer run would not have tracked."""
        found = self.evaluated()
        self.kept.save(self.epoch, self.arrays())
        if self.tracker is not None and self.tracker.due(self.step, -np.inf):
            self._track(found)
        return found

    def evaluated(self) -> Evaluation:
        """All rows, now. The last step may have been the one too many."""
        found = self.evaluator(*self.params_and_rest())
        self._check(found.log_loss)
        return found

    @property
    def step(self) -> int:
        """Finished steps."""
        return self.epoch * -(-self.problem.n // self.stepper.batch)

    def arrays(self) -> checkpoint.Arrays:
        """All that a continuation needs."""
        history = {name: np.array(values) for name, values in self.history.items()}
        records = checkpoint.records_of(self.tracker)
        return {**checkpoint.plain(self.state, "state"), **history, **records}

    def _check(self, *values: float) -> None:
        if not np.isfinite(values).all():
            raise DivergedError(
                f"training diverged in epoch {self.epoch}: lower the optimizer's rate"
            )

    def _spaced(self) -> bool:
        """Whether the loss has fallen far enough since all rows were last evaluated."""
        if not self.history["evaluated"]:
            return True
        last = self.history["log_loss"][self.history["evaluated"][-1] - 1]
        return 1.0 - self.log_loss >= GROWTH * (1.0 + max(0.0, -last))

    def _track(self, found: Evaluation) -> None:
        assert self.tracker is not None
        now = self.params_and_rest()
        self.evaluator.track(self.tracker, self.step, found, *now, self.problem.y)
