"""Many runs at once beside what a user would write: a numpy loop, a batched PyTorch loop.

Run-steps per second of gradient descent from zero, float64, in turn in one process; the numpy loop
takes one run after the other, PyTorch all at once with all threads. The first THOUSANDS steps, in
which hardly a row can be left out; then a whole normalized descent, in which most can.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

import svmconv as sc
from benchmarks import Line, ceilings, timed
from svmconv import devices
from svmconv.dynamics import many_descents
from svmconv.dynamics.many_descents import descents
from svmconv.dynamics.many_flows import flows
from svmconv.optimizers import GD, NormalizedGD, Optimizer

RATE = 0.1
REPEATS = 5
SIZES = ((1024, 100, 2, 2000, 25.0, 8.0), (64, 1000, 10, 1000, 6.0, 3.0))
"""Runs, rows, features, steps; how many times the numpy and the PyTorch loop."""
DEVICES = 1.8
FLOWS, FLOWS_SECONDS = 128, 600.0
MEMORY = (256, 1024, 4096)


def lines() -> Iterator[Line]:
    for runs, n, d, steps, over_numpy, over_torch in SIZES:
        yield from beside_peers(runs, n, d, steps, over_numpy, over_torch)
    yield left_out()
    yield many_flows()
    yield memory()


def beside_peers(
    runs: int, n: int, d: int, steps: int, over_numpy: float, over_torch: float
) -> Iterator[Line]:
    problems = [sc.data.half_spaces(n, d, 0.3, seed=seed) for seed in range(runs)]
    z = np.stack([p.signs[:, None] * p.x for p in problems])
    both = devices.at_hand()
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        "ours": (runs * steps, lambda: descend(problems, GD(RATE), steps)),
        "numpy": (steps, lambda: numpy_loop(z[0], steps)),
    }
    torch = torch_loop(z, steps // 10)
    if torch is not None:
        contestants["torch"] = (runs * (steps // 10), torch)
    speed = in_turn(contestants)
    ours = speed["ours"]
    yield Line(f"gradient descent, {runs} runs of {n} x {d}", f"{ours / 1e6:.3f} M run-steps/s")
    ratio = ours / speed["numpy"]
    yield Line(
        "  beside a numpy loop",
        f"{speed['numpy'] / 1e6:.3f} M/s, ours {ratio:.1f} times",
        f"at least {over_numpy:g} times", ratio >= over_numpy,
    )  # fmt: skip
    target = f"at least {over_torch:g} times"
    if "torch" in speed:
        ratio = ours / speed["torch"]
        yield Line(
            f"  beside a batched PyTorch {version('torch')} loop",
            f"{speed['torch'] / 1e6:.3f} M/s, ours {ratio:.1f} times", target, ratio >= over_torch,
        )  # fmt: skip
    else:
        yield Line("  beside PyTorch", "not installed: pip install torch", target, None)
    yield from shares(ours * n, d)
    if len(both) > 1:
        yield scaling(problems, steps, both)


def in_turn(contestants: dict[str, tuple[int, Callable[[], object]]]) -> dict[str, float]:
    """Median run-steps per second of each, all measured once a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(REPEATS + 1):
        for name, (_, run) in contestants.items():
            seconds[name].append(timed(run)[0])
    return {n: work / statistics.median(seconds[n][1:]) for n, (work, _) in contestants.items()}


def shares(rows: float, d: int) -> Iterator[Line]:
    """Rows a second over what each resource of the machine allows."""
    top = ceilings.measured()
    used = {
        "exp": rows / top.exp,
        "multiply-add": 4 * d * rows / top.multiply_add,
        "cache read, twice over the rows": 16 * d * rows / top.cached,
    }
    told = ", ".join(f"{name} {share:.0%}" for name, share in used.items())
    yield Line("  of the machine's ceilings", told)


def scaling(problems: list[sc.Problem], steps: int, both: list[Any]) -> Line:
    """All devices over one, by the minimum: the other core's own work is nobody's fault."""
    seconds = {}
    for count in (1, len(both)):
        devices.at_hand = lambda count=count: both[:count]
        jax.clear_caches()
        descend(problems, GD(RATE), steps)
        runs = [timed(lambda: descend(problems, GD(RATE), steps))[0] for _ in range(REPEATS)]
        seconds[count] = min(runs)
    devices.at_hand = lambda: both
    ratio = seconds[1] / seconds[len(both)]
    what = f"  {len(both)} devices over one"
    return Line(what, f"{ratio:.2f} times", f"at least {DEVICES:g}", ratio >= DEVICES)


def left_out() -> Line:
    """A descent on ln L with and without leaving rows out that weigh nothing."""
    problems = [sc.data.half_spaces(1000, 10, 0.3, seed=seed) for seed in range(16)]

    def run() -> float:
        descend(problems, NormalizedGD(RATE), 20_000)
        return min(
            timed(lambda: descend(problems, NormalizedGD(RATE), 20_000))[0] for _ in range(3)
        )

    fewer, kept = run(), many_descents.kept
    many_descents.kept = lambda margins, must: None
    whole = run()
    many_descents.kept = kept
    return Line(
        "descent on ln L, 16 runs of 1000 x 10",
        f"{fewer:.2f} s for 20,000 steps, {whole / fewer:.1f} times faster for the rows left out",
    )


def many_flows() -> Line:
    """SVMs and flows of 10,000 data sets, from FLOWS of them."""
    problems = [sc.data.half_spaces(100, 5, 0.3, seed=seed) for seed in range(FLOWS)]
    times = np.append(0.0, np.geomspace(0.01, 1e6, 64))

    def run() -> None:
        flows(problems, [sc.max_margin(problem) for problem in problems], times)

    run()
    seconds = timed(run)[0] / FLOWS * 10_000
    return Line(
        "10,000 flows of 100 x 5 to ln t = 1e6",
        f"{seconds:.0f} s with their SVMs (from {FLOWS} of them)",
        f"under {FLOWS_SECONDS:g} s", seconds < FLOWS_SECONDS,
    )  # fmt: skip


def memory() -> Line:
    """Peak memory of whole sweeps: bounded by a part, however many runs there are."""
    peaks = [peak(runs) for runs in MEMORY]
    told = ", ".join(f"{p:.0f} MB" for p in peaks)
    each = ", ".join(f"{runs:,}" for runs in MEMORY)
    return Line(f"memory of sweeps of {each} runs", told)


def peak(runs: int) -> float:
    script = (
        "import resource, sys, tempfile; from pathlib import Path\n"
        "from svmconv.sweep import Grid, sweep\n"
        "grid = Grid(n=100, d=2, optimizer='gd', steps=100, seeds=int(sys.argv[1]))\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    sweep(grid, Path(folder, 'a.nc')).close()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    command = [sys.executable, "-c", script, str(runs)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(found.stdout) / 1024


def descend(problems: list[sc.Problem], method: Optimizer, steps: int) -> object:
    stops = np.unique(np.geomspace(1, steps, 8).round().astype(int))
    count = len(problems)
    return descents(problems, [method] * count, stops, bias_scales=[1.0] * count)


def numpy_loop(z: np.ndarray, steps: int) -> np.ndarray:
    w = np.zeros(z.shape[1])
    for _ in range(steps):
        w += RATE / len(z) * (1.0 / (1.0 + np.exp(z @ w))) @ z
    return w


def torch_loop(z: np.ndarray, steps: int) -> Callable[[], object] | None:
    """All runs at once, as users batch them."""
    try:
        torch: Any = import_module("torch")  # typed Any: torch is not among our dependencies
    except ModuleNotFoundError:
        return None
    torch.set_num_threads(os.cpu_count() or 1)
    rows = torch.from_numpy(z)

    def run() -> object:
        w = torch.zeros(len(z), z.shape[2], 1, dtype=torch.float64)
        with torch.no_grad():
            for _ in range(steps):
                weights = torch.sigmoid(-(rows @ w))
                w += RATE / z.shape[1] * (rows.transpose(1, 2) @ weights)
        return w

    return run
