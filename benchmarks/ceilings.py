"""What this machine can do at best, all cores together: memory read, fused multiply-add, exp.

The best of numpy and JAX each time, on arrays that suit the resource, float64.
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

from benchmarks import Line, timed

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


def lines() -> Iterator[Line]:
    found = measured()
    yield Line("memory read", f"{found.read / 1e9:.1f} GB/s")
    yield Line("second cache read", f"{found.cached / 1e9:.1f} GB/s")
    yield Line("fused multiply-add", f"{found.multiply_add / 1e9:.1f} GFLOP/s")
    yield Line("exp", f"{found.exp / 1e9:.2f} G/s")


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

    return Ceilings(
        read=cores * 8 * 4_000_000 * 5 / _together(dots(large, 5), cores),
        cached=cores * 8 * 40_000 * 500 / _together(dots(small, 500), cores),
        multiply_add=2 * 1500**3 / statistics.median(
            timed(lambda: square @ square)[0] for _ in range(REPEATS)
        ),
        exp=max(cores * 4000 * 500 / _together(numpy_exp, cores), _jax_exp(cores)),
    )  # fmt: skip


def _together(run: Callable[[int], None], cores: int) -> float:
    """Median seconds of `run` on all cores at once."""
    with ThreadPoolExecutor(cores) as pool:
        return statistics.median(
            timed(lambda: list(pool.map(run, range(cores))))[0] for _ in range(REPEATS)
        )


def _jax_exp(cores: int) -> float:
    times, size = 500, 4000
    with jax.enable_x64(True):
        loop = jax.jit(lambda x: jax.lax.fori_loop(0, times, lambda _, y: jnp.exp(-y), x))
        x = [jax.device_put(np.linspace(0.0, 30.0, size), device) for device in jax.devices()]

        def run(core: int) -> None:
            loop(x[core % len(x)]).block_until_ready()

        _together(run, cores)  # compiles
        return cores * times * size / _together(run, cores)
