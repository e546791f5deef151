"""The devices of one machine, and many runs divided among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from svmconv.errors import DataError
from svmconv.problem import check_counts
from svmconv.processes import cores

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


def use_cores(count: int | None = None) -> None:
    """Let JAX see `count` CPU devices (one per core), so that runs divide among them.

    Call it before anything has computed with JAX, else DataError; the command line does. A number
    of devices in XLA_FLAGS is left alone.
    """
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    import jax

    wanted = len(cores()) if count is None else count
    check_counts(1, count=wanted)
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError:
        if jax.local_device_count("cpu") != wanted:
            raise DataError(
                "JAX has already started: call use_cores before anything computes"
            ) from None


def kind_of_device() -> str:
    """Of the devices that runs divide among: "cpu", or the name of the accelerator."""
    return at_hand()[0].device_kind


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """What eqx.filter_jit makes of it, on a CPU with the widest vectors: descent is a fifth faster.

    Made at the first call, since asking for the kind of device starts JAX.
    """

    @cache
    def made() -> Callable[P, R]:
        import equinox as eqx
        import jax

        jit: Any = eqx.filter_jit  # its stubs leave out what it passes on to jax.jit
        on_cpu = jax.default_backend() == "cpu"
        return jit(
            function, compiler_options={"xla_cpu_prefer_vector_width": 512} if on_cpu else None
        )

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return made()(*args, **kwargs)

    return call


def at_hand() -> list[Any]:
    """The devices of this process that runs divide among."""
    import jax

    return jax.local_devices()


def sharded(function: Callable[..., Any], runs: int, group: int) -> Callable[..., Any]:
    """`function` of arrays (trees of them) over `runs` runs, which sees a group of runs at a time.

    Every device takes its share of the groups. A group is the same program on any number of
    devices, so that results do not depend on it, not even in the last bit; `group` must divide
    `runs`.
    """
    import jax
    from jax.sharding import PartitionSpec

    def share(*arguments: Any) -> Any:
        split = jax.tree.map(lambda v: v.reshape(len(v) // group, group, *v.shape[1:]), arguments)
        found = jax.lax.map(lambda some: function(*some), split)
        return jax.tree.map(lambda v: v.reshape(v.shape[0] * group, *v.shape[2:]), found)

    over = PartitionSpec("run")
    mesh = _mesh(runs // group)
    return jax.shard_map(share, mesh=mesh, in_specs=over, out_specs=over, check_vma=False)


def placed(arrays: T, runs: int, group: int) -> T:
    """The arrays (a tree of them) where `sharded` wants them, so that no call moves them again."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    return jax.device_put(arrays, NamedSharding(_mesh(runs // group), PartitionSpec("run")))


def _mesh(groups: int) -> Any:
    """As many devices as divide the groups evenly."""
    import numpy as np
    from jax.sharding import Mesh

    devices = at_hand()
    used = max(k for k in range(1, len(devices) + 1) if groups % k == 0)
    return Mesh(np.array(devices[:used]), ("run",))


def share_out(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """[work(item) for item in items], every device taking the next item once it is free.

    For programs that `sharded` cannot divide: lineax's solvers refuse to be traced in a shard_map.
    """
    import jax

    devices = at_hand()
    free: SimpleQueue[Any] = SimpleQueue()
    for device in devices:
        free.put(device)

    def on_one(item: T) -> R:
        device = free.get()
        try:
            with jax.default_device(device):
                return work(item)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        futures = [pool.submit(on_one, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
