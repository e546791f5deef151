"""Rows far from the origin and rows of very different sizes: as exact as any others."""

from fractions import Fraction

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import svmconv as sc
from svmconv.svm.offset import common_offset
from tests.tolerances import ROUNDING


@given(
    arrays.arrays(
        np.float64, (4, 3), elements=st.floats(-1e75, 1e75, allow_nan=False, allow_subnormal=False)
    )
)
def test_the_move_is_exact_for_any_features(x):
    c = common_offset(x)
    for row, moved in zip(x.tolist(), (x - c).tolist(), strict=True):
        for value, by, result in zip(row, c.tolist(), moved, strict=True):
            assert Fraction(value) - Fraction(by) == Fraction(result)


def test_only_features_within_a_factor_of_two_are_moved():
    x = np.array([[1.0, 1.0, -3.0, -1.0, 5.0], [2.0, 2.1, -4.0, 1.0, 5.0]])
    np.testing.assert_array_equal(common_offset(x), [1.5, 0.0, -3.5, 0.0, 5.0])


def test_five_numbers_at_a_million():
    # the margin lies between 1e6 + 2 and 1e6 + 5: w = 1 / 1.5, b = -w (1e6 + 3.5)
    x = 1e6 + np.array([0.0, 1.0, 2.0, 5.0, 9.0])[:, None]
    svm = sc.max_margin(sc.Problem(x, [0, 0, 0, 1, 1]), bias="free")
    assert svm.w[0] == pytest.approx(2 / 3, rel=ROUNDING)
    assert svm.b == pytest.approx(-(1e6 + 3.5) * 2 / 3, rel=ROUNDING)
    assert svm.support.tolist() == [2, 3]


@pytest.mark.parametrize("make", [sc.data.half_spaces, sc.data.multiclass_blobs])
@pytest.mark.parametrize("power", [10, 17, 20])
def test_the_free_bias_does_not_feel_a_translation(make, power):
    base = make(n=300, seed=0)
    x = np.round(base.x * 2.0**20) / 2.0**20  # so that adding 2^power is exact
    near = sc.max_margin(sc.Problem(x, base.y), bias="free")
    far = sc.max_margin(sc.Problem(x + 2.0**power, base.y), bias="free")
    np.testing.assert_allclose(far.w, near.w, rtol=0, atol=1e-12 * np.abs(near.w).max())
    assert far.margin == pytest.approx(near.margin, rel=1e-12)
    np.testing.assert_array_equal(far.support, near.support)
    # what the certificate may lose is the rounding of b, of size 2^power |w|
    assert far.certificate.relative_gap <= 2e-14 + 2.0 ** (power - 51) * np.abs(near.w).sum()


def test_an_intercept_beyond_float64_is_refused_with_advice():
    base = sc.data.half_spaces(n=300, seed=0)
    with pytest.raises(sc.CertificateError, match="subtract from every feature its mean"):
        sc.max_margin(sc.Problem(base.x + 1e9, base.y), bias="free")


@pytest.mark.parametrize("bias", ["none", "augmented", "free"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_of_sizes_from_1e_minus_4_to_1e8(seed, bias):
    """A row 1e12 times the others may support: its margin is rounding, not so the certificate."""
    base = sc.data.half_spaces(n=200, d=5, margin=0.3, seed=seed)
    size = 10.0 ** np.random.default_rng(seed).uniform(-4, 8, base.n)
    svm = sc.max_margin(sc.Problem(base.x * size[:, None], base.y), bias=bias)
    assert svm.certificate.relative_gap <= 1e-12
    assert set(svm.support) <= set(svm.active)
