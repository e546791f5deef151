"""Problems built around a hard-margin SVM that is known exactly, w and dual variables both.

Any alpha > 0 with sum_n alpha_n z_n = w_hat and z_n.w_hat = 1 on its rows, z_n.w_hat >= 1 on all
others, satisfies the KKT conditions, so w_hat is the SVM. The rows are built to meet them
(derived; each function has its construction).

The planted alpha is also the MAXIMUM-ENTROPY dual, the one that training finds where the support
vectors are dependent and a solver's alpha is arbitrary: -ln alpha is made affine in the support
rows by giving them coordinates proportional to it (`_coordinates`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from svmconv.data.arguments import check_positive, telling_name
from svmconv.errors import DataError
from svmconv.problem import Problem, Truth, check_counts


def planted(
    n: int = 1000,
    d: int = 20,
    n_support: int = 12,
    theta: float = 1.5,
    margin: float = 1.0,
    lambda_min: float = 0.8,
    spanning: bool = False,
    classes: int = 2,
    seed: int = 0,
) -> Problem:
    """n rows in R^d whose exact SVM through the origin is `problem.truth`.

    Two classes are labelled -1 and +1, K classes 0..K-1. `n_support` rows are support vectors,
    their dual variables positive and unequal; the other rows have functional margins from exactly
    `theta` > 1 up to 3 theta. `margin` = 1/|w_hat|. `lambda_min` is the smallest eigenvalue of
    M = sum alpha z z^T on the span of the support vectors (K >= 3 classes: or about 1/K if that is
    smaller, an eigenvalue which every such problem has). With `spanning` the support vectors span
    R^d, else a proper subspace. Raises DataError on arguments that exclude one another.
    """
    check_counts(1, n=n, d=d)
    check_counts(2, classes=classes)
    check_counts(0, seed=seed)
    check_positive(margin=margin, lambda_min=lambda_min, theta=theta)
    if theta <= 1:
        raise DataError(f"theta must exceed 1, the margin of the support vectors, got {theta!r}")
    groups, corners = (1, 1) if classes == 2 else (classes, classes - 1)
    check_counts(groups, n_support=n_support)
    if n < max(n_support, classes):
        raise DataError(
            f"n={n} rows cannot hold n_support={n_support} support vectors and {classes} classes: "
            "raise n"
        )
    rank = _free_rank(d, n_support, spanning, groups, corners)
    name = telling_name(planted, locals())
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((d, d)))[0].T
    if classes == 2:
        return _two_classes(n, n_support, rank, axes, theta, margin, lambda_min, rng, name)
    return _many_classes(n, n_support, rank, axes, theta, margin, lambda_min, classes, rng, name)


def _two_classes(
    n: int,
    n_support: int,
    rank: int,
    axes: Float64[np.ndarray, "d d"],
    theta: float,
    margin: float,
    lambda_min: float,
    rng: np.random.Generator,
    name: str,
) -> Problem:
    """Signed rows z = margin m u + v, v orthogonal to u, m = 1 on S and >= theta elsewhere.

    sum_S alpha = 1/margin^2 and sum_S alpha v = 0 give sum alpha z = u/margin = w_hat.
    """
    p = _unequal_weights(n_support, rng)
    alpha = p / margin**2
    surprise = -np.log(p) + p @ np.log(p)
    v = np.zeros((n, len(axes) - 1))
    v[:n_support, :rank] = np.sqrt(lambda_min / alpha)[:, None] * _coordinates(
        np.sqrt(p)[:, None], (np.sqrt(p) * surprise)[:, None], rank, rng
    )
    v[n_support:] = margin * rng.standard_normal((n - n_support, len(axes) - 1))
    m = np.ones(n)
    m[n_support:] = _far_margins(n - n_support, theta, rng)
    signs = 2.0 * rng.permutation(np.arange(n) % 2) - 1.0
    z = margin * m[:, None] * axes[0] + v @ axes[1:]
    order = rng.permutation(n)
    truth = Truth(axes[0] / margin, np.concatenate([alpha, np.zeros(n - n_support)])[order])
    return Problem((signs[:, None] * z)[order], signs[order].astype(int), name, truth)


def _many_classes(
    n: int,
    n_support: int,
    rank: int,
    axes: Float64[np.ndarray, "d d"],
    theta: float,
    margin: float,
    lambda_min: float,
    classes: int,
    rng: np.random.Generator,
    name: str,
) -> Problem:
    """W = G B^T, G the K corners of a simplex; rows x = B G^T t/g^2 + v, v orthogonal to B.

    G^T G = g^2 I with |G|_F = 1/margin, so W x = t - mean(t): scores t_y = 0, t_k = -m_k plant
    the pair margins m, all 1 on S. Rows of S have weights pi_n, of sum 1 within each class, and
    alpha_nk = g^2 pi_n c_k with sum c = 1; if sum_{n in y} pi_n v_n = 0 for each class y, then
    sum alpha_nk (e_y - e_k) (x) x_n = W. Among the c the entropy of alpha is largest at
    c_k ~ exp(-H_k/(K-1)), H_k the entropy of pi within class k.
    """
    corners = classes - 1
    g = 1.0 / (margin * np.sqrt(corners))
    simplex = np.linalg.svd(np.eye(classes) - 1.0 / classes)[0][:, :corners]
    labels = np.concatenate([np.arange(n_support) % classes, np.arange(n - n_support) % classes])
    own = labels[:, None] == np.arange(classes)

    support_own = own[:n_support]
    pi = _unequal_weights(n_support, rng)
    pi = pi / (support_own @ (pi @ support_own))
    entropy = -(pi * np.log(pi)) @ support_own
    c = np.exp(-entropy / corners)
    alpha = np.zeros((n, classes))
    alpha[:n_support] = np.where(support_own, 0.0, g**2 * pi[:, None] * c / c.sum())

    root = np.sqrt(pi)[:, None]
    surprise = -np.log(pi) - support_own @ entropy
    entropy_axes = root * surprise[:, None] * (support_own @ simplex)
    v = np.zeros((n, axes.shape[1] - corners))
    v_support = _coordinates(root * support_own, entropy_axes, rank, rng) / root
    smallest = _smallest_eigenvalue(alpha[:n_support], support_own, simplex, v_support)
    v[:n_support, :rank] = v_support * np.sqrt(lambda_min / smallest)
    v[n_support:] = margin * rng.standard_normal((n - n_support, v.shape[1]))

    pair_margins = np.ones((n, corners))
    pair_margins[n_support:] = _far_margins((n - n_support) * corners, theta, rng).reshape(
        -1, corners
    )
    scores = np.zeros((n, classes))
    scores[~own] = -pair_margins.ravel()
    x = scores @ (simplex / g) @ axes[:corners] + v @ axes[corners:]
    order = rng.permutation(n)
    return Problem(x[order], labels[order], name, Truth(g * simplex @ axes[:corners], alpha[order]))


def _free_rank(d: int, n_support: int, spanning: bool, groups: int, corners: int) -> int:
    """Dimensions of the support vectors beyond those of w_hat.

    At most n_support - groups (one centring condition per group of weights) and d - corners; one
    less than that when they must not span. The entropy axes need min(corners, ...) of them.
    """
    possible = n_support - groups
    wanted = d - corners if spanning else min(possible, max(d - corners - 1, 0))
    if wanted > possible or d < corners:
        raise DataError(
            f"n_support={n_support} support vectors cannot span d={d} dimensions: "
            f"give n_support >= {d - corners + groups} or spanning=False"
            if d >= corners
            else f"{corners + 1} classes need d >= {corners}, got d={d}"
        )
    needed = min(corners, possible)
    if wanted < needed:
        raise DataError(
            f"n_support={n_support} support vectors with unequal dual variables do not fit into "
            f"d={d} dimensions: give d >= {corners + needed + (not spanning)}"
            + ("" if spanning else " or spanning=True")
        )
    return wanted


def _unequal_weights(size: int, rng: np.random.Generator) -> Float64[np.ndarray, " s"]:
    """Positive weights of sum 1 and ratio 4: equal ones would hide the first-order margin gap."""
    weights = rng.permutation(np.linspace(1.0, 4.0, size))
    return weights / weights.sum()


def _far_margins(size: int, theta: float, rng: np.random.Generator) -> Float64[np.ndarray, " m"]:
    """Margins uniform in [theta, 3 theta), the first exactly theta."""
    far = theta * (1.0 + 2.0 * rng.random(size))
    far[:1] = theta
    return far


def _coordinates(
    centred: Float64[np.ndarray, "s g"],
    entropy: Float64[np.ndarray, "s e"],
    rank: int,
    rng: np.random.Generator,
) -> Float64[np.ndarray, "s r"]:
    """`rank` orthogonal columns, orthogonal to `centred`, that contain `entropy` in their span.

    Their squared lengths run from 1 to 2, so that no two eigenvalues of M coincide.
    """
    size, groups = centred.shape
    filler = rng.standard_normal((size, max(rank - entropy.shape[1], 0)))
    basis = np.linalg.qr(np.column_stack([centred, entropy, filler]), mode="complete")[0]
    return basis[:, groups : groups + rank] * np.sqrt(np.linspace(1.0, 2.0, rank))


def _smallest_eigenvalue(
    alpha: Float64[np.ndarray, "s k"],
    own: Bool[np.ndarray, "s k"],
    simplex: Float64[np.ndarray, "k j"],
    v: Float64[np.ndarray, "s r"],
) -> float:
    """Smallest eigenvalue of sum alpha_nk (e_y - e_k)(e_y - e_k)^T (x) v_n v_n^T; 1 if r = 0."""
    if v.shape[1] == 0:
        return 1.0
    rows, rivals = np.nonzero(alpha)
    pairs = own[rows] @ simplex - simplex[rivals]
    planes = np.sqrt(alpha[rows, rivals])[:, None] * np.einsum(
        "pj,pr->pjr", pairs, v[rows]
    ).reshape(len(rows), -1)
    return float(np.linalg.eigvalsh(planes.T @ planes)[0])
