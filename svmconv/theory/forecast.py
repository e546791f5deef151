"""What a run should look like at finite t, as a trajectory that goes through the same gap code.

F1 (derived from Soudry et al., thm 4): w_F = w_hat ln tau + w_tilde + w_out, tau = rate x t, so

    w_F.u = (ln tau + ln(gamma^2 / N) + H) / gamma,  |w_F|^2 = (w_F.u)^2 + |v_bar|^2 + |w_out|^2,
    min margin = ln tau - ln(N max alpha),  ln L = -ln tau - 2 ln gamma   (mean loss).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float64

from svmconv.dynamics.recording import log_time, split, stacked
from svmconv.errors import DataError
from svmconv.theory.constants import Constants


def log_tau(trajectory: xr.Dataset) -> Float64[np.ndarray, " t"]:
    """ln(rate x t) of each recording, from log1p_t = ln(1 + rate x t); -inf at the start."""
    return log_time(trajectory.log1p_t.values)


def forecast(
    trajectory: xr.Dataset,
    constants: Constants,
    clock: Float64[np.ndarray, " t"] | None = None,
) -> xr.Dataset:
    """w, b, margin, log_loss, norm that theory predicts at the times of `trajectory`.

    `clock` is ln tau of every recording, by default ln(rate x t) of the trajectory; give
    -ln(gamma^2 L) for methods whose time is not that of the flow (normalized GD).

    Where the support vectors do not span the rows, w_out, which theory leaves open, is read from
    the trajectory at three quarters of its clock: that it stays there is part of the claim.
    Raises DataError when the rates differ.
    """
    if clock is None and trajectory.attrs["rate"] != constants.rate:
        raise DataError(
            f"the run has rate {trajectory.attrs['rate']!r}, the constants {constants.rate!r}: "
            "pass rate= the optimizer's effective_rate"
        )
    s = log_tau(trajectory) if clock is None else clock
    weights = forecast_weights(s, constants) + out(stacked(trajectory), constants, s)
    w, b = split(weights, trajectory.attrs["bias"], trajectory.attrs["bias_scale"])
    found = trajectory.copy()
    found["w"] = (trajectory.w.dims, w)
    found["b"] = (trajectory.b.dims, b)
    found["margin"] = ("log1p_t", forecast_margin(s, constants))
    found["log_loss"] = ("log1p_t", forecast_log_loss(s, constants))
    found["norm"] = ("log1p_t", np.linalg.norm(weights.reshape(len(weights), -1), axis=1))
    return found


def forecast_weights(
    clock: Float64[np.ndarray, " t"], constants: Constants
) -> Float64[np.ndarray, "t *w"]:
    """w_hat s + w_tilde for every s = ln tau of `clock`: the forecast inside span(S)."""
    s = clock.reshape(-1, *[1] * constants.u.ndim)
    return s * constants.u / constants.gamma + constants.w_tilde


def forecast_margin(
    clock: Float64[np.ndarray, " t"], constants: Constants
) -> Float64[np.ndarray, " t"]:
    """Smallest functional margin at every s = ln tau."""
    return clock - np.log(constants.n * constants.alpha.max())


def forecast_log_loss(
    clock: Float64[np.ndarray, " t"], constants: Constants
) -> Float64[np.ndarray, " t"]:
    """ln L at every s = ln tau."""
    return -clock - 2.0 * np.log(constants.gamma)


def out(
    weights: Float64[np.ndarray, "t *w"], constants: Constants, clock: Float64[np.ndarray, " t"]
) -> Float64[np.ndarray, "*w"]:
    """w_out: predicted where the support vectors span, else that of the run at 3/4 of its clock.

    `weights` are the run's, in the space of (w, b / sqrt c).
    """
    if constants.w_out is not None:
        return constants.w_out
    at = max(0, int(np.searchsorted(clock, 0.75 * clock[-1], side="right")) - 1)
    return outside(weights[[at]], constants)[0]


def outside(
    weights: Float64[np.ndarray, "t *w"], constants: Constants
) -> Float64[np.ndarray, "t *w"]:
    """(I - P_S) w of every recording."""
    # Less the component along w_hat first: |w| is 1e6 and more, its rounding would be all of it.
    along = np.tensordot(weights, constants.u, axes=constants.u.ndim)
    across = weights - along.reshape(-1, *[1] * constants.u.ndim) * constants.u
    return across - constants.inside(across)
