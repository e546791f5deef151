"""Many gradient flows of one shape at once: vectorised over runs, divided among the devices.

Runs of a group take their steps together, and wait for the one that needs most: so they are sorted
by how stiff they are first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float64, Int

from svmconv import losses
from svmconv.devices import share_out
from svmconv.dynamics import flow
from svmconv.dynamics.recording import Ensemble
from svmconv.problem import Loss, Problem
from svmconv.svm.result import MaxMargin

WIDEST = 64
"""Runs of a group at most: in wider ones the slowest costs more than is won."""
_JACOBIAN = 2**23
"""Row-features of a group at most: an implicit step holds as many derivatives."""
_BLOCK = 8
"""Recordings that are integrated at once."""


def flows(
    problems: Sequence[Problem],
    svms: Sequence[MaxMargin],
    log1p_t: Float64[np.ndarray, " t"],
    *,
    loss: Loss = "logistic",
    rtol: float = 1e-8,
) -> Ensemble:
    """Flows from zero, each in the frame of its SVM, recorded at ln(1 + t) = log1p_t, from 0.

    Problems are of one shape (n, d, K), SVMs of one bias kind. nan from where the integrator gave
    up, as in `gradient_flow`, whose result a run's is up to the tolerance.
    """
    with jax.enable_x64(True):
        scales = np.array([problem.scale for problem in problems])
        each = [
            losses.rows_of(p, svm.bias, svm.bias_scale, p.scale)
            for p, svm in zip(problems, svms, strict=True)
        ]
        frames = [
            flow.moving_frame(problem, of, svm)
            for problem, of, svm in zip(problems, each, svms, strict=True)
        ]
        group = _group(each[0])
        order = _by_stiffness(frames)
        wide = np.append(order, np.repeat(order[-1:], -len(order) % group))
        rows, moving = (_stacked(trees, wide) for trees in (each, frames))
        clock = np.stack([flow.scaled_clock(log1p_t, scale) for scale in scales])[wide]
        parts = share_out(
            lambda some: _together(some, rtol, loss),
            [
                jax.tree.map(lambda leaf, at=at: leaf[at : at + group], (clock, rows, moving))
                for at in range(0, len(wide), group)
            ],
        )
        columns = zip(*parts, strict=True)
        found = [np.concatenate(column)[: len(order)] for column in columns]
        back = np.argsort(order)
        weights, margin, log_loss = (column[back] for column in found)
        return Ensemble((weights.T / scales).T, margin, log_loss)


def _group(rows: losses.Rows) -> int:
    k = 1 if rows.own is None else rows.own.shape[1] ** 2
    fitting = max(1, min(WIDEST, _JACOBIAN // (rows.x.size * k)))
    return 1 << (fitting.bit_length() - 1)


def _by_stiffness(frames: Sequence[flow.Frame]) -> Int[np.ndarray, " run"]:
    """Runs from those whose last row off the support fades fastest to the slowest: theta - 1."""
    excess = [np.asarray(frame.excess) for frame in frames]
    slowest = [e[e > 0].min(initial=np.inf) for e in excess]
    return np.argsort(-np.array(slowest), kind="stable")


def _stacked(trees: Sequence[Any], order: Int[np.ndarray, " run"]) -> Any:
    leaves = jax.tree.map(lambda *leaf: np.stack([np.asarray(v) for v in leaf]), *trees)
    return jax.tree.map(lambda leaf: leaf[order], leaves)


def _together(
    some: tuple[Float64[np.ndarray, "run t"], losses.Rows, flow.Frame], rtol: float, loss: Loss
) -> Ensemble:
    """Scaled weights and the rest of every run. A run that failed is replaced by another's copy."""
    clock, rows, moving = some
    of = np.arange(len(clock))
    v = np.zeros(moving.ref.shape)
    lost = np.zeros(len(clock), bool)
    blocks = []
    for first in range(0, clock.shape[1] - 1, _BLOCK):
        times = clock[:, first : first + _BLOCK + 1]
        given = jax.tree.map(lambda leaf, of=of: leaf[of], (v, times, rows, moving))
        v, seen, well = _patiently(given, rtol, loss)
        lost = lost | ~well
        if lost.all():
            v = np.zeros_like(v)
        else:
            of = np.where(lost, np.flatnonzero(~lost)[0], of)
        for column in seen:
            column[lost] = np.nan
        blocks.append([column[:, (first > 0) :] for column in seen])
    return Ensemble(*(np.concatenate(column, axis=1) for column in zip(*blocks, strict=True)))


def _patiently(
    given: tuple[Any, Any, Any, flow.Frame], rtol: float, loss: Loss
) -> tuple[Any, tuple[Any, Any, Any], Bool[np.ndarray, " run"]]:
    """Where the runs end, what was seen of them, and which of them got there."""
    *start, moving = given
    found: Any = None
    for times in flow.PATIENCE:
        resting = moving._replace(rounding=times * moving.rounding)
        with jax.enable_x64(True):  # it is a matter of each thread
            tried = jax.tree.map(np.array, _solve((*start, resting), rtol, loss))
        if found is not None:  # what was well stays as it is
            again = ~found[2]
            for old, new in zip(jax.tree.leaves(found), jax.tree.leaves(tried), strict=True):
                old[again] = new[again]
        found = tried if found is None else found
        if found[2].all():
            break
    return found


@eqx.filter_jit
def _solve(
    given: tuple[Any, Any, Any, Any], rtol: float, loss: Loss
) -> tuple[Any, tuple[Any, Any, Any], Any]:
    def one(v: Any, times: Any, rows: Any, moving: Any) -> tuple[Any, Any, Any]:
        later, well = flow.integrate(v, times, rows, moving, jnp.asarray(rtol), loss)
        vs = jnp.concatenate([v[None], later])
        seen = jax.vmap(flow.observe, (0, 0, None, None, None))(times, vs, moving, rows, loss)
        return later[-1], seen, well

    return jax.vmap(one)(*given)
