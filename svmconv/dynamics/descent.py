"""Discrete descent of a linear model by any optax transformation, in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Float

from svmconv import losses
from svmconv.devices import compiled
from svmconv.dynamics import recording
from svmconv.dynamics.batches import draw, sampler
from svmconv.errors import DataError, DivergedError
from svmconv.interruption import finishing
from svmconv.optimizers import SGD, Optimizer
from svmconv.problem import Bias, Loss, Problem, check_choice, check_problem
from svmconv.progress import progress_bar

_BLOCK_WORK = 3e8
"""Row-features per uninterrupted block: about a second, so that Ctrl-C is heard."""


def descend(
    problem: Problem,
    optimizer: Optimizer | optax.GradientTransformation,
    steps: int | float,
    *,
    loss: Loss = "logistic",
    bias: Bias = "none",
    bias_scale: float = 1.0,
    init: Any = None,
    resume: xr.Dataset | None = None,
) -> xr.Dataset:
    """Take `steps` full-batch steps from `init` (zero), recording at log-spaced steps.

    Returns a trajectory: dims log1p_t = ln(1 + total length of the steps), [class,] feature; w, b,
    margin, log_loss, norm; coordinate step. With a bias the optimizer sees (w, b / sqrt c), so a
    step on b is c times a step on w. Plain optax transformations receive grad L, which underflows
    below log L = -708; for them log1p_t counts steps and `rate` is "custom". `resume` continues
    such a trajectory exactly as if it had never stopped; of a "custom" optimizer only the shapes of
    its state can be checked, so pass the same one.

    Raises DataError, DivergedError, Interrupted (Ctrl-C; finished blocks kept).
    """
    check_problem(problem)
    recording.check_bias(bias)
    check_choice("loss", loss, get_args(Loss))
    if loss == "exponential" and not problem.binary:
        raise DataError('loss="exponential" is for two classes: use "logistic" (softmax) for K')
    if not (np.isfinite(steps) and steps >= 1 and steps == int(steps)):
        raise DataError(f"steps must be a whole number of at least 1, got {steps!r}")
    known = isinstance(optimizer, Optimizer)
    if not known and not isinstance(optimizer, optax.GradientTransformation):
        raise DataError(f"optimizer must be one of sc.optimizers or from optax, got {optimizer!r}")
    attrs = {
        "method": type(optimizer).__name__ if known else "custom",
        "optimizer": repr(optimizer) if known else "custom",
        "rate": optimizer.effective_rate if known else "custom",
        "bias": bias, "bias_scale": bias_scale, "loss": loss,
    }  # fmt: skip
    with jax.enable_x64(True):
        rows = losses.rows_of(problem, bias, bias_scale)
        w = jnp.asarray(recording.initial_weights(problem, bias, bias_scale, init))
        opt_state = first_state(w, problem.n, optimizer)
        recorder = recording.Recorder(problem, attrs, resume)
        if resume is None:
            step = 0
            recorder.records.append(_observed(step, w, opt_state, rows, optimizer, attrs))
        else:
            step = int(resume.step[-1])
            w, opt_state = jnp.asarray(resume.state_w.values), _restored(opt_state, resume)
        stops = recording.log_spaced_steps(int(steps))
        block = max(1, int(_BLOCK_WORK / rows.x.size))
        with progress_bar(f"{attrs['method']} on {problem.name}", steps) as advance:
            for stop in stops[stops > step].tolist():
                try:
                    while step < stop:
                        count = min(block, stop - step)
                        with finishing():
                            w, opt_state = _advance(
                                w, opt_state, rows, jnp.asarray(count), _unseeded(optimizer), loss
                            )
                            w.block_until_ready()
                        step += count
                        advance(step, "")
                    recorder.records.append(_observed(step, w, opt_state, rows, optimizer, attrs))
                except KeyboardInterrupt:
                    raise recording.Interrupted(recorder.dataset()) from None
    return recorder.dataset()


@compiled
def _advance(
    w: Float[Array, "*w"],
    opt_state: Any,
    rows: losses.Rows,
    count: Any,
    optimizer: Optimizer | optax.GradientTransformation,
    loss: Loss,
) -> tuple[Float[Array, "*w"], Any]:
    ready = prepared(rows, optimizer)
    # A counted loop, not scan: one compilation serves every block length.
    return jax.lax.fori_loop(
        0, count, lambda _, at: one_step(at[0], at[1], ready, optimizer, loss), (w, opt_state)
    )


def prepared(rows: losses.Rows, optimizer: Optimizer | optax.GradientTransformation) -> losses.Rows:
    """The rows as a loop of steps reads them: tiled, unless each step draws some of them."""
    return rows if isinstance(optimizer, SGD) else losses.tiled(rows)


def one_step(
    w: Float[Array, "*w"],
    state: Any,
    rows: losses.Rows,
    optimizer: Optimizer | optax.GradientTransformation,
    loss: Loss,
) -> tuple[Float[Array, "*w"], Any]:
    """Weights and optimizer state after one step; SGD's state is the pair (optax's, Sampler)."""
    transformation = optax.with_extra_args_support(_build(optimizer))
    if isinstance(optimizer, SGD):
        state, sample = state
        batch, sample = draw(sample, rows, optimizer)
        updates, state = transformation.update(losses.grad_loss(w, batch, loss), state, w)
        state = state, sample
    elif isinstance(optimizer, Optimizer) and optimizer.on_log_loss:
        log_loss, slope = losses.log_loss_and_grad(w, rows, loss)
        updates, state = transformation.update(slope, state, w, log_loss=log_loss)
    else:
        updates, state = transformation.update(losses.grad_loss(w, rows, loss), state, w)
    return optax.apply_updates(w, updates), state


def first_state(
    w: Float[Array, "*w"], n: int, optimizer: Optimizer | optax.GradientTransformation
) -> Any:
    """State of the optimizer before the first step on n rows."""
    state = _build(optimizer).init(w)
    return (state, sampler(optimizer, n)) if isinstance(optimizer, SGD) else state


def _unseeded(optimizer: Optimizer | optax.GradientTransformation) -> Any:
    """The same for all seeds, which live in the state: they share a compilation."""
    return replace(optimizer, seed=0) if isinstance(optimizer, SGD) else optimizer


def _build(optimizer: Optimizer | optax.GradientTransformation) -> optax.GradientTransformation:
    return optimizer.build() if isinstance(optimizer, Optimizer) else optimizer


@eqx.filter_jit
def _observe(w: Float[Array, "*w"], rows: losses.Rows, loss: Loss) -> tuple[Any, Any]:
    margins = losses.pair_margins(w, rows)
    return losses.smallest_margin(margins), losses.log_loss(margins, loss)


def _observed(
    step: int,
    w: Float[Array, "*w"],
    opt_state: Any,
    rows: losses.Rows,
    optimizer: Optimizer | optax.GradientTransformation,
    attrs: dict[str, Any],
) -> recording.Record:
    margin, log_loss = _observe(w, rows, attrs["loss"])
    if not bool(jnp.isfinite(w).all()):
        raise DivergedError(
            f"{attrs['method']} left the finite numbers by step {step}: lower its rate"
        )
    elapsed = float(step) if attrs["rate"] == "custom" else optimizer.elapsed(step)
    leaves = {f"opt{i}": np.asarray(v) for i, v in enumerate(jax.tree.leaves(opt_state))}
    return recording.Record(
        log1p_t=np.log1p(np.array([elapsed])),
        weights=np.asarray(w)[None],
        margin=np.asarray(margin)[None],
        log_loss=np.asarray(log_loss)[None],
        state={"w": np.asarray(w), **leaves},
        step=step,
    )


def _restored(fresh: Any, resume: xr.Dataset) -> Any:
    """The saved optimizer state, in the structure of a fresh one."""
    leaves, structure = jax.tree.flatten(fresh)
    names = [f"state_opt{i}" for i in range(len(leaves))]
    saved = [resume[name].values for name in names if name in resume.variables]
    same = len(saved) == len(leaves) and f"state_opt{len(leaves)}" not in resume.variables
    if not same or any(
        (a.shape, a.dtype) != (b.shape, b.dtype) for a, b in zip(saved, leaves, strict=True)
    ):
        raise DataError("resume= was recorded with another optimizer: pass the same one")
    return jax.tree.unflatten(structure, [jnp.asarray(value) for value in saved])
