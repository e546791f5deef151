"""Training written out in plain numpy, and its limit (theory.md A), to hold the package against."""

import numpy as np
from scipy.special import expit, logsumexp, softmax

import svmconv as sc
from tests.tolerances import PATH


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


def log_loss_and_slope(problem, w, loss="logistic"):
    """ln of the mean loss and its gradient, a mean of (pair) rows with weights of any size."""
    if problem.binary:
        z = problem.signs[:, None] * problem.x
    else:
        e = np.eye(problem.n_classes)
        z = np.einsum("nkc,nd->nkcd", e[problem.index][:, None] - e, problem.x)
        z = z[~problem.own].reshape(problem.n, problem.n_classes - 1, -1)
    margins = (z @ w.ravel()).reshape(problem.n, -1)
    hardest = -logsumexp(-margins, axis=1)
    log_losses, _ = log_weights(np.eye(problem.n), hardest)
    log_slopes = -margins - np.logaddexp(0.0, -hardest)[:, None]
    if loss == "exponential":
        log_losses, log_slopes = -hardest, -margins
    total = logsumexp(log_losses)
    slope = -np.exp(log_slopes - total).ravel() @ z.reshape(-1, w.size)
    return total - np.log(problem.n), slope.reshape(w.shape)


def check_path(problem, method, update, steps=300, loss="logistic", start=None):
    """Every recording beside w <- update(t, w, ln L, grad ln L), t = 0, 1, ...; the run."""
    run = sc.descend(problem, method, steps, loss=loss, init=start)
    w = run.w.values[0]
    weights = [w]
    for t in range(steps):
        w = update(t, w, *log_loss_and_slope(problem, w, loss))
        weights.append(w)
    worst = np.abs(run.w.values - np.array(weights)[run.step.values]).max()
    assert worst <= PATH * np.abs(weights[-1]).max()
    elapsed = [method.elapsed(step) for step in run.step.values.tolist()]
    np.testing.assert_array_equal(run.log1p_t, np.log1p(elapsed))
    return run
