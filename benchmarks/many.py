"""Many runs at once beside what a user would write: a numpy loop, a batched PyTorch loop.

Run-steps per second of gradient descent from zero, float64, in turn in one process; the numpy loop
takes one run after the other, PyTorch all at once with all threads. Ours are whole calls: rows are
made, sent to the devices, and eight recordings come back.

    python -m benchmarks.many RUNS N D STEPS

prints the run-steps per second of ours alone, on the cores that it may use.
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

import numpy as np

import svmconv as sc
from benchmarks import Line, ceilings, on_cores, timed
from svmconv import devices
from svmconv.dynamics.many_descents import descents
from svmconv.dynamics.many_flows import flows
from svmconv.optimizers import GD, NormalizedGD, Optimizer

RATE = 0.1
REPEATS = 5
SIZES = ((1024, 100, 2, 20_000, 25.0, 8.0), (64, 1000, 10, 10_000, 6.0, 3.0))
"""Runs, rows, features, steps; how many times the numpy and the PyTorch loop."""
DEVICES = 1.8
FLOWS, FLOWS_SECONDS = 1024, 600.0
MEMORY = (512, 1024, 4096)


def lines() -> Iterator[Line]:
    for runs, n, d, steps, over_numpy, over_torch in SIZES:
        yield from beside_peers(runs, n, d, steps, over_numpy, over_torch)
        yield scaling(runs, n, d, steps)
    yield on_log_loss()
    yield many_flows()
    yield memory()


def beside_peers(
    runs: int, n: int, d: int, steps: int, over_numpy: float, over_torch: float
) -> Iterator[Line]:
    problems = [sc.data.half_spaces(n, d, 0.3, seed=seed) for seed in range(runs)]
    z = np.stack([p.signs[:, None] * p.x for p in problems])
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        "ours": (runs * steps, lambda: descend(problems, GD(RATE), steps)),
        "numpy": (steps, lambda: numpy_loop(z[0], steps)),
    }
    torch = torch_loop(z, steps // 50)
    if torch is not None:
        contestants["torch"] = (runs * (steps // 50), torch)
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
    yield shares(ours * n, d)


def in_turn(contestants: dict[str, tuple[int, Callable[[], object]]]) -> dict[str, float]:
    """Median run-steps per second of each, all measured once a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(REPEATS + 1):
        for name, (_, run) in contestants.items():
            seconds[name].append(timed(run)[0])
    return {n: work / statistics.median(seconds[n][1:]) for n, (work, _) in contestants.items()}


def shares(rows: float, d: int) -> Line:
    """Rows a second over what each resource of the machine allows."""
    top = ceilings.measured()
    used = {
        "sigmoid": rows / top.sigmoid,
        "multiply-add": 4 * d * rows / top.multiply_add,
        "cache read, twice over the rows": 16 * d * rows / top.cached,
    }
    told = ", ".join(f"{name} {share:.0%}" for name, share in used.items())
    return Line("  of the machine's ceilings", told)


def scaling(*size: int) -> Line:
    """All cores over one, in turn; a process has as many devices as it may use cores."""
    cores = len(os.sched_getaffinity(0))
    found: dict[int, list[float]] = {1: [], cores: []}
    for _ in range(3):
        for count, speeds in found.items():
            speeds += on_cores(count, "benchmarks.many", *map(str, size))
    one, all_of_them = (statistics.median(speeds) for speeds in found.values())
    ratio, what = all_of_them / one, f"  {cores} devices over one, a core each"
    return Line(what, f"{ratio:.2f} times", f"at least {DEVICES:g}", ratio >= DEVICES)


def alone(runs: int, n: int, d: int, steps: int) -> float:
    """Run-steps a second of whole calls, the best of some: noise only ever takes away."""
    devices.use_cores()
    problems = [sc.data.half_spaces(n, d, 0.3, seed=seed) for seed in range(runs)]
    descend(problems, GD(RATE), steps)
    return runs * steps / min(
        timed(lambda: descend(problems, GD(RATE), steps))[0] for _ in range(REPEATS)
    )  # fmt: skip


def on_log_loss() -> Line:
    """Descent on ln L, which takes logarithms and the largest margin at every step."""
    runs, n, d, steps, *_ = SIZES[1]
    problems = [sc.data.half_spaces(n, d, 0.3, seed=seed) for seed in range(runs)]
    speed = in_turn({"ours": (runs * steps, lambda: descend(problems, NormalizedGD(RATE), steps))})
    return Line(f"descent on ln L, {runs} runs of {n} x {d}", f"{speed['ours'] / 1e6:.3f} M/s")


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
    """Peak memory of whole sweeps, bounded by a part, and their time, per run."""
    found = [whole_sweep(runs) for runs in MEMORY]
    each = ", ".join(f"{runs:,}" for runs in MEMORY)
    told = ", ".join(f"{peak:.0f} MB" for peak, _ in found)
    pace = ", ".join(
        f"{1e3 * took / runs:.1f}" for runs, (_, took) in zip(MEMORY, found, strict=True)
    )
    return Line(f"sweeps of {each} runs", f"{told}; {pace} ms a run")


def whole_sweep(runs: int) -> tuple[float, float]:
    """Megabytes at most, and seconds without starting and compiling."""
    script = (
        "import sys, tempfile, time; from pathlib import Path\n"
        "from svmconv import use_cores\n"
        "from svmconv.sweep import Grid, sweep\n"
        "use_cores()\n"
        "def run(folder, seeds):\n"
        "    grid = Grid(n=100, d=2, optimizer='gd', steps=1000, seeds=seeds)\n"
        "    sweep(grid, Path(folder, f'{seeds}.nc')).close()\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    run(folder, 256)\n"
        "    begun = time.perf_counter()\n"
        "    run(folder, int(sys.argv[1]))\n"
        "    took = time.perf_counter() - begun\n"
        # Not ru_maxrss, which a process has from the one that started it.
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')), took)\n"
    )
    command = [sys.executable, "-c", script, str(runs)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, took = map(float, found.stdout.split())
    return peak / 1024, took


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


if __name__ == "__main__":
    print(alone(*map(int, sys.argv[1:])))
