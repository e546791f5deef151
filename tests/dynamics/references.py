"""Training written out in plain numpy, and its limit (theory.md A), to hold the package against."""

import numpy as np
from scipy.special import expit, softmax

import svmconv as sc


def small(**arguments):
    """40 rows in R^4 with known SVM, kappa = 1/2; the support vectors span."""
    return sc.data.planted(**{"n": 40, "d": 4, "n_support": 4, "spanning": True} | arguments)


def small_three_classes():
    return sc.data.planted(n=60, d=4, n_support=9, classes=3, spanning=True)


def gradient(problem, x, w, loss="logistic"):
    """grad of the mean loss at w for rows x (problem.x, or with a bias column)."""
    if not problem.binary:
        return (softmax(x @ w.T, axis=1) - problem.own).T @ x / problem.n
    z = problem.signs[:, None] * x
    weights = expit(-z @ w) if loss == "logistic" else np.exp(-z @ w)
    return -weights @ z / problem.n


def log_weights(z, w):
    """ln of each row's logistic loss and of its derivative's size, for margins of any size."""
    m = z @ w
    with np.errstate(over="ignore"):
        # ln ln(1 + e^-m) = -m - e^-m / 2 + O(e^-2m)
        log_losses = np.where(
            m > 30, -m - np.exp(-m) / 2, np.log(np.log1p(np.exp(-np.minimum(m, 30))))
        )
    return log_losses, -np.logaddexp(0.0, m)


def support_pairs(problem, x, alpha):
    """Pair rows (s, flat weights) with positive dual, and those duals."""
    if problem.binary:
        return (problem.signs[:, None] * x)[alpha > 0], alpha[alpha > 0]
    row, rival = np.nonzero(alpha)
    e = np.eye(problem.n_classes)
    z = np.einsum("sk,sd->skd", e[problem.index[row]] - e[rival], x[row])
    return z.reshape(len(row), -1), alpha[row, rival]


def residual(problem, w, log_t, w_hat, alpha, bias="none", c=1.0):
    """P_S (w - w_hat ln t) - w_tilde, where exp(-z.w_tilde) = N alpha on S; flat."""
    z, alpha = support_pairs(problem, problem.rows(bias, c), alpha)
    w_tilde = np.linalg.lstsq(z, -np.log(problem.n * alpha), rcond=1e-10)[0]
    _, values, right = np.linalg.svd(z, full_matrices=False)
    span = right[values > 1e-10 * values[0]]
    return span.T @ (span @ (w - log_t * w_hat).ravel()) - w_tilde


def check_same_run(one, other):
    """Bit for bit, with all labels."""
    assert one.identical(other)
    for name, variable in one.variables.items():
        assert variable.values.tobytes() == other[name].values.tobytes()
