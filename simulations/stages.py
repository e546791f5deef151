"""One training run, looked at after chosen epochs: what no Tracker sees, test rows and weights."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import numpy as np
import optax
from flax import nnx

from svmconv.interruption import finishing
from svmconv.problem import Problem
from svmconv.training.train import train


def log_spaced(epochs: int, records: int) -> tuple[int, ...]:
    """About so many different epochs from 1 to the last, evenly spaced in their logarithm."""
    spaced = np.unique(np.geomspace(1, epochs, records).round().astype(int))
    return tuple(spaced.tolist())


def stages(
    module: nnx.Module,
    problem: Problem,
    optimizer: optax.GradientTransformation,
    epochs: tuple[int, ...],
    *,
    batch: int,
    seed: int,
) -> Iterator[tuple[int, nnx.Module]]:
    """(0, the module as it was), then (epoch, the module after it) for increasing epochs.

    One run: `train` goes on from its own checkpoint, momentum and order of rows included, to the
    same bits as if it had not stopped. The module itself stays as it was.
    """
    yield 0, module
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for epoch in epochs:
            stage = nnx.clone(module)
            options = {"batch": batch, "seed": seed, "checkpoints": folder}
            with finishing():  # nothing writes to the folder any more when it goes
                train(stage, problem, optimizer, epochs=epoch, **options)
            yield epoch, stage
