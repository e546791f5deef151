"""Non-separable input ends in a combination of rows that anyone can check, quickly."""

import contextlib
from fractions import Fraction

import numpy as np
import pytest

import svmconv as sc
from svmconv.problem import Bias
from svmconv.svm.certificate import check_infeasible
from svmconv.svm.polish import Infeasible, polish
from svmconv.svm.separability import sharpen

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
@pytest.mark.parametrize("far", [1e12, 1e14, 1e16, 1e30])
def test_one_row_far_out_does_not_make_the_others_conflict(far, bias):
    """The first feature separates all rows by 1 or more; the far row is on its right side."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 3))
    y = (x[:, 0] > 0).astype(int)
    x[:, 0] += np.where(y == 1, 1.0, -1.0)
    x[np.argmax(x[:, 0]), 0] = far
    if bias == "free" and far > 1e12:  # where float64 ends: undecided, but never "not separable"
        with pytest.raises(sc.CertificateError):
            sc.max_margin(sc.Problem(x, y), bias=bias)
    else:
        assert sc.max_margin(sc.Problem(x, y), bias=bias).margin >= 1.0


@pytest.mark.parametrize(
    ("x", "y", "bias"),
    [
        ([[0], [1], [1e13]], [0, 1, 1], "free"),
        ([[0], [1], [1e13]], [0, 1, 1], "augmented"),
        ([[0, 0], [1, 0], [1e13, -1e13], [-1e13, 1e13 / 3]], [0, 1, 1, 0], "free"),
        ([[0, 0], [1, 0], [0, 1], [1e13, -1e13], [-1e13, 0]], [0, 1, 2, 1, 2], "free"),
        ([[0], [1e-13], [1.0]], [0, 1, 1], "free"),
        ([[1e75, 1e-300], [1e75, 2e-300], [-1e75, 1e-300]], [0, 1, 0], "free"),
        ([[1e75, 1e-300], [1e75, -2e-300], [-1e75, 1e-300]], [0, 1, 1], "none"),
        ([[1, 1], [-1e-165, -1e-165]], [1, 0], "none"),
        ([[1, 1], [-5e-324, -5e-324]], [1, 0], "none"),
        ([[10**13, 10**13 + 1], [10**13, 10**13 - 1], [0, 10**13]], [1, 0, 1], "none"),
        ([[10**15, 10**15 + 1], [10**15, 10**15 - 1], [0, 10**15]], [1, 0, 1], "none"),
    ],
)
def test_what_is_exactly_separable_is_solved_or_left_undecided(x, y, bias):
    # NotSeparableError, which would be false, is no CertificateError
    with contextlib.suppress(sc.CertificateError):
        assert sc.max_margin(sc.Problem(x, y), bias=bias).certificate.lower > 0


def test_integers_prove_what_floats_only_suggest():
    """Rows z with 3 z_0 + 5 z_1 + 7 z_2 = 0, and the same with one entry moved by an ulp."""
    z = np.array([[7.0, 1.0], [0.0, 4.0], [-3.0, -23.0 / 7.0]])
    z[2, 1] = -(3.0 * 1.0 + 5.0 * 4.0) / 7.0
    weights, none = np.array([3.0, 5.0, 7.0]) / 15.0, np.zeros((3, 0))
    sharp = sharpen(z, none, weights)
    assert sharp is not None
    # three rows in the plane are always dependent; by elimination, relative to the weight of row 2:
    second = (-Fraction(z[2, 1]) + Fraction(z[2, 0]) / Fraction(z[0, 0]) * Fraction(z[0, 1])) / 4
    exact = [-Fraction(z[2, 0]) / Fraction(z[0, 0]), second, Fraction(1)]
    np.testing.assert_allclose(sharp, [float(v / sum(exact)) for v in exact], rtol=4e-16)
    # dependent columns: only exact zeros leave a null vector
    line = np.array([[1.0, 3.0], [-1.0, -3.0]])
    np.testing.assert_array_equal(sharpen(line, none[:2], np.ones(2)), [0.5, 0.5])
    line[1, 1] = np.nextafter(-3.0, 0.0)
    assert sharpen(line, none[:2], np.ones(2)) is None


@pytest.mark.parametrize("d", [8, 60])
def test_the_null_vector_is_found_exactly_or_to_rounding(d):
    rng = np.random.default_rng(d)
    weights = rng.random(d + 1) + 0.1
    z = rng.standard_normal((d + 1, d))
    z[-1] = -(weights[:-1] @ z[:-1]) / weights[-1]
    scales = 10.0 ** rng.integers(-9, 10, (d + 1, 1))
    sharp = sharpen(z * scales, np.zeros((d + 1, 0)), weights / scales[:, 0])
    assert sharp is not None
    expected = weights / scales[:, 0]
    np.testing.assert_allclose(sharp, expected / expected.sum(), rtol=1e-11)


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
