"""Non-separable input ends in a combination of rows that anyone can check, quickly."""

from fractions import Fraction

import numpy as np
import pytest

import svmconv as sc
from svmconv.problem import Bias
from svmconv.svm.certificate import check_infeasible
from svmconv.svm.polish import Infeasible, polish

BIASES: tuple[Bias, ...] = ("none", "augmented", "free")


def refused(problem, bias: Bias = "none"):
    """The error, its proof checked here and by the package."""
    with pytest.raises(sc.NotSeparableError) as caught:
        sc.max_margin(problem, bias=bias)
    error = caught.value
    assert (error.weights > 0).all()
    assert error.weights.sum() == pytest.approx(1.0, abs=1e-12)
    found = check_infeasible(problem, error.rows, error.weights, error.rivals, bias=bias)
    assert found == error.residual
    # a combination of rows of relative size 1: rounding of a few hundred terms
    assert found <= 1e-13
    assert "\n" not in str(error)
    return error


@pytest.mark.parametrize("bias", BIASES)
def test_one_flipped_label_in_ten_thousand(bias):
    clean = sc.data.half_spaces(n=10_000, d=20, margin=0.3, seed=2)
    labels = clean.y.copy()
    labels[77] = -labels[77]
    error = refused(sc.Problem(clean.x, labels), bias)
    assert 77 in error.rows
    assert len(error.rows) <= 22
    assert "77" in str(error)


@pytest.mark.parametrize("bias", BIASES)
def test_the_same_row_with_both_labels(bias):
    clean = sc.data.half_spaces(n=500, d=5, margin=0.3, seed=2)
    refused(sc.Problem(np.vstack([clean.x, clean.x[:1]]), np.append(clean.y, -clean.y[0])), bias)


def test_two_equal_rows_are_the_whole_proof():
    error = refused(sc.Problem([[1.0, 2.0], [1.0, 2.0]], [0, 1]), "free")
    np.testing.assert_array_equal(error.rows, [0, 1])
    np.testing.assert_allclose(error.weights, [0.5, 0.5], rtol=1e-14)


def test_a_zero_row_is_its_own_proof():
    error = refused(sc.Problem([[0.0, 0.0], [1.0, 2.0], [-1.0, 0.0]], [0, 1, 0]))
    np.testing.assert_array_equal(error.rows, [0])


@pytest.mark.parametrize("classes", [2, 4])
def test_separable_only_with_an_intercept_names_the_options(classes):
    rng = np.random.default_rng(0)
    centres = 10.0 * np.arange(classes)[:, None] + 100.0
    x = np.repeat(centres, 20, axis=0) + rng.uniform(-1, 1, (20 * classes, 1))
    y = np.repeat(np.arange(classes), 20)
    problem = sc.Problem(x, y)
    error = refused(problem)
    assert 'bias="augmented"' in str(error)
    assert 'bias="free"' in str(error)
    assert sc.max_margin(problem, bias="free").certificate.relative_gap <= 1e-9


def test_hopeless_rows_do_not_name_an_intercept():
    xor = sc.Problem([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]], [0, 0, 1, 1])
    error = refused(xor)
    assert "bias=" not in str(error)
    balanced = refused(xor, "free")
    np.testing.assert_allclose(balanced.weights, 0.25, rtol=1e-13)


def test_classes_name_their_rivals():
    rng = np.random.default_rng(0)
    problem = sc.Problem(rng.standard_normal((60, 2)), rng.integers(0, 3, 60))
    for bias in BIASES:
        error = refused(problem, bias)
        assert error.rivals is not None
        assert (error.rivals != problem.index[error.rows]).all()


def test_rows_of_any_size_are_refused_alike():
    xor = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    for scale in (1e-12, 1e12):
        for bias in BIASES[1:]:
            refused(sc.Problem(scale * xor, [0, 0, 1, 1]), bias)


def test_touching_hulls_are_not_separable():
    # the origin of class 1 lies on the segment of class 0: no strict separation
    refused(sc.Problem([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 5.0]], [0, 0, 1, 1]), "free")


def test_the_active_set_method_proves_it_alone():
    # rows 1, -2: the combination 2/3, 1/3 is zero, exactly
    a = np.array([[1.0], [-2.0]])
    with pytest.raises(Infeasible) as caught:
        polish(a, np.zeros((2, 0)), np.zeros(2))
    weights = [Fraction(v) for v in caught.value.weights.tolist()]
    assert weights[0] * 1 + weights[1] * -2 == 0
    assert all(v > 0 for v in weights)


def test_separable_rows_are_not_refused_by_a_hair():
    # negative control: a gap of 1e-6 between the classes is a margin, not a contradiction
    x = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1e-6], [0.0, 5.0]])
    svm = sc.max_margin(sc.Problem(x, [0, 0, 1, 1]), bias="free")
    assert svm.margin == pytest.approx(0.5e-6, rel=1e-9)


@pytest.mark.parametrize("bias", BIASES)
def test_all_rows_zero(bias):
    refused(sc.Problem(np.zeros((4, 2)), [0, 0, 1, 1]), bias)


@pytest.mark.parametrize(
    ("x", "bias"),
    [
        (np.r_[1e12 + np.arange(5.0), 1e12 + 10 + np.arange(5.0)][:, None], "free"),
        ([[1, 1e-11], [-1, 1e-11], [0.3, 2]] @ np.array([[0.8, 0.6], [-0.6, 0.8]]), "none"),
        (np.c_[np.random.default_rng(0).standard_normal((40, 2)), np.tile([-1e-12, 1e-12], 20)],
         "none"),
    ],
    ids=["offset", "thin", "one tiny feature"],
)  # fmt: skip
def test_separable_with_a_margin_beyond_float64_is_never_called_non_separable(x, bias):
    """Each is separable, exactly: by 1e12 + 7, along (0, 1) before the rotation, by feature 3."""
    y = {10: np.repeat([0, 1], 5), 3: [1, 1, 1], 40: np.tile([0, 1], 20)}[len(x)]
    if len(x) == 3:  # one class would do through the origin; a mirrored row makes two
        x, y = np.vstack([x, -x[:1]]), [1, 1, 1, 0]
    with pytest.raises(sc.CertificateError, match=r"rescale|subtract"):
        sc.max_margin(sc.Problem(x, y), bias=bias)
