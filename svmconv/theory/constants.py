"""Every constant of the limit, from the SVM alone: nothing is fitted to a run.

Write z for the signed (pair) rows, w_hat for the SVM, gamma = 1/|w_hat|, u = gamma w_hat, N rows.
Training on the mean loss obeys dw/dt = (1/N) sum exp(-z.w) z up to terms that vanish. Inserting
w = w_hat ln tau + w_tilde (tau = rate x t) leaves, on S,

    exp(-z_n.w_tilde) = N alpha_n,   sum_S alpha_n z_n = w_hat   (Soudry et al., JMLR 2018, thm 4).

Where several alpha satisfy the second equation, training finds the one of MAXIMUM ENTROPY, because
-ln(N alpha) must be linear in z (derived): with p = alpha gamma^2,

    v_bar = argmin over v orthogonal to u of logsumexp_S(-z.v),  p = softmax_S(-z.v_bar).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.optimize import linprog
from scipy.special import logsumexp, softmax

from svmconv.errors import DataError, SvmconvError
from svmconv.problem import Problem
from svmconv.svm.result import MaxMargin
from svmconv.svm.rows import SignedRows

NEWTON_STEPS = 200


@dataclass(frozen=True, eq=False)
class Constants:
    """What theory predicts; vectors live in the space of (w, b / sqrt c), shaped like w there."""

    gamma: float
    """Margin 1 / |w_hat|."""
    u: Float64[np.ndarray, "*w"]
    """Unit direction of the SVM."""
    n: int
    """Rows N, over which the loss is averaged."""
    rate: float
    """Step length per unit of t: tau = rate x t."""
    alpha: Float64[np.ndarray, "*alpha"]
    """Maximum-entropy dual variables, (n,) or (n, K); sum 1 / gamma^2."""
    p: Float64[np.ndarray, "*alpha"]
    """alpha gamma^2, sum 1."""
    entropy: float
    """H = -sum p ln p, in nats."""
    min_entropy: float
    """H_inf = -ln max p, in nats."""
    theta: float
    """Smallest margin z.w_hat off S; inf if every (pair) row is in S, 1 if degenerate."""
    lambda_min: float
    """Smallest eigenvalue of M = sum alpha z z^T on span(S); at most 1, its value at u."""
    lambda_max: float
    """Largest eigenvalue of M orthogonal to u, 0 if there is none. gamma^2 lambda_max is the
    curvature of ln L that sets the step limits of descent on it."""
    w_tilde: Float64[np.ndarray, "*w"]
    """Limit of w - w_hat ln tau inside span(S)."""
    v_bar: Float64[np.ndarray, "*w"]
    """The part of w_tilde orthogonal to u."""
    span: Float64[np.ndarray, "size rank"]
    """Orthonormal basis of span(S), over flattened weights."""
    w_out: Float64[np.ndarray, "*w"] | None
    """Limit of w outside span(S): the initial value if S spans the rows, else None (unknown)."""
    degenerate: bool
    """Whether a row touches the margin with zero dual in every solution: then w_tilde is infinite,
    the rates are logarithmic and no constant but gamma and u is to be trusted."""

    @property
    def kappa(self) -> float:
        """The remainder decays like tau^-kappa: min(lambda_min, theta - 1)."""
        return min(self.lambda_min, self.theta - 1.0)

    @property
    def spanning(self) -> bool:
        """Whether the support vectors span all rows."""
        return self.w_out is not None

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the SVM alone cannot tell, one sentence each."""
        found = []
        if not self.spanning:
            found.append(
                "the support vectors do not span the rows: the weights outside their span tend to "
                "a limit that depends on the path, so angles need the measured w_out"
            )
        if self.degenerate:
            found.append(
                "a row touches the margin with zero dual: direction errors decay like "
                "ln ln t / ln t, and entropy, w_tilde, v_bar describe only the support vectors"
            )
        return tuple(found)

    def inside(self, w: Float64[np.ndarray, "*batch"]) -> Float64[np.ndarray, "*batch"]:
        """P_S w: orthogonal projection of weights (..., *shape of u) onto span(S)."""
        flat = w.reshape(*w.shape[: w.ndim - self.u.ndim], self.u.size)
        with np.errstate(invalid="ignore"):  # nan at the start, where ln tau = -inf
            return ((flat @ self.span) @ self.span.T).reshape(w.shape)


def constants(
    problem: Problem, svm: MaxMargin, *, rate: float = 1.0, init: Any = None
) -> Constants:
    """The limit of training on `problem`, from its exact SVM.

    `rate` is eta for GD, eta / (1 - momentum) for heavy ball (an optimizer's effective_rate), 1 for
    the flow; `init` the initial weights, in the space of (w, b / sqrt c). Raises DataError for
    another problem's SVM, for bias "free" or a geometry other than l2, which no descent reaches, or
    a rate that is not a positive number.
    """
    if svm.problem_id != problem.id:
        raise DataError("this SVM belongs to another problem: solve max_margin for this one")
    if svm.geometry != "l2":
        raise DataError(
            f"these are the constants of descent, which reaches the l2 SVM, not {svm.geometry}: "
            'ask max_margin for geometry="l2"'
        )
    if svm.bias == "free":
        raise DataError(
            'no descent reaches bias="free": ask max_margin for bias="none" or "augmented"'
        )
    if isinstance(rate, str) or not (np.isfinite(rate) and rate > 0):
        raise DataError(
            f"the constants need the method's effective rate, a positive number, got {rate!r}"
        )
    rows = SignedRows(problem, svm.bias, svm.bias_scale)
    scale, shape = problem.scale, svm.w_aug.shape
    v_hat = (svm.w_aug * scale).ravel()
    gamma = 1.0 / float(np.linalg.norm(v_hat))  # of the scaled rows
    margins = rows.margins(v_hat, np.zeros(0))
    tight = np.flatnonzero(rows.tight(margins, v_hat).ravel() | (svm.alpha.ravel() > 0))
    support = tight[_can_be_positive(rows.take(tight)[0], v_hat, svm.alpha.ravel()[tight])]
    z = rows.take(support)[0]
    p, v_bar = maximum_entropy(z, v_hat * gamma)
    _, values, right = np.linalg.svd(np.sqrt(p)[:, None] * z, full_matrices=False)
    rank = _rank(values)
    across = np.sqrt(p)[:, None] * (z - np.outer(z @ v_hat, v_hat) * gamma**2)
    entropy = float(-(p * np.log(p)).sum())
    gamma_x = gamma * scale
    parallel = (entropy + 2.0 * np.log(gamma_x) - np.log(problem.n)) / gamma_x
    everywhere = np.zeros(svm.alpha.size)
    everywhere[support] = p
    everywhere = everywhere.reshape(svm.alpha.shape)
    others = np.delete(margins.ravel(), support)
    return Constants(
        gamma=gamma_x,
        u=(v_hat * gamma).reshape(shape),
        n=problem.n,
        rate=float(rate),
        alpha=everywhere / gamma_x**2,
        p=everywhere,
        entropy=entropy,
        min_entropy=float(-np.log(p.max())),
        theta=float(others.min(initial=np.inf)) if len(support) == len(tight) else 1.0,
        lambda_min=float(values[rank - 1] ** 2 / gamma**2),
        lambda_max=float(np.linalg.norm(across, 2) ** 2 / gamma**2) if rank > 1 else 0.0,
        w_tilde=(v_hat * gamma * parallel + v_bar / scale).reshape(shape),
        v_bar=(v_bar / scale).reshape(shape),
        span=right[:rank].T,
        w_out=_outside(rows, right[:rank], init, shape),
        degenerate=len(support) < len(tight),
    )


def maximum_entropy(
    z: Float64[np.ndarray, "s p"], u: Float64[np.ndarray, " p"]
) -> tuple[Float64[np.ndarray, " s"], Float64[np.ndarray, " p"]]:
    """(p, v_bar): argmin of logsumexp(-z.v) over v in span(z), orthogonal to u, by damped Newton.

    Needs u (scaled) in the interior of the convex hull of the rows z; else no minimum exists.
    Raises SvmconvError if Newton's method does not settle.
    """
    left, values, right = np.linalg.svd(z - np.outer(z @ u, u), full_matrices=False)
    rank = _rank(values, of=float(np.linalg.norm(z)))
    if rank == 0:
        return np.full(len(z), 1.0 / len(z)), np.zeros(z.shape[1])
    q = left[:, :rank]  # in the coordinates c = values * (right v) the program is well scaled
    c = np.zeros(rank)
    for _ in range(NEWTON_STEPS):
        p = softmax(-q @ c)
        gradient = -q.T @ p
        hessian = (q * p[:, None]).T @ q - np.outer(gradient, gradient)
        step = -np.linalg.solve(hessian, gradient)
        decrease = -float(gradient @ step)
        length = 1.0
        while logsumexp(-q @ (c + length * step)) > logsumexp(-q @ c) - 0.25 * length * decrease:
            length *= 0.5
            if length < 1e-3:
                break
        # below 1e-14 the function no longer resolves the decrease, but full steps still converge
        c = c + (step if decrease < 1e-14 else length * step)
        if decrease < 1e-30:
            return softmax(-q @ c), right[:rank].T @ (c / values[:rank])
    raise SvmconvError(
        "the maximum-entropy dual did not settle: a support vector's dual is too near zero; treat "
        "the problem as degenerate"
    )


def _can_be_positive(
    z: Float64[np.ndarray, "t p"],
    v_hat: Float64[np.ndarray, " p"],
    alpha: Float64[np.ndarray, " t"],
) -> np.ndarray:
    """Which tight rows have a positive dual in some solution of z^T a = v_hat, a >= 0.

    One linear program, homogeneous in (a, lambda), finds them all: maximise sum t with t <= a,
    t <= 1, z^T a = lambda v_hat.
    """
    if _rank(np.linalg.svd(z, compute_uv=False)) == len(z):
        return alpha > 0  # independent rows: the dual is unique
    count = len(z)
    found = linprog(
        c=np.r_[np.zeros(count), -np.ones(count), 0.0],
        A_ub=np.hstack([-np.eye(count), np.eye(count), np.zeros((count, 1))]),
        b_ub=np.zeros(count),
        A_eq=np.hstack([z.T, np.zeros((z.shape[1], count)), -v_hat[:, None]]),
        b_eq=np.zeros(z.shape[1]),
        bounds=[(0, None)] * count + [(0, 1)] * count + [(1, None)],
    )
    if found.status != 0:
        raise SvmconvError(f"the dual variables could not be classified ({found.message})")
    return found.x[count : 2 * count] > 0.5


def _outside(
    rows: SignedRows, basis: Float64[np.ndarray, "rank size"], init: Any, shape: tuple[int, ...]
) -> Float64[np.ndarray, "*w"] | None:
    """The initial weights outside span(S) if S spans every row, else None."""
    x = rows.problem.rows(rows.bias, rows.bias_scale) / rows.problem.scale
    full = _rank(np.linalg.svd(x, compute_uv=False)) * max(1, rows.rivals - 1)
    if len(basis) < full:
        return None
    start = np.zeros(int(np.prod(shape))) if init is None else np.asarray(init, float).ravel()
    return (start - (start @ basis.T) @ basis).reshape(shape)


def _rank(values: Float64[np.ndarray, " r"], of: float | None = None) -> int:
    """How many singular values stand out of the rounding of a matrix of norm `of`."""
    largest = float(values.max(initial=0.0)) if of is None else of
    return int((values > 1e-10 * largest).sum())
