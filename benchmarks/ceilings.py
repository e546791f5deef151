"""What this machine can do at best, all cores together: memory read, multiply-add, exp, sigmoid.

The best of numpy, JAX and our own each time, on arrays that suit the resource, float64.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import Line, on_cores, timed
from svmconv.devices import compiled
from svmconv.losses import pair_weights

REPEATS = 5


class Ceilings(NamedTuple):
    """Per second."""

    read: float
    """Bytes read from main memory."""
    cached: float
    """Bytes read from a core's second cache."""
    multiply_add: float
    """Floating-point operations of a matrix product, two for each multiply-add."""
    exp: float
    """Exponentials of an array in the cache."""
    sigmoid: float
    """Sigmoids likewise, one exponential and one division each: what a row costs at least."""


def lines() -> Iterator[Line]:
    found = measured()
    yield Line("memory read", f"{found.read / 1e9:.1f} GB/s")
    yield Line("second cache read", f"{found.cached / 1e9:.1f} GB/s")
    yield Line("fused multiply-add", f"{found.multiply_add / 1e9:.1f} GFLOP/s")
    yield Line("exp", f"{found.exp / 1e9:.2f} G/s")
    yield Line("sigmoid", f"{found.sigmoid / 1e9:.2f} G/s")


@cache
def measured() -> Ceilings:
    """Once per process."""
    cores = os.cpu_count() or 1
    large = [np.ones(4_000_000) for _ in range(cores)]
    small = [np.ones(40_000) for _ in range(cores)]
    square = np.ones((1500, 1500))
    values = [np.linspace(-30.0, 0.0, 4000) for _ in range(cores)]
    out = [np.empty_like(v) for v in values]

    def numpy_exp(core: int) -> None:
        for _ in range(500):
            np.exp(values[core], out=out[core])

    def dots(arrays: list[np.ndarray], times: int) -> Callable[[int], None]:
        def run(core: int) -> None:
            for _ in range(times):
                np.dot(arrays[core], arrays[core])

        return run

    # XLA's exp and our sigmoid, of a core in a process that has no other: two would share threads.
    exp, sigmoid = (cores * each for each in on_cores(1, "benchmarks.ceilings"))
    return Ceilings(
        read=cores * 8 * 4_000_000 * 5 / _together(dots(large, 5), cores),
        cached=cores * 8 * 40_000 * 500 / _together(dots(small, 500), cores),
        multiply_add=2 * 1500**3 / statistics.median(
            timed(lambda: square @ square)[0] for _ in range(REPEATS)
        ),
        exp=max(cores * 4000 * 500 / _together(numpy_exp, cores), exp),
        sigmoid=sigmoid,
    )  # fmt: skip


def _together(run: Callable[[int], None], cores: int) -> float:
    """Median seconds of `run` on all cores at once."""
    with ThreadPoolExecutor(cores) as pool:
        return statistics.median(
            timed(lambda: list(pool.map(run, range(cores))))[0] for _ in range(REPEATS)
        )


def _sigmoid(x: Array) -> Array:
    return pair_weights(-x[:, None], "logistic")[:, 0]


def _values(function: Callable[[Array], Array]) -> float:
    """Values a second of `function` on [-30, 0]."""
    times, size = 500, 16_000

    @compiled
    def loop(x: Array) -> Array:
        return jax.lax.fori_loop(0, times, lambda _, y: x + 1e-9 * function(y), x)

    with jax.enable_x64(True):
        x = jnp.linspace(-30.0, 0.0, size)
        jax.block_until_ready(loop(x))
        return times * size / statistics.median(
            timed(lambda: jax.block_until_ready(loop(x)))[0] for _ in range(REPEATS)
        )  # fmt: skip


if __name__ == "__main__":
    print(_values(jnp.exp), _values(_sigmoid))
