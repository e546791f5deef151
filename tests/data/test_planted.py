"""The planted SVM is checked against the KKT conditions, written out here in plain numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import svmconv as sc
from svmconv.problem import Truth

ARGUMENTS = [
    {},
    {"n": 60, "d": 5, "n_support": 5, "spanning": True},
    {"n": 200, "d": 5, "n_support": 30, "spanning": True, "theta": 1.2, "seed": 3},
    {"n": 200, "d": 6, "n_support": 30, "margin": 1e-3, "theta": 4.0},
    {"n": 20, "d": 50, "n_support": 7, "margin": 1e3},
    {"n": 12, "d": 20, "n_support": 12},
    {"n": 2, "d": 1, "n_support": 1},
    {"n": 300, "d": 8, "n_support": 6, "lambda_min": 0.1, "theta": 2.0, "seed": 5},
    {"classes": 3, "n": 100, "d": 7, "n_support": 9},
    {"classes": 3, "n": 150, "d": 4, "n_support": 40, "spanning": True, "margin": 5.0},
    {"classes": 4, "n": 100, "d": 20, "n_support": 4, "theta": 3.0, "seed": 2},
    {"classes": 10, "n": 500, "d": 20, "n_support": 13},
]
EPS = 1e-13  # a few dozen roundings of numbers of order one


def pairs(problem):
    """Pair rows (p, m), their dual variables (p,) and flat w (m,): KKT reads alike for all K."""
    w, alpha = problem.truth
    if problem.binary:
        return problem.signs[:, None] * problem.x, alpha, w
    row, rival = np.nonzero(~problem.own)
    e = np.eye(problem.n_classes)
    z = np.einsum("pk,pd->pkd", e[problem.index[row]] - e[rival], problem.x[row])
    assert not alpha[problem.own].any()
    return z.reshape(len(row), -1), alpha[row, rival], w.ravel()


def check_kkt(problem):
    z, alpha, w = pairs(problem)
    support = alpha > 0
    scale = np.abs(z).max() * np.abs(w).max()
    assert (alpha >= 0).all()
    assert (z @ w).min() >= 1 - EPS * scale
    np.testing.assert_allclose(z[support] @ w, 1.0, atol=EPS * scale)  # complementary slackness
    np.testing.assert_allclose(alpha @ z, w, atol=EPS * np.abs(w).max())  # stationarity


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_truth_satisfies_kkt(arguments):
    check_kkt(sc.data.planted(**arguments))


@given(
    d=st.integers(1, 15),
    n_support=st.integers(1, 30),
    classes=st.integers(2, 6),
    spanning=st.booleans(),
    theta=st.floats(1.001, 10.0),
    margin=st.floats(1e-6, 1e6),
    seed=st.integers(0, 100),
)
def test_any_arguments_give_an_exact_svm_or_a_sentence(n_support, **arguments):
    try:
        problem = sc.data.planted(n=n_support + 40, n_support=n_support, **arguments)
    except sc.DataError as error:
        assert any(word in str(error) for word in ("give d", "need d", "n_support"))  # noqa: PT017
    else:
        check_kkt(problem)


def test_kkt_check_notices_a_wrong_dual():
    problem = sc.data.planted(n=50)
    assert problem.truth is not None
    uniform = Truth(problem.truth.w, np.where(problem.truth.alpha > 0, 1 / 12, 0.0))
    with pytest.raises(AssertionError):
        check_kkt(sc.Problem(problem.x, problem.y, truth=uniform))


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_arguments_mean_what_they_say(arguments):
    problem = sc.data.planted(**arguments)
    full = {"n": 1000, "d": 20, "n_support": 12, "theta": 1.5, "margin": 1.0} | arguments
    k = full.get("classes", 2)
    z, alpha, w = pairs(problem)
    support = alpha > 0
    assert (problem.n, problem.d, problem.n_classes) == (full["n"], full["d"], k)
    assert support.sum() == full["n_support"] * (k - 1)
    assert np.linalg.norm(w) == pytest.approx(1 / full["margin"], rel=1e-14)
    assert alpha.sum() == pytest.approx(1 / full["margin"] ** 2, rel=1e-14)
    if not support.all():
        assert (z @ w)[~support].min() == pytest.approx(full["theta"], rel=1e-13)
    rank = np.linalg.matrix_rank(z[support])
    spans = rank == (k - 1) * problem.d
    assert spans == (full.get("spanning", False) or problem.d == 1)


@pytest.mark.parametrize("lambda_min", [0.1, 0.8, 2.0])
def test_lambda_min_is_the_smallest_eigenvalue(lambda_min):
    problem = sc.data.planted(n=50, d=8, n_support=8, spanning=True, lambda_min=lambda_min)
    z, alpha, w = pairs(problem)
    values, vectors = np.linalg.eigh(z.T @ (alpha[:, None] * z))
    expected = np.sort([1.0, *np.linspace(lambda_min, 2 * lambda_min, 7)])
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    along_w = np.abs(vectors.T @ w) / np.linalg.norm(w)
    assert values[np.argmax(along_w)] == pytest.approx(1.0, rel=1e-12)


def test_lambda_min_of_three_classes_is_capped_by_the_simplex():
    def smallest(lambda_min):
        problem = sc.data.planted(classes=3, n=60, d=4, n_support=9, spanning=True,
                                  lambda_min=lambda_min)  # fmt: skip
        z, alpha, w = pairs(problem)
        hessian = z.T @ (alpha[:, None] * z)
        # W ranges over matrices whose columns sum to zero: two of three rows are free
        return np.linalg.eigvalsh(hessian)[4], hessian @ w - w

    value, along_w = smallest(0.1)
    assert value == pytest.approx(0.1, rel=1e-10)
    np.testing.assert_allclose(along_w, 0.0, atol=1e-13)
    assert smallest(0.8)[0] == pytest.approx(1 / 3, rel=0.02)  # 1/3 for equal class entropies


@pytest.mark.parametrize(
    "arguments", [a for a in ARGUMENTS if a.get("n_support", 12) > a.get("classes", 2)], ids=str
)
def test_alpha_is_unequal_and_the_maximum_entropy_dual(arguments):
    """Largest entropy among duals <=> -ln alpha is affine in the support rows (Lagrange)."""
    z, alpha, _ = pairs(sc.data.planted(**arguments))
    rows, log_alpha = z[alpha > 0], np.log(alpha[alpha > 0])
    assert np.ptp(log_alpha) > 0.5
    affine = np.column_stack([rows / np.abs(rows).max(), np.ones(len(rows))])
    fitted = affine @ np.linalg.lstsq(affine, log_alpha)[0]
    np.testing.assert_allclose(fitted, log_alpha, atol=1e-10)


def test_entropy_check_notices_another_dual():
    """Control: with dependent support vectors another dual exists and fails the check above."""
    problem = sc.data.planted(n=60, d=4, n_support=20, spanning=True)
    z, alpha, w = pairs(problem)
    rows, own = z[alpha > 0], alpha[alpha > 0]
    null = np.linalg.svd(rows.T)[2][-1]
    other = own + 0.5 * own.min() / np.abs(null).max() * null
    np.testing.assert_allclose(other @ rows, w, atol=1e-13)
    affine = np.column_stack([rows, np.ones(len(rows))])
    residual = affine @ np.linalg.lstsq(affine, np.log(other))[0] - np.log(other)
    assert np.abs(residual).max() > 1e-3


def test_seed_decides_the_rows():
    assert sc.data.planted().id == sc.data.planted(seed=0).id
    assert sc.data.planted().id != sc.data.planted(seed=1).id


def test_names_say_what_is_not_default():
    assert sc.data.planted().name == "planted(n=1000, d=20, n_support=12, seed=0)"
    name = sc.data.planted(theta=2.0, classes=3).name
    assert name == "planted(n=1000, d=20, n_support=12, theta=2.0, classes=3, seed=0)"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n": 5}, "raise n"),
        ({"d": 0}, "d must be an integer"),
        ({"n_support": 0}, "n_support"),
        ({"theta": 1.0}, "theta must exceed 1"),
        ({"margin": 0.0}, "margin must be a positive"),
        ({"lambda_min": float("nan")}, "lambda_min"),
        ({"spanning": True}, "n_support >= 20"),
        ({"d": 2}, "d >= 3 or spanning"),
        ({"classes": 1}, "classes"),
        ({"classes": 10, "d": 5}, "d >= 9"),
        ({"classes": 3, "d": 4}, "d >= 5"),
        ({"classes": 3, "n_support": 2}, "n_support"),
        ({"seed": -1}, "seed"),
    ],
    ids=str,
)
def test_impossible_arguments_end_in_one_sentence(arguments, word):
    with pytest.raises(sc.DataError, match=word):
        sc.data.planted(**arguments)


@pytest.mark.parametrize("arguments", [{"d": 2}, {"classes": 3, "d": 4}], ids=str)
def test_the_advice_of_an_error_works(arguments):
    sc.data.planted(**arguments | {"d": arguments["d"] + 1})
    sc.data.planted(**arguments | {"spanning": True})
