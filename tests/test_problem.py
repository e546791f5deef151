"""Problem: what it accepts, what it refuses and in which words, and what its id depends on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import svmconv as sc
from svmconv.problem import check_problem

X = np.array([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]])
Y = [0, 1, 1]

UNUSABLE_X = {
    "NaN": (np.where(X == 3.0, np.nan, X), "x has 1 NaN or infinite .* row 1, feature 0: drop"),
    "infinite": (np.where(X > 4.0, -np.inf, X), "x has 2 NaN or infinite .* row 2, feature 0"),
    "beyond float64": (np.longdouble(X) * np.longdouble("1e4000"), "x has 6 NaN or infinite"),
    "no rows": (np.zeros((0, 2)), "x is empty .* at least one row and one feature"),
    "no features": (np.zeros((3, 0)), "x is empty .* at least one row and one feature"),
    "empty list": ([], "x must be two-dimensional"),
    "a number": (3.0, "x must be two-dimensional"),
    "None": (None, "x must hold real numbers"),
    "one dimension": (np.zeros(3), r"shape \(3,\); use x.reshape\(len\(x\), -1\)"),
    "three dimensions": (np.zeros((3, 2, 2)), r"shape \(3, 2, 2\); use x.reshape\(len\(x\), -1\)"),
    "ragged": ([[1, 2], [3], [4, 5]], "x is not a rectangular array"),
    "too large": (X * 1e300, r"largest entry of x is .*rescale x"),
    "too small": (X * 1e-310, r"largest entry of x is .*rescale x"),
    "complex": (X + 1j, "x must hold real numbers, got an array of dtype complex128"),
    "strings": ([["a", "b"]] * 3, "x must hold real numbers"),
    "objects": (np.array([[1, None], [2, 3], [4, 5]], object), "x must hold real numbers"),
    "dates": (np.zeros((3, 2), "M8[D]"), "x must hold real numbers"),
}
UNUSABLE_Y = {
    "shorter": ([0, 1], "x has 3 rows but y has 2 labels"),
    "empty": ([], "x has 3 rows but y has 0 labels"),
    "one class": ([1, 1, 1], "every label is 1: give rows of at least two classes"),
    "one string": (["cat"] * 3, "every label is 'cat': give"),
    "fractional": ([0.5, 1.0, 1.0], "fractional values: give class labels"),
    "NaN": ([np.nan, 0.0, 1.0], "y has NaN or infinite labels"),
    "infinite": ([np.inf, 0.0, 1.0], "y has NaN or infinite labels"),
    "beyond integers": ([1e300, -1e300, 0.0], "y has labels too large"),
    "two dimensions": ([[0], [1], [1]], r"one label per row, got shape \(3, 1\); use y.ravel"),
    "a number": (1, "one label per row"),
    "ragged": ([0, [1], 1], "y is not a flat list of labels"),
    "None": ([None, 0, 1], "y must hold integers or strings"),
    "complex": ([1j, 0, 1], "y must hold integers or strings"),
}


@pytest.mark.parametrize(("x", "message"), UNUSABLE_X.values(), ids=UNUSABLE_X)
def test_unusable_features(x, message):
    with pytest.raises(sc.DataError, match=message) as caught:
        sc.Problem(x, Y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("y", "message"), UNUSABLE_Y.values(), ids=UNUSABLE_Y)
def test_unusable_labels(y, message):
    with pytest.raises(sc.DataError, match=message) as caught:
        sc.Problem(X, y)
    assert "\n" not in str(caught.value)


def test_data_error_is_a_value_error_and_an_svmconv_error():
    assert issubclass(sc.DataError, ValueError)
    assert issubclass(sc.DataError, sc.SvmconvError)


@pytest.mark.parametrize(
    "x",
    [
        X.tolist(),
        X.astype(int),
        X.astype(np.float32),
        X.astype(np.float16),
        X.astype(np.longdouble),
        X.astype(">f8"),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
    ],
    ids=["list", "int", "float32", "float16", "longdouble", "big-endian", "Fortran", "strided"],
)
def test_any_real_array_becomes_the_same_problem(x):
    problem = sc.Problem(x, Y)
    assert problem.x.dtype == np.float64
    assert problem.x.flags.c_contiguous
    np.testing.assert_array_equal(problem.x, X)
    assert problem.id == sc.Problem(X, Y).id


def test_bool_features_are_numbers():
    np.testing.assert_array_equal(sc.Problem(X > 2, Y).x, (X > 2).astype(float))


@pytest.mark.parametrize(
    ("y", "classes", "signs"),
    [
        ([1, -1, -1], [-1, 1], [1, -1, -1]),
        ([7, 3, 7], [3, 7], [1, -1, 1]),
        (np.array([7, 3, 7], np.uint8), [3, 7], [1, -1, 1]),
        ([7.0, 3.0, 7.0], [3, 7], [1, -1, 1]),
        ([True, False, True], [False, True], [1, -1, 1]),
        (["b", "a", "b"], ["a", "b"], [1, -1, 1]),
        (np.array(["b", "a", "b"], object), ["a", "b"], [1, -1, 1]),
    ],
    ids=["signs", "int", "uint8", "float", "bool", "string", "object string"],
)
def test_labels_are_sorted_and_the_second_class_is_positive(y, classes, signs):
    problem = sc.Problem(X, y)
    assert problem.classes.tolist() == classes
    np.testing.assert_array_equal(problem.signs, signs)
    np.testing.assert_array_equal(problem.classes[problem.index], np.asarray(y))


def test_three_classes():
    problem = sc.Problem(X, ["c", "a", "b"])
    assert (problem.n, problem.d, problem.n_classes, problem.binary) == (3, 2, 3, False)
    np.testing.assert_array_equal(problem.own, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    with pytest.raises(sc.DataError, match="signs need two classes, this problem has 3"):
        _ = problem.signs


def test_repr_counts_the_classes():
    text = repr(sc.Problem(X, ["dog", "cat", "dog"], name="pets"))
    assert text == "Problem('pets', n=3, d=2, rows per class {cat: 1, dog: 2})"


def test_immutable():
    x, y = X.copy(), np.array(Y)
    problem = sc.Problem(x, y)
    before = problem.id
    x[:], y[:] = 0.0, 9
    np.testing.assert_array_equal(problem.x, X)
    np.testing.assert_array_equal(problem.y, Y)
    assert sc.Problem(problem.x, problem.y).id == before
    for array in (problem.x, problem.y, problem.classes, problem.index):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[-1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.x = X  # pyright: ignore[reportAttributeAccessIssue]


def test_id_is_sixteen_hex_digits_of_the_content():
    problem = sc.Problem(X, Y)
    assert len(problem.id) == 16
    assert int(problem.id, 16) >= 0
    assert sc.Problem(X, Y, name="other").id == problem.id
    assert sc.Problem(X, np.array(Y, float)).id == problem.id
    assert sc.Problem(X * [1.0, -1.0] * [1.0, -1.0], Y).id == problem.id


def test_id_reads_minus_zero_as_zero():
    assert sc.Problem(np.where(X == 3.0, -0.0, X), Y).id == sc.Problem(np.where(X == 3, 0, X), Y).id


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.nextafter(X, np.inf), Y),
        (X[::-1], Y[::-1]),
        (X[:, ::-1], Y),
        (X, [1, 0, 1]),
        (X, [0, 2, 2]),
        (X, ["0", "1", "1"]),
        (X[:2], Y[:2]),
        (X.reshape(2, 3), [0, 1]),
    ],
    ids=["one ulp", "row order", "feature order", "labels", "classes", "kind", "fewer", "shape"],
)
def test_id_tells_other_problems_apart(x, y):
    assert sc.Problem(x, y).id != sc.Problem(X, Y).id


@given(
    x=arrays(
        np.float64,
        (3, 2),
        elements=st.just(0.0) | st.floats(1e-70, 1e75) | st.floats(-1e75, -1e-70),
    )
)
def test_scale_is_the_power_of_two_at_or_below_the_largest_entry(x):
    scale, largest = sc.Problem(x, Y).scale, np.abs(x).max()
    if largest == 0:
        assert scale == 1.0
    else:
        assert np.frexp(scale)[0] == 0.5  # a power of two
        assert scale <= largest
        assert largest / 2 < scale


@given(power=st.integers(-240, 240))
def test_dividing_by_scale_is_exact(power):
    problem = sc.Problem(X * 2.0**power, Y)
    np.testing.assert_array_equal(problem.x / problem.scale, X / sc.Problem(X, Y).scale)


def test_rows():
    problem = sc.Problem(X, Y)
    for bias in ("none", "free"):
        np.testing.assert_array_equal(problem.rows(bias), X)
    np.testing.assert_array_equal(
        problem.rows("augmented", 4.0), [[1, 2, 2], [3, -4, 2], [5, 6, 2]]
    )
    w, b, c = np.array([0.5, -1.0]), 3.0, 4.0  # scores and norm of (w, b / sqrt c)
    w_aug = np.append(w, b / np.sqrt(c))
    np.testing.assert_allclose(problem.rows("augmented", c) @ w_aug, X @ w + b)
    assert w_aug @ w_aug == w @ w + b**2 / c


def test_rows_refuses_unknown_options():
    problem = sc.Problem(X, Y)
    with pytest.raises(
        sc.DataError, match="unknown bias 'intercept': choose one of none, augmented, free"
    ):
        problem.rows("intercept")  # pyright: ignore[reportArgumentType]
    for scale in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(sc.DataError, match="bias_scale must be a positive number"):
            problem.rows("augmented", scale)


def test_arrays_in_place_of_a_problem():
    with pytest.raises(sc.DataError, match=r"expected a Problem, got a tuple: sc.Problem\(x, y\)"):
        check_problem((X, Y))
    check_problem(sc.Problem(X, Y))
