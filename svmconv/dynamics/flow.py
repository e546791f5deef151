"""Gradient flow of the mean loss in log time, in the co-moving frame.

With s = ln(1 + t) the flow dw/dt = -grad L reads dw/ds = (1/N) sum exp(s) q(z.w) z, which is of
order one for ever. Its linearisation has eigenvalues up to thousands, so the solver is implicit
(Kvaerno5). In the frame v = w - s w_ref, w_ref the hard-margin SVM, v tends to a constant:

    dv/ds = (1/N) sum exp(-z.v - s (z.w_ref - 1) - log1p(exp(-z.w))) z - w_ref,

so round-off does not grow with s and ln t = 1e6 takes a few hundred steps.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Float64

from svmconv import losses
from svmconv.dynamics import recording
from svmconv.errors import DataError, SvmconvError
from svmconv.interruption import finishing
from svmconv.problem import Bias, Loss, Problem, check_choice, check_problem
from svmconv.progress import progress_bar
from svmconv.svm.result import MaxMargin
from svmconv.svm.rows import SignedRows
from svmconv.svm.solve import max_margin

FrameKind = Literal["co-moving", "plain"]
_BLOCK = 8
_MAX_STEPS = 20_000
"""Per block; the stiffest problems measured take a few thousand in all."""


PATIENCE = 1.0, 8.0
"""Times `Frame.rounding`, in turn. A velocity that fades slowly can stay beside that threshold, and
be motion at one stage of an implicit step, rest at the next: no long step is taken then. What is
left to come is at most 8 rounding / kappa."""


class Frame(NamedTuple):
    """w = v + s ref; excess = <ref, pair row> - 1, exactly zero on the support vectors."""

    ref: Float[Array, "*w"]
    excess: Float[Array, "n j"]
    n: Float[Array, ""]
    """How many rows are not padding."""
    rounding: Float[Array, ""]
    """A velocity below this is only what is left of cancelling ref: v has arrived."""


def gradient_flow(
    problem: Problem,
    log_t: float = 1e6,
    *,
    loss: Loss = "logistic",
    bias: Bias = "none",
    bias_scale: float = 1.0,
    init: Any = None,
    frame: FrameKind = "co-moving",
    rtol: float = 1e-8,
    resume: xr.Dataset | None = None,
) -> xr.Dataset:
    """Follow dw/dt = -grad L(w) from `init` (zero) at t = 0 to ln t = log_t.

    Returns a trajectory: dims log1p_t = ln(1 + t), [class,] feature; w, b, margin, log_loss, norm.
    `rtol` is the relative tolerance of a step (absolute: the same). The plain frame needs no SVM,
    but stalls where rtol is below the round-off of w. Raises DataError, NotSeparableError
    (co-moving frame), SvmconvError when the integrator gives up, Interrupted on Ctrl-C.
    """
    check_problem(problem)
    recording.check_bias(bias)
    check_choice("loss", loss, get_args(Loss))
    check_choice("frame", frame, get_args(FrameKind))
    if loss == "exponential" and not problem.binary:
        raise DataError('loss="exponential" is for two classes: use "logistic" (softmax) for K')
    if not np.isfinite(log_t):
        raise DataError(f"log_t must be a finite number, got {log_t!r}")
    if not 0 < rtol < 1:
        raise DataError(f"rtol must be between 0 and 1, got {rtol!r}")
    attrs = {
        "method": "flow", "bias": bias, "bias_scale": bias_scale, "loss": loss, "rate": 1.0,
        "frame": frame, "rtol": rtol,
    }  # fmt: skip
    grid = recording.log_spaced_times(float(np.logaddexp(0.0, log_t)))
    with jax.enable_x64(True):
        scale = problem.scale
        rows = losses.rows_of(problem, bias, bias_scale, scale)
        moving = _frame(problem, rows, bias, bias_scale, frame)
        rows, moving = _padded(rows, moving)
        start = scale * recording.initial_weights(problem, bias, bias_scale, init)
        recorder = recording.Recorder(problem, attrs, resume)
        at, v = np.zeros(1), start
        if resume is None:
            recorder.records.append(_observed(at, start[None], moving, rows, scale, loss))
        else:
            at, v = resume.log1p_t.values[-1:], resume.state_v.values
        left = grid[grid > at[0]]
        with progress_bar(f"flow of {problem.name}", len(left)) as advance:
            for first in range(0, len(left), _BLOCK):
                block = left[first : first + _BLOCK]
                try:
                    clock = scaled_clock(np.concatenate([at, block]), scale)
                    with finishing():
                        vs = np.asarray(_solve(v, clock, rows, moving, rtol, loss))
                    recorder.records.append(_observed(block, vs, moving, rows, scale, loss))
                except KeyboardInterrupt:
                    raise recording.Interrupted(recorder.dataset()) from None
                at, v = block[-1:], vs[-1]
                advance(first + _BLOCK, "")
    return recorder.dataset()


def _frame(
    problem: Problem, rows: losses.Rows, bias: Bias, bias_scale: float, frame: FrameKind
) -> Frame:
    """The frame moving with the exact SVM; at rest (ref = 0, excess = -1) for "plain"."""
    j = 1 if problem.binary else problem.n_classes
    if frame == "plain":
        p = rows.x.shape[1]
        return Frame(
            jnp.zeros(p if problem.binary else (j, p)),
            -jnp.ones((problem.n, j)),
            jnp.asarray(float(problem.n)),
            jnp.zeros(()),
        )
    return moving_frame(problem, rows, max_margin(problem, bias=bias, bias_scale=bias_scale))


def moving_frame(problem: Problem, rows: losses.Rows, svm: MaxMargin) -> Frame:
    """The frame moving with the exact SVM of the problem whose scaled rows these are."""
    ref = svm.w_aug * problem.scale
    signed = SignedRows(problem, svm.bias, svm.bias_scale)
    margins = signed.margins(ref.ravel(), np.zeros(0))
    excess = margins - 1.0
    # On a support vector the excess is zero, not its rounding error: at s = 1e6 that error would
    # count a million times.
    tight = signed.tight(margins, ref.ravel()) | (svm.alpha.reshape(margins.shape) > 0)
    excess[tight | np.isinf(excess)] = 0.0
    # sum alpha |z| <= sum alpha max |z|, and sum alpha = |ref|^2
    longest = np.linalg.norm(np.asarray(rows.x)[svm.support], axis=1).max()
    rounding = 64 * np.finfo(float).eps * float(np.vdot(ref, ref)) * longest
    n = jnp.asarray(float(problem.n))
    return Frame(jnp.asarray(ref), jnp.asarray(excess), n, jnp.asarray(rounding))


def scaled_clock(log1p_t: Float64[np.ndarray, " t"], scale: float) -> Float64[np.ndarray, " t"]:
    """ln(1 + scale^2 t): dividing rows by `scale` slows the flow by scale^2."""
    if scale == 1.0:
        return log1p_t
    return np.logaddexp(0.0, recording.log_time(log1p_t) + 2.0 * np.log(scale))


def _field(s: Any, v: Any, args: Any) -> Any:
    rows, frame, loss = args
    relative = losses.pair_margins(v, rows)
    margins = relative + s * (1.0 + frame.excess)
    weights = losses.grown_pair_weights(margins, -relative - s * frame.excess, loss)
    velocity = losses.combine(weights, rows) / frame.n - frame.ref
    # At rest, rounding taken as motion would only make the integrator reject every long step. What
    # is left to come is at most rounding / kappa.
    return jnp.where(jnp.abs(velocity).max() <= frame.rounding, 0.0, velocity)


def integrate(
    v0: Float[Array, "*w"],
    ts: Float[Array, " t_1"],
    rows: losses.Rows,
    frame: Frame,
    rtol: Float[Array, ""],
    loss: Loss,
) -> tuple[Float[Array, "t *w"], Any]:
    """v at ts[1:] from v0 at ts[0], and whether the integrator got there."""
    field = diffrax.ODETerm(lambda s, v, args: _field(s, v, (*args, loss)))
    # Steps end on the recorded times: interpolated values would be worse than the steps.
    tolerances = diffrax.PIDController(
        rtol=rtol, atol=rtol * jnp.maximum(1.0, jnp.linalg.norm(frame.ref))
    )
    solution = diffrax.diffeqsolve(
        field,
        # kappa: how far below the step tolerance Newton's method must converge. The default, 1e-2,
        # is below the rounding of long steps and rejects them.
        diffrax.Kvaerno5(
            root_finder=diffrax.with_stepsize_controller_tols(diffrax.VeryChord)(kappa=1.0)
        ),
        t0=ts[0],
        t1=ts[-1],
        dt0=None,
        y0=v0,
        args=(rows, frame),
        saveat=diffrax.SaveAt(ts=ts[1:]),
        stepsize_controller=diffrax.ClipStepSizeController(tolerances, step_ts=ts),
        max_steps=_MAX_STEPS,
        throw=False,
    )
    assert solution.ys is not None
    return solution.ys, solution.result == diffrax.RESULTS.successful


_integrate = eqx.filter_jit(integrate)


def _solve(
    v0: Float64[np.ndarray, "*w"],
    ts: Float64[np.ndarray, " t_1"],
    rows: losses.Rows,
    frame: Frame,
    rtol: float,
    loss: Loss,
) -> Float64[np.ndarray, "t *w"]:
    v = _wide(v0, rows)
    for times in PATIENCE:
        resting = frame._replace(rounding=times * frame.rounding)
        vs, well = _integrate(v, jnp.asarray(ts), rows, resting, jnp.asarray(rtol), loss)
        if well:
            return np.asarray(vs)[..., : v0.shape[-1]]
    raise SvmconvError(
        f"the flow stopped between ln(1 + t) = {ts[0]:.6g} and {ts[-1]:.6g}, after "
        f"{_MAX_STEPS:,} steps or at a step too small for float64: ask for a smaller log_t, "
        "a larger rtol, or the co-moving frame (which also tells whether the classes separate)"
    )


def _padded(rows: losses.Rows, frame: Frame) -> tuple[losses.Rows, Frame]:
    """Zero rows and columns up to round sizes: they move nothing, and compilations are shared.

    Rows of K classes, which cost K^2 times as much, are padded to a multiple of 64 only.
    """
    n, p = rows.x.shape
    whole = max(1024, 1 << (n - 1).bit_length()) if rows.own is None else n + -n % 64
    below = ((0, whole - n), (0, 0))
    wide = losses.Rows(
        jnp.pad(rows.x, (below[0], (0, -p % 12))),
        None if rows.own is None else jnp.pad(rows.own, below),
    )
    return wide, frame._replace(ref=_wide(frame.ref, wide), excess=jnp.pad(frame.excess, below))


def _wide(v: Any, rows: losses.Rows) -> Float[Array, "*padded"]:
    """`v` with a zero for every padded column."""
    more = rows.x.shape[1] - v.shape[-1]
    return jnp.asarray(np.pad(v, (*((0, 0),) * (v.ndim - 1), (0, more))))


def _observed(
    log1p_t: Float64[np.ndarray, " t"],
    vs: Float64[np.ndarray, "t *w"],
    frame: Frame,
    rows: losses.Rows,
    scale: float,
    loss: Loss,
) -> recording.Record:
    # Whole blocks, the start too: one compilation, and one call for all points of a block.
    more = (0, _BLOCK - len(vs))
    clock = np.pad(scaled_clock(log1p_t, scale), more, "edge")
    v = _wide(np.pad(vs, (more, *((0, 0),) * (vs.ndim - 1)), "edge"), rows)
    seen = _observe(jnp.asarray(clock), v, frame, rows, loss)
    w, margin, log_loss = (np.asarray(column)[: len(vs)] for column in seen)
    return recording.Record(
        log1p_t, w[..., : vs.shape[-1]] / scale, margin, log_loss, {"v": vs[-1]}
    )


def observe(
    s: Float[Array, ""], v: Float[Array, "*w"], frame: Frame, rows: losses.Rows, loss: Loss
) -> tuple[Any, Any, Any]:
    """Weights, smallest margin and ln L of the scaled problem."""
    margins = losses.pair_margins(v, rows) + s * (1.0 + frame.excess)
    size = margins.shape[0]
    margins = jnp.where(jnp.arange(size)[:, None] < frame.n, margins, jnp.inf)
    log_loss = losses.log_loss(margins, loss) + jnp.log(size / frame.n)
    return v + s * frame.ref, losses.smallest_margin(margins), log_loss


@eqx.filter_jit
def _observe(
    s: Float[Array, " t"], v: Float[Array, "t *w"], frame: Frame, rows: losses.Rows, loss: Loss
) -> tuple[Any, Any, Any]:
    """The same of several points, one after the other: bit for bit what each is alone."""
    return jax.lax.map(lambda at: observe(at[0], at[1], frame, rows, loss), (s, v))
