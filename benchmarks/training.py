"""Training the published ResNet: seconds an epoch beside PyTorch, and what a Tracker costs.

Digits enlarged to MNIST's 28 x 28, odd against even, in float32. The two networks compute the same
function, with as many threads, in one process, an epoch of each in turn, for machines have better
and worse minutes; medians of epochs once compiled.
A record of the tracker is an evaluation of all rows and their exact SVMs. It takes about as long as
a few steps, and there are ever fewer of them: the share is that of 200 epochs of a narrow network,
and twice as large after 30.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

import svmconv as sc
from benchmarks import Line, timed
from svmconv.models import ResNet
from svmconv.training.network import on_device, opened
from svmconv.training.objectives import OBJECTIVES
from svmconv.training.step import Stepper
from svmconv.training.tracker import Measure
from svmconv.training.train import train

ROWS, BATCH, RATE = 1024, 128, 0.01
SHAPE = (28, 28, 1)
EPOCHS = 6
RATIO = 2.0
TRACKED_ROWS, TRACKED_BATCH, TRACKED_EPOCHS = 128, 32, 200
MEASURED, LAYERED_EPOCHS, LAYERED_ROWS = 500, 40, 10_000
SHARE = 0.1
OPTIMIZER = optax.sgd(RATE, momentum=0.9)
PEAKS = {"A100": 156e12, "H100": 495e12, "H200": 495e12}
"""Dense TF32, which is what float32 products use on these devices: NVIDIA's data sheets, SXM."""


class Clock(sc.Tracker):
    """A tracker that notes how long every epoch and record takes, and pauses between epochs."""

    def __init__(
        self,
        at: Any,
        pause: Callable[[], object] = lambda: None,
        measure: Measure = sc.measures.last_layer_gaps,
        hidden: int | None = None,
    ) -> None:
        super().__init__(measure, at, hidden=hidden)
        self.pause = pause
        self.epochs: list[float] = []
        self.records: list[float] = []
        self.begun = time.perf_counter()

    def due(self, step: int, log_loss: Any) -> bool:
        self.epochs.append(time.perf_counter() - self.begun)
        self.pause()
        self.begun = time.perf_counter()
        return super().due(step, log_loss)

    def record(self, *args: Any, **kwargs: Any) -> None:
        """From the moment it was due, so with the evaluation of all rows."""
        super().record(*args, **kwargs)
        self.records.append(time.perf_counter() - self.begun)
        self.begun = time.perf_counter()


def lines() -> Iterator[Line]:
    seconds, theirs = epochs()
    yield Line(
        f"ResNet, {parameters():,} parameters, {ROWS:,} images",
        f"{seconds:.2f} s an epoch ({ROWS / seconds:.0f} images/s)",
    )
    yield beside_pytorch(seconds, theirs)
    yield tracking()
    yield tracking_layers()
    if jax.default_backend() == "gpu":
        yield share_of_peak(seconds)


def epochs() -> tuple[float, float | None]:
    """Median seconds of an epoch, ours and PyTorch's (None: not installed), after each's first."""
    run = pytorch()
    theirs: list[float] = []

    def in_turn() -> None:
        if run is not None:
            theirs.append(timed(run.__next__)[0])

    clock = Clock((), in_turn)
    train(network(), digits(), OPTIMIZER, epochs=EPOCHS, batch=BATCH, tracker=clock)
    ours = statistics.median(clock.epochs[1:EPOCHS])
    return ours, statistics.median(theirs[1:EPOCHS]) if theirs else None


def pytorch() -> Iterator[object] | None:
    """Epochs of the same network, rows and optimizer, eager and channels last, as users do."""
    try:
        from benchmarks import torch_resnet
    except ModuleNotFoundError:
        return None
    peer = torch_resnet.resnet(2)
    assert torch_resnet.parameters(peer) == parameters()
    x = digits().x.reshape(-1, 1, *SHAPE[:2])
    threads = os.cpu_count() or 1
    return torch_resnet.epochs(peer, x, digits().index, batch=BATCH, rate=RATE, threads=threads)


def beside_pytorch(seconds: float, theirs: float | None) -> Line:
    target = f"within {RATIO:g} times PyTorch"
    if theirs is None:
        return Line("  beside PyTorch", "not installed: pip install torch", target, None)
    measured = f"{theirs:.2f} s an epoch, ours {seconds / theirs:.2f} times that"
    return Line(f"  beside PyTorch {version('torch')}", measured, target, seconds <= RATIO * theirs)


def tracking() -> Line:
    """Share of a run that a Tracker takes, at log-spaced records."""
    clock = Clock(at="log")
    module, problem = network(width=0.25, penultimate_activation="leaky_relu"), digits(TRACKED_ROWS)
    run = {"epochs": TRACKED_EPOCHS, "batch": TRACKED_BATCH, "tracker": clock}
    total = timed(lambda: train(module, problem, OPTIMIZER, **run))[0]
    spent, exact = sum(clock.records), int(clock.dataset.separable.sum())
    return Line(
        f"tracking, {len(clock.records)} records in {TRACKED_EPOCHS} epochs",
        f"{spent / total:.1%} of {total:.0f} s ({exact} with an exact SVM)",
        f"under {SHARE:.0%}",
        spent < SHARE * total,
    )


def tracking_layers() -> Line:
    """Share of a run that a report of every hidden layer takes, at log-spaced records.

    From medians of a short run: seconds of a record, and of an epoch of ROWS images.
    """
    problem = sc.Problem(digits().x, sc.data.digits().y[:ROWS], "digits, 28 x 28")
    clock = Clock(1, measure=sc.measures.layer_report, hidden=MEASURED)
    module = ResNet.published(SHAPE, classes=10, width=0.25, rngs=nnx.Rngs(0))
    train(module, problem, OPTIMIZER, epochs=EPOCHS, batch=BATCH, tracker=clock)
    record, epoch = (statistics.median(each[1:EPOCHS]) for each in (clock.records, clock.epochs))
    spaced = sc.Tracker(lambda *_: {}, at="log")
    for step in range(1, LAYERED_EPOCHS + 1):
        spaced.update(step * -(-LAYERED_ROWS // BATCH), 0.0, [[0.0]], [0], [[0.0]], None)
    count = spaced.dataset.sizes["step"]
    share = count * record / (LAYERED_EPOCHS * epoch * LAYERED_ROWS / ROWS)
    return Line(
        f"tracking {clock.dataset.sizes['layer']} layers, {MEASURED} rows of 10 classes",
        f"{record:.2f} s a record: {share:.1%} of {LAYERED_EPOCHS} epochs of {LAYERED_ROWS:,} "
        f"images, {count} records",
        f"under {SHARE:.0%}",
        share < SHARE,
    )


def share_of_peak(seconds: float) -> Line:
    """Floating-point operations of the program as written, over what the device could do."""
    with jax.enable_x64(True):
        taken = opened(network(), digits(), training=True)
        rows, loss = on_device(digits(), taken.dtype), OBJECTIVES["cross_entropy"]
        step = Stepper(taken, rows, OPTIMIZER, loss, BATCH, 0, None).program
    speed = step.lower().cost_analysis()["flops"] * (ROWS / BATCH) / seconds
    kind = jax.devices()[0].device_kind
    peak = next((PEAKS[name] for name in PEAKS if name in kind), None)
    share = f"{speed / peak:.1%} of its TF32 peak" if peak else "peak not known"
    return Line(f"  on {kind}", f"{speed / 1e12:.2f} Tflop/s, {share}")


def network(**options: Any) -> ResNet:
    return ResNet.published(SHAPE, classes=2, rngs=nnx.Rngs(0), **options)


def parameters() -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network(), nnx.Param)))


@cache
def digits(rows: int = ROWS) -> sc.Problem:
    """Every pixel as 3 x 3, in a frame of 2."""
    small = sc.data.digits()
    large = np.kron(small.x[:rows].reshape(-1, 8, 8), np.ones((1, 3, 3)))
    framed = np.pad(large, ((0, 0), (2, 2), (2, 2))).reshape(rows, -1)
    return sc.Problem(framed, small.y[:rows] % 2, "digits, 28 x 28, odd against even")
