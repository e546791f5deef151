"""The late phase: descent of a whole network on log L, for ever.

Steps on L freeze where L leaves the range of floating-point numbers, and crawl long before. The
gradient of log L, the mean of the row gradients under the softmax of the row log-losses, stays of
order one. Its curvature grows with the network, so that no fixed rate lasts: a step is kept only if
log L falls, and then the rate rises by 5 %; otherwise it is taken back and the rate is halved, and
at a kink of the network the next step goes along it (log_descent).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float64, Int64

from svmconv.errors import DataError, DivergedError
from svmconv.interruption import finishing
from svmconv.problem import Problem, check_problem
from svmconv.progress import progress_bar
from svmconv.training import checkpoint
from svmconv.training.evaluate import CHUNK, Evaluation, Evaluator
from svmconv.training.interrupted import Interrupted
from svmconv.training.log_descent import PATIENCE, LogDescent, State
from svmconv.training.network import Leaves, Opened, on_device, opened
from svmconv.training.tracker import Tracker, check_tracker

GROWTH = 1.1
"""A record is due where 1 - log_loss has grown by this factor."""
BLOCK_SECONDS = 1.0
"""About as long as Ctrl-C waits for the device."""


class LatePhase(NamedTuple):
    """What the late phase leaves behind, besides the module itself."""

    step: Int64[np.ndarray, " m"]
    """Steps tried, kept or not, at each record: the start, log-spaced losses, the end."""
    log_loss: Float64[np.ndarray, " m"]
    """ln of the mean softmax cross-entropy of all rows, in evaluation mode; it only falls."""
    norm: Float64[np.ndarray, " m"]
    """|params|, Euclidean, of the whole network."""
    slope: Float64[np.ndarray, " m"]
    """|grad log L| there, or of a kink the shortest slope between its sides."""
    rate: Float64[np.ndarray, " m"]
    """The fall of log_loss that a step asks for, to first order."""
    kept: int
    """Steps that were not taken back."""
    stopped: str
    """What ended it: "log_loss", "steps", or "rounding": no step lowers log_loss any more."""
    final: Evaluation
    """All rows after the last step."""


def late_phase(
    module: nnx.Module,
    problem: Problem,
    *,
    log_loss: float = -np.inf,
    steps: int | float = np.inf,
    momentum: float = 0.99,
    rate: float = 0.1,
    chunk: int = CHUNK,
    tracker: Tracker | None = None,
    checkpoints: str | Path | None = None,
) -> LatePhase:
    """Descend on log L in evaluation mode, full batch, down to `log_loss` or for `steps` tries.

    A step is v <- momentum v - rate g / |g|^2, params <- params + v, with g = grad log L: `rate`
    is the fall of log L that a step asks for, whatever the size of the network. A step that is
    taken back stops v too; momentum=0 is the plain rule. Arithmetic is in the module's dtype, row
    losses in float64. The gradient is gathered exactly, from `chunk` rows at a time, spread over
    jax.devices(). Running statistics do not move. The tracker is asked at every record and the end.

    With a folder `checkpoints`, the same call goes on where a killed one stopped, to the same bits
    on the same machine; a lower `log_loss` or more `steps` go further. Raises DataError where that
    folder holds another run or the logits do not fit the classes, DivergedError where the loss is
    not finite to begin with, Interrupted on Ctrl-C; the module then holds the last finished block.
    """
    check_problem(problem)
    check_tracker(tracker)
    whole = steps == np.inf or steps % 1 == 0
    if not (0 <= momentum < 1 and 0 < rate < np.inf and steps > 0 and whole and chunk >= 1):
        raise DataError(
            "late_phase needs 0 <= momentum < 1, rate > 0, a whole number of steps and chunk >= 1, "
            f"got momentum={momentum}, rate={rate}, steps={steps}, chunk={chunk}"
        )
    if not (np.isfinite(log_loss) or np.isfinite(steps)):
        raise DataError("the late phase never ends by itself: give log_loss=, steps= or both")
    with jax.enable_x64(True):
        taken = opened(module, problem, training=False)
        descent = LogDescent(taken, problem, momentum, min(chunk, problem.n))
        settings = {"problem": problem.id, "rate": rate, "momentum": momentum, "chunk": chunk}
        kept = checkpoint.Checkpoints(
            checkpoints, "late phase", settings, descent.program, taken.params + taken.rest
        )
        with finishing():
            run = _Run(problem, taken, descent, rate, tracker, kept)
        with progress_bar(f"{type(module).__name__} on {problem.name}", 1.0) as show:
            try:
                while not (stopped := run.stopped(log_loss, steps)):
                    run.block(log_loss, steps)
                    show(*run.progress(log_loss, steps))
                kept.save(run.tried, run.arrays())
            except KeyboardInterrupt:
                raise Interrupted(kept.how_to_continue()) from None
            finally:
                taken.write_to(module, run.state.params, taken.rest)
        final = run.end()
    history = {name: np.array(values) for name, values in run.history.items()}
    return LatePhase(**history, kept=int(run.state.kept), stopped=stopped, final=final)


class _Run:
    """The state and the history of one late phase."""

    def __init__(
        self,
        problem: Problem,
        taken: Opened,
        descent: LogDescent,
        rate: float,
        tracker: Tracker | None,
        kept: checkpoint.Checkpoints,
    ) -> None:
        self.problem, self.taken, self.descent = problem, taken, descent
        self.tracker, self.kept = tracker, kept
        self.evaluator = Evaluator(taken.network, on_device(problem, taken.dtype))
        self.history: dict[str, list] = {name: [] for name in LatePhase._fields[:5]}
        self.count, self.speed = 8, np.nan
        self.state = descent.start(rate)
        if not np.isfinite(self.log_loss):
            raise DivergedError("the loss is not finite before the first step: train more gently")
        saved = kept.newest()
        if saved is None:
            self.record()
            return
        leaves, tree = jax.tree.flatten(self.state)
        self.state = jax.tree.unflatten(tree, checkpoint.restored(tuple(leaves), saved, "state"))
        self.history = {name: saved[name].tolist() for name in self.history}
        checkpoint.restore_records(tracker, saved)

    @property
    def tried(self) -> int:
        """Steps, kept or not."""
        return int(self.state.tried)

    @property
    def log_loss(self) -> float:
        """Now."""
        return float(self.state.log_loss)

    def stopped(self, log_loss: float, steps: float) -> str:
        """Why there is nothing left to do; empty while there is."""
        if self.log_loss <= log_loss:
            return "log_loss"
        if self.tried >= steps:
            return "steps"
        return "rounding" if int(self.state.failed) >= PATIENCE else ""

    def block(self, log_loss: float, steps: float) -> None:
        """About a second of steps, or up to the next record; where blocks end changes nothing."""
        due = 1.0 - GROWTH * (1.0 + max(0.0, -self.history["log_loss"][-1]))
        count = int(min(self.count, steps - self.tried))
        before, clock = self.tried, time.perf_counter()
        with finishing():
            self.state: State = self.descent.advance(self.state, count, max(due, log_loss))
            self.state.log_loss.block_until_ready()
        seconds = time.perf_counter() - clock
        self.speed = (self.tried - before) * self.problem.n / seconds
        if self.tried - before == count:  # not cut short: a fair measure of time
            self.count = max(1, int(count * min(2.0, BLOCK_SECONDS / seconds)))
        spaced = self.log_loss <= due
        if spaced:
            self.record()
        self.kept.save_when_due(self.tried, self.arrays, spaced=spaced)

    def record(self) -> None:
        """Note where we are, and tell the tracker."""
        now = {
            "step": self.tried, "log_loss": self.log_loss, "norm": _length(self.state.params),
            "slope": _length(self.state.slope), "rate": float(self.state.rate),
        }  # fmt: skip
        for name, value in now.items():
            self.history[name].append(value)
        self._track(self.log_loss)

    def end(self) -> Evaluation:
        """Note the end, which a continuation would not have stopped at: not in the checkpoint."""
        if self.history["step"][-1] < self.tried:
            self.record()
        self._track(-np.inf)
        return self.evaluated()

    def evaluated(self) -> Evaluation:
        """All rows, now."""
        return self.evaluator(self.state.params, self.taken.rest)

    def progress(self, log_loss: float, steps: float) -> tuple[float, str]:
        """Share of the way, and a few words."""
        words = f"log-loss {self.log_loss:.6g}, {self.speed:.0f} images/s"
        deep = self.log_loss / log_loss if log_loss < 0 else 0.0
        return max(self.tried / steps, deep), words

    def arrays(self) -> checkpoint.Arrays:
        """All that a continuation needs."""
        history = {name: np.array(values) for name, values in self.history.items()}
        records = checkpoint.records_of(self.tracker)
        state = checkpoint.plain(tuple(jax.tree.leaves(self.state)), "state")
        return {**state, **history, **records}

    def _track(self, due: float) -> None:
        """Tell the tracker, if it wants a record at the log-loss `due`; at -inf it always does."""
        if self.tracker is None or not self.tracker.due(self.tried, due):
            return
        found = self.evaluated()._replace(log_loss=self.log_loss)
        now = self.state.params, self.taken.rest
        self.evaluator.track(self.tracker, self.tried, found, *now, self.problem.y)


def _length(leaves: Leaves) -> float:
    """Euclidean norm of all arrays together, in float64."""
    return float(np.sqrt(sum(np.square(np.asarray(leaf, np.float64)).sum() for leaf in leaves)))
