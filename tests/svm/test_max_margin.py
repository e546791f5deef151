"""Answers solved by hand or planted, every input a user may bring, and the KKT conditions."""

import numpy as np
import pytest

import svmconv as sc
from svmconv.geometry import norm
from svmconv.svm import programs
from tests.svm.kkt import assert_optimal, pair_margins, truth

BIASES = ("none", "augmented", "free")


@pytest.fixture(scope="module")
def half():
    return sc.data.half_spaces(n=300, d=6, margin=0.3, seed=1)


def ten_classes(n=600, d=8, seed=0):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((n, d)), rng.standard_normal((10, d))
    y = (x @ w.T).argmax(axis=1)
    return x + 0.3 * (w - w.mean(axis=0))[y], y


def test_two_points_have_the_segment_as_normal():
    # free: w = 2 delta / |delta|^2, and the hyperplane halves the segment
    problem = sc.Problem([[1.0, 2.0], [3.0, -1.0]], [0, 1])
    svm = sc.max_margin(problem, bias="free")
    np.testing.assert_allclose(svm.w, np.array([4.0, -6.0]) / 13.0, rtol=1e-13)
    assert svm.w @ [2.0, 0.5] + svm.b == pytest.approx(0.0, abs=1e-15)
    assert svm.width == pytest.approx(np.sqrt(13.0), rel=1e-14)
    np.testing.assert_allclose(svm.alpha, [2 / 13, 2 / 13], rtol=1e-14)


def test_one_feature_each_bias():
    # x = -1 | 2: none: w = 1. augmented c: min w^2 + b^2/c with -(-w + b) = 2w + b = 1. free: 2/3.
    problem = sc.Problem([[-1.0], [2.0], [5.0]], [0, 1, 1])
    none = sc.max_margin(problem)
    assert (none.w[0], none.b, none.margin) == pytest.approx((1.0, 0.0, 1.0), rel=1e-14)
    free = sc.max_margin(problem, bias="free")
    assert (free.w[0], free.b, free.margin) == pytest.approx((2 / 3, -1 / 3, 1.5), rel=1e-14)
    augmented = sc.max_margin(problem, bias="augmented", bias_scale=4.0)
    # both rows tight at w = 2/3, b = -1/3: duals solve a_1 + 2 a_2 = 2/3, a_2 - a_1 = -1/12
    assert (augmented.w[0], augmented.b) == pytest.approx((2 / 3, -1 / 3), rel=1e-14)
    np.testing.assert_allclose(augmented.alpha, [5 / 18, 7 / 36, 0], rtol=1e-13, atol=0)
    assert augmented.margin == pytest.approx(1 / np.hypot(2 / 3, 1 / 6), rel=1e-14)
    np.testing.assert_allclose(augmented.w_aug, [2 / 3, -1 / 6], rtol=1e-14)


def test_a_touching_row_with_zero_dual_is_active_but_no_support():
    problem = sc.Problem([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0], [-4.0, 0.0]], [1, 1, 0, 0])
    svm = sc.max_margin(problem)
    np.testing.assert_allclose(svm.w, [1.0, 0.0], atol=1e-15)
    assert set(svm.support) <= {0, 2}
    np.testing.assert_array_equal(svm.active, [0, 1, 2])


def test_simplex_of_classes():
    # rows e_1..e_K, K classes: w = I - 1/K by symmetry, pair margins <w_y - w_k, e_y> = 1
    k = 4
    svm = sc.max_margin(sc.Problem(np.eye(k), np.arange(k)))
    np.testing.assert_allclose(svm.w, np.eye(k) - 1 / k, atol=1e-14)
    assert svm.margin == pytest.approx(1 / np.sqrt(k - 1), rel=1e-14)
    assert svm.width == pytest.approx(np.sqrt(2.0), rel=1e-14)
    assert svm.alpha.sum() == pytest.approx(k - 1, rel=1e-13)


def test_two_classes_as_three_with_a_far_one_agree_on_width():
    # the width of the K-class form is the distance of the nearest two supporting hyperplanes
    x = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1000.0]])
    svm = sc.max_margin(sc.Problem(x, [0, 1, 2]), bias="free")
    assert svm.width == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize(("n", "d"), [(300, 6), (12, 40), (40, 1)], ids=["n > d", "n < d", "d = 1"])
def test_binary_is_optimal(bias, n, d):
    problem = sc.data.half_spaces(n=n, d=d, margin=0.3, seed=3)
    assert_optimal(problem, sc.max_margin(problem, bias=bias, bias_scale=2.5))


@pytest.mark.parametrize("bias", BIASES)
def test_ten_unequal_classes_are_optimal(bias):
    x, y = ten_classes()
    rare = np.flatnonzero(y == 3)[2:]
    problem = sc.Problem(np.delete(x, rare, axis=0), np.delete(y, rare))
    svm = sc.max_margin(problem, bias=bias)
    assert_optimal(problem, svm)
    assert svm.w.shape == (10, 8)
    np.testing.assert_allclose(svm.w.sum(axis=0), 0.0, atol=1e-12 * np.abs(svm.w).max())
    assert np.sum(svm.b) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "d", "n_support"), [(500, 20, 12), (15, 40, 9), (2000, 5, 4), (20_000, 64, 40)]
)
def test_planted_is_recovered(n, d, n_support):
    problem = sc.data.planted(n=n, d=d, n_support=n_support, seed=4)
    svm = sc.max_margin(problem)
    assert norm(svm.w - truth(problem).w) <= 1e-10 * norm(truth(problem).w)
    np.testing.assert_array_equal(svm.support, np.flatnonzero(truth(problem).alpha))
    assert svm.certificate.relative_gap <= 1e-12
    assert_optimal(problem, svm)


@pytest.mark.slow
@pytest.mark.parametrize("d", [20, 64])
def test_large_planted_is_recovered(d):
    problem = sc.data.planted(n=60_000, d=d, n_support=d // 2, theta=1.01, seed=5)
    svm = sc.max_margin(problem)
    assert norm(svm.w - truth(problem).w) <= 1e-10 * norm(truth(problem).w)
    np.testing.assert_array_equal(svm.support, np.flatnonzero(truth(problem).alpha))


def test_dependent_support_vectors_are_all_active():
    # 12 support vectors in a space of fewer dimensions: the duals are not unique, the rest is
    problem = sc.data.planted(n=300, d=6, n_support=12, seed=5)
    svm = sc.max_margin(problem)
    planted = np.flatnonzero(truth(problem).alpha)
    np.testing.assert_array_equal(svm.active, planted)
    assert np.isin(svm.support, planted).all()
    assert norm(svm.w - truth(problem).w) <= 1e-10 * norm(truth(problem).w)
    assert_optimal(problem, svm)


def test_planted_classes_are_recovered():
    problem = sc.data.planted(n=400, d=15, n_support=12, classes=4, seed=6)
    svm = sc.max_margin(problem)
    assert norm(svm.w - truth(problem).w) <= 1e-10 * norm(truth(problem).w)
    assert_optimal(problem, svm)


@pytest.mark.parametrize("bias", BIASES)
def test_constant_feature(half, bias):
    problem = sc.Problem(np.column_stack([half.x, np.full(half.n, 3.0), np.zeros(half.n)]), half.y)
    svm = sc.max_margin(problem, bias=bias)
    assert_optimal(problem, svm)
    if bias == "free":  # a constant feature cannot help where the intercept costs nothing
        assert svm.w[-2] == pytest.approx(0.0, abs=1e-12)
        np.testing.assert_allclose(svm.w[:-2], sc.max_margin(half, bias="free").w, rtol=1e-9)


@pytest.mark.parametrize("bias", BIASES)
def test_hundred_thousand_duplicated_rows(half, bias):
    few = sc.Problem(half.x[:100], half.y[:100])
    many = sc.Problem(np.tile(few.x, (1000, 1)), np.tile(few.y, 1000))
    svm = sc.max_margin(many, bias=bias)
    np.testing.assert_allclose(svm.w, sc.max_margin(few, bias=bias).w, rtol=1e-10)
    assert len(svm.active) == 1000 * len(sc.max_margin(few, bias=bias).active)
    assert_optimal(many, svm)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("bias", BIASES)
def test_rows_of_any_size(half, bias, scale):
    # min |w|^2 + b^2/c over rows s x is the same program at w / s with c / s^2
    problem = sc.Problem(scale * half.x, half.y)
    svm = sc.max_margin(problem, bias=bias, bias_scale=scale**2)
    reference = sc.max_margin(half, bias=bias)
    np.testing.assert_allclose(svm.w * scale, reference.w, rtol=1e-9, atol=1e-12)
    assert svm.certificate.relative_gap <= 1e-12
    # and with the plain c = 1, where the intercept is all but free or all but forbidden
    if bias == "augmented":
        plain = sc.max_margin(problem, bias="augmented")
        limit = sc.max_margin(half, bias="free" if scale < 1 else "none")
        np.testing.assert_allclose(plain.w * scale, limit.w, rtol=1e-9)
        assert plain.certificate.relative_gap <= 1e-12


@pytest.mark.parametrize("scale", [1e-5, 1e-7, 1e-8, 1e-9])
def test_augmented_bias_on_small_features(half, scale):
    # either side of where the augmented column is treated as free of cost
    svm = sc.max_margin(sc.Problem(scale * half.x, half.y), bias="augmented")
    assert svm.certificate.relative_gap <= 1e-12


def test_any_array_like(half):
    x, y = np.round(10 * half.x), half.y
    reference = sc.max_margin(sc.Problem(x, y), bias="free")
    for features in (x.astype(np.int64), x.astype(np.float32), x.tolist(), np.asfortranarray(x)):
        assert sc.max_margin(sc.Problem(features, y), bias="free").margin == reference.margin
    words = sc.max_margin(sc.Problem(x, np.where(y > 0, "yes", "no")), bias="free")
    np.testing.assert_array_equal(words.w, reference.w)


@pytest.mark.parametrize("margin", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize("bias", BIASES)
def test_small_margins(bias, margin):
    # |w| grows like 1 / margin and so does the rounding of Z w; 1e-10 is its worst at 1e-5
    problem = sc.data.half_spaces(n=2000, d=10, margin=margin, seed=0)
    svm = sc.max_margin(problem, bias=bias)
    assert svm.certificate.relative_gap <= 1e-10
    assert pair_margins(problem, svm.w, svm.b).min() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("bias", BIASES)
def test_highly_degenerate_lattice(bias):
    # the corners of a cube split by one coordinate: w = 1 along it, every row tight
    corners = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1).T
    svm = sc.max_margin(sc.Problem(corners, corners[:, 0]), bias=bias)
    np.testing.assert_allclose(svm.w, np.eye(8)[0], atol=1e-14)
    assert len(svm.active) == 256


def test_a_common_shift_does_not_move_the_classical_svm(half):
    moved = sc.max_margin(sc.Problem(half.x + 50.0, half.y), bias="free")
    # features of size 50 carry an error of 50 eps into a margin of .3
    np.testing.assert_allclose(moved.w, sc.max_margin(half, bias="free").w, rtol=1e-10)


def test_bias_scale_runs_from_none_to_free(half):
    scales = [1e-12, 1e-2, 1.0, 1e2, 1e12]
    margins = [sc.max_margin(half, bias="augmented", bias_scale=c).margin for c in scales]
    assert margins == sorted(margins)
    assert margins[0] == pytest.approx(sc.max_margin(half).margin, rel=1e-9)
    assert margins[-1] == pytest.approx(sc.max_margin(half, bias="free").margin, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"geometry": "l1", "bias": "augmented"}, "no meaning"),
        ({"geometry": "l3"}, "unknown geometry"),
        ({"bias": "some"}, "unknown bias"),
        ({"bias": "augmented", "bias_scale": 0.0}, "positive"),
    ],
)
def test_options_that_are_refused(half, options, words):
    with pytest.raises(sc.DataError, match=words):
        sc.max_margin(half, **options)


def test_a_program_too_large_for_memory_is_no_answer(monkeypatch):
    def too_large(*_, **__):
        raise MemoryError

    monkeypatch.setattr("cvxpy.Problem.solve", too_large)
    assert programs.solve(np.eye(2), np.zeros((2, 0)), twin=True) is None
