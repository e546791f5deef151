"""The bounds enclose the true margin, in exact rational arithmetic, whatever they are given."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svmconv as sc
from svmconv.svm.certificate import Certificate, certify, check_infeasible
from tests.svm.kkt import truth

BIASES = ("none", "augmented", "free")


def exactly(problem, w, b, bias, c):
    """(smallest margin, |weights|^2) of float weights, as fractions."""
    x = [[Fraction(v) for v in row] for row in problem.x.tolist()]
    many = not problem.binary
    ws = [[Fraction(v) for v in row] for row in np.atleast_2d(w).tolist()]
    bs = [Fraction(v) for v in np.atleast_1d(b).tolist()]
    scores = [[sum(p * q for p, q in zip(row, u, strict=True)) + v
               for u, v in zip(ws, bs, strict=True)] for row in x]  # fmt: skip
    if many:
        margins = [s[y] - s[k] for s, y in zip(scores, problem.index, strict=True)
                   for k in range(len(ws)) if k != y]  # fmt: skip
    else:
        margins = [s[0] * (2 * int(y) - 1) for s, y in zip(scores, problem.index, strict=True)]
    size = sum(v * v for row in ws for v in row)
    if bias == "augmented":
        size += sum(v * v for v in bs) / Fraction(c)
    return min(margins), size


# problems whose margin squared is a rational number, with its exact square
CROSS = sc.Problem([[3, 1], [1, 3], [-2, -1], [-1, -4]], [1, 1, 0, 0])
SIMPLEX = sc.Problem(np.eye(3, dtype=int), [0, 1, 2])
LINE = sc.Problem([[-1], [2], [7]], [0, 1, 1])
KNOWN = [
    # cross: rows z = (3,1) (1,3) (2,1) (1,4); the least norm has (1,3), (2,1) tight: w = (.4, .2)
    (CROSS, "none", Fraction(5)),
    (LINE, "none", Fraction(1)),
    (LINE, "augmented", 1 / (Fraction(4, 9) + Fraction(1, 9))),
    (LINE, "free", Fraction(9, 4)),
    (SIMPLEX, "none", Fraction(1, 2)),
    (SIMPLEX, "augmented", Fraction(1, 2)),
    (SIMPLEX, "free", Fraction(1, 2)),
]


@pytest.mark.parametrize(("problem", "bias", "squared"), KNOWN)
def test_encloses_a_margin_known_exactly(problem, bias, squared):
    svm = sc.max_margin(problem, bias=bias)
    lower, upper = Fraction(svm.certificate.lower), Fraction(svm.certificate.upper)
    assert lower**2 <= squared <= upper**2
    assert svm.certificate.relative_gap <= 1e-13


@pytest.mark.parametrize(("problem", "bias", "squared"), KNOWN)
@given(noise=st.integers(0, 10**6), size=st.sampled_from([1e-15, 1e-9, 1e-3, 1.0]))
@settings(max_examples=20)
def test_encloses_whatever_it_is_given(problem, bias, squared, noise, size):
    svm = sc.max_margin(problem, bias=bias)
    rng = np.random.default_rng(noise)
    w = svm.w + size * rng.standard_normal(svm.w.shape)
    b = svm.b + size * rng.standard_normal(np.shape(svm.b)) if bias != "none" else svm.b
    b = float(b) if problem.binary else b
    alpha = np.abs(svm.alpha + size * rng.standard_normal(svm.alpha.shape))
    if not problem.binary:
        alpha[problem.own] = 0.0
    found = certify(problem, w, b, alpha, bias=bias)
    assert found.lower < 0 or Fraction(found.lower) ** 2 <= squared
    assert squared <= Fraction(found.upper) ** 2
    # the lower bound is below the exact margin of these very weights, and close to it
    margin, length = exactly(problem, w, b, bias, 1.0)
    if found.lower > 0:
        assert Fraction(found.lower) ** 2 * length <= margin**2
        assert found.lower == pytest.approx(float(margin) / float(length) ** 0.5, rel=1e-13)


def test_rounding_bound_is_needed():
    # cancelling rows: float64 gets the margin 1e-17 too large or too small, the bound never does
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = rng.standard_normal((6, 8)) * 10.0 ** rng.integers(-4, 5, 8)
        problem = sc.Problem(x, [0, 1, 0, 1, 0, 1])
        w, b = rng.standard_normal(8), float(rng.standard_normal())
        margin, length = exactly(problem, w, b, "free", 1.0)
        found = certify(problem, w, b, np.ones(6), bias="free")
        signed = (margin**2 / length) * (1 if margin > 0 else -1)
        lower = Fraction(found.lower)
        assert lower * abs(lower) <= signed
        assert found.lower == pytest.approx(float(margin) / float(length) ** 0.5, rel=1e-13)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("classes", [2, 3])
def test_perturbed_answers_lose_their_certificate(bias, classes):
    problem = sc.data.planted(n=80, d=6, n_support=5, classes=classes, seed=1)
    svm = sc.max_margin(problem, bias=bias)
    options = {"bias": bias, "bias_scale": svm.bias_scale}
    worse = svm.w * (1 + 1e-4 * np.random.default_rng(0).standard_normal(svm.w.shape))
    primal = certify(problem, worse, svm.b, svm.alpha, **options)
    assert primal.relative_gap > 1e-7
    assert primal.lower <= svm.margin <= primal.upper * (1 + 1e-14)
    heavier = svm.alpha * (1 + 1e-2 * np.random.default_rng(0).random(svm.alpha.shape))
    dual = certify(problem, svm.w, svm.b, heavier, **options)
    assert dual.relative_gap > 1e-9
    assert dual.lower <= svm.margin * (1 + 1e-14) <= dual.upper * (1 + 2e-14)


def test_angle_bound_covers_the_angle():
    problem = sc.data.planted(n=80, d=6, n_support=5, seed=1)
    svm = sc.max_margin(problem)
    rng = np.random.default_rng(0)
    for size in (1e-6, 1e-3, 1e-1):
        w = svm.w + size * rng.standard_normal(6)
        angle = sc_angle(w, truth(problem).w)
        assert angle <= certify(problem, w, 0.0, svm.alpha).angle_bound


def sc_angle(u, v):
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    return 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))


def test_angle_bound_of_known_bounds():
    assert Certificate(0.5, 1.0).angle_bound == pytest.approx(np.pi / 3)
    assert Certificate(1.0, 1.0).angle_bound == 0.0
    assert Certificate(-0.1, 1.0).angle_bound == pytest.approx(np.pi)


def test_unbalanced_duals_still_bound_the_free_margin():
    # all weight on one row: the repair adds the mass that is missing, so the bound stays above 1.5
    for row in range(3):
        found = certify(LINE, np.array([2 / 3]), -1 / 3, np.eye(3)[row], bias="free")
        assert found.upper >= 1.5


def test_duals_and_weights_of_any_size_bound_alike():
    """The bounds do not feel the length of w or alpha, down to the smallest subnormal number."""
    problem = sc.Problem([[0.3, 0.1], [-0.3, 0.1]], [1, 0])  # exact margin .3
    for size in (5e-324, 1e-300, 1.0, 1e300):
        found = certify(problem, np.array([size, 0.0]), 0.0, np.array([size, size]))
        assert found.lower <= Fraction(3, 10) <= Fraction(found.upper)
        assert found.relative_gap <= 1e-14


def test_no_duals_bound_nothing():
    found = certify(LINE, np.array([2 / 3]), -1 / 3, np.zeros(3), bias="free")
    assert found.upper == np.inf
    assert found.relative_gap != 0


def test_refuses_what_is_no_certificate():
    with pytest.raises(sc.DataError, match="nonnegative"):
        certify(LINE, np.array([1.0]), 0.0, -np.ones(3))
    with pytest.raises(sc.DataError, match="shapes"):
        certify(LINE, np.ones(2), 0.0, np.ones(3))
    with pytest.raises(sc.DataError, match="own class"):
        certify(SIMPLEX, np.eye(3), np.zeros(3), np.ones((3, 3)))


def test_check_infeasible_by_hand():
    problem = sc.Problem([[1.0], [3.0], [2.0]], [0, 1, 0])
    # through the origin: -1 and +3 cancel with weights 3/4, 1/4
    rows, weights = np.array([0, 1]), np.array([0.75, 0.25])
    assert check_infeasible(problem, rows, weights) == 0.0
    # but the signs do not: with an intercept this proves nothing
    # in units of 4 and 2 the rows are (1/4, 1/2), (3/4, 1/2), their sum is (0, -1/4)
    sizes = 0.75 * np.hypot(0.25, 0.5) + 0.25 * np.hypot(0.75, 0.5)
    found = check_infeasible(problem, rows, weights, bias="free")
    assert found == pytest.approx(0.25 / sizes, rel=1e-14)
    with pytest.raises(sc.DataError, match="sum to one"):
        check_infeasible(problem, rows, weights / 2)
    with pytest.raises(sc.DataError, match="rivals"):
        check_infeasible(problem, rows, weights, np.array([1, 0]))
