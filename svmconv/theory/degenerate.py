"""What w does where rows touch the margin with zero dual: a second SVM, one logarithm further on.

Soudry et al., JMLR 19 (2018), treat these data sets of measure zero in an appendix: w has a term in
ln ln t. The constants are derived here. Let S be the support vectors, j the tight rows of zero
dual, and split z_j = P_S z_j + d_j. No d_j is zero: a row in span(S) with z.w_hat = 1 is an affine
combination of S, and could be given a dual. With w = w_hat s + v, s = ln tau, and terms that die
out exponentially in s left aside,

    dv/ds = sum_S (1/N) e^{-z.v} z + sum_j eps_j z_j - w_hat,     eps_j = e^{-z_j.v} / N.

Inside span(S) v follows its forcing, v = w_tilde + M^+ P_S sum eps_j z_j + O(eps^2). Outside,
with sigma = ln s and a_j = e^{-z_j.w_tilde} / N,

    dv/dsigma = e^sigma sum_j a_j e^{-d_j.v - sum_k G_jk eps_k} d_j,     G_jk = z_j.M^+ z_k:

gradient descent of an exponential loss on the rows d_j in the time s. So all of theory.md repeats
with sigma for s. The d_j have an SVM w_2 = sum beta_j d_j (here: independent, all with beta > 0),

    eps_j = beta_j / s,    v = w_2 sigma + w_2~ + r,    d_j.w_2~ = ln(a_j / beta_j),
    dr/dsigma = -M_2 r - e^-sigma sum_j beta_j (G beta)_j d_j + O(e^-2sigma),  M_2 = sum beta d d^T.

The forcing is resonant along w_2, where M_2 is 1: r = -(beta.G beta / |w_2|^2) w_2 ln s / s. What
is left is C / s with a constant C of integration, which depends on the path (and C' s^-mu for any
other eigenvalue mu of M_2). One row: z_j.v = ln s + ln(|d|^2 / N) - (G / |d|^2) ln s / s + O(1/s).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from svmconv.errors import DataError
from svmconv.svm.rows import SignedRows
from svmconv.theory.comparison import Comparison


@dataclass(frozen=True, eq=False)
class Degenerate:
    """The constants of the second logarithm, from the SVM alone; vectors are flattened weights."""

    rows: Float64[np.ndarray, "j size"]
    """The (pair) rows that touch the margin with zero dual."""
    beta: Float64[np.ndarray, " j"]
    """Their dual estimates tau exp(-z.w) / N tend to beta / ln tau."""
    outside: Float64[np.ndarray, "size j"]
    """Orthonormal basis of their parts outside span(S), eigenvectors of M_2."""
    rates: Float64[np.ndarray, " j"]
    """The eigenvalues of M_2: 1 along w_2, and others."""
    growth: Float64[np.ndarray, " size"]
    """w_2: what is gained outside span(S) per unit of ln ln tau."""
    limit: Float64[np.ndarray, " size"]
    """w_tilde + w_2~: what w - w_hat ln tau - w_2 ln ln tau tends to."""
    inside: Float64[np.ndarray, " size"]
    """Coefficient of 1 / ln tau inside span(S)."""
    forcing: Float64[np.ndarray, " j"]
    """What drives r outside span(S), per eigenvector of M_2."""

    @property
    def kappa(self) -> float:
        """The remainder falls like (ln tau)^-kappa."""
        return min(1.0, float(self.rates.min()))

    def forecast(self, s: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, "t size"]:
        """w - w_hat ln tau at every s = ln tau > 1."""
        sigma, over = np.log(s), 1.0 / s
        # -int_0^sigma exp(-mu (sigma - x)) exp(-x) dx: at mu = 1, -sigma / s
        x = np.where(np.abs(self.rates - 1.0) > 1e-9, self.rates - 1.0, 1e-9)
        response = over[:, None] * np.expm1(-x * sigma[:, None]) / x
        return (
            self.limit
            + np.outer(sigma, self.growth)
            + np.outer(over, self.inside)
            + (response * self.forcing) @ self.outside.T
        )


def degenerate(c: Comparison, tight: Int[np.ndarray, " j"] | None = None) -> Degenerate:
    """The constants, from the SVM and the first-order constants of a comparison.

    `tight` are flat indices of the (pair) rows to take for tight ones of zero dual: by default
    those that are. DataError unless their parts outside span(S) are independent, all have a
    positive beta, and S and they together span the rows.
    """
    k, rows = c.constants, SignedRows(c.problem, c.setting.bias, c.setting.bias_scale)
    if tight is None:
        v_hat = (c.svm.w_aug * c.problem.scale).ravel()
        margins = rows.margins(v_hat, np.zeros(0))
        tight = np.flatnonzero(rows.tight(margins, v_hat).ravel() & ~c.supporting.ravel())
    z = c.problem.scale * rows.take(tight)[0]
    z_in = z @ k.span @ k.span.T
    d = z - z_in
    full = np.linalg.matrix_rank(c.problem.rows(c.setting.bias, c.setting.bias_scale))
    rank = np.linalg.matrix_rank(d) if len(d) else 0
    if not len(d) or rank < len(d) or k.span.shape[1] + rank < full * max(1, rows.rivals - 1):
        raise DataError("the rows of zero dual must be independent, and with S span all rows")
    beta = np.linalg.solve(d @ d.T, np.ones(len(d)))
    if beta.min() <= 0:
        raise DataError("a row of zero dual does not support the second SVM")
    s_rows, alpha = c.support_rows, k.alpha[k.alpha > 0]
    coupling = k.span @ np.linalg.pinv(k.span.T @ (s_rows.T * alpha) @ s_rows @ k.span) @ k.span.T
    shares = np.exp(-z @ k.w_tilde.ravel()) / k.n
    rates, across = np.linalg.eigh((d * beta[:, None]).T @ d)
    rates, across = rates[-len(d) :], across[:, -len(d) :]
    drive = beta * (z_in @ coupling @ z_in.T @ beta)
    second = np.linalg.lstsq(d, np.log(shares / beta), rcond=None)[0]
    return Degenerate(
        rows=z,
        beta=beta,
        outside=across,
        rates=rates,
        growth=beta @ d,
        limit=k.w_tilde.ravel() + second,
        inside=beta @ z_in @ coupling,
        forcing=drive @ d @ across,
    )
