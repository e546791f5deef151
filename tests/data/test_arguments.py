import math

import numpy as np
import pytest

from svmconv.data.arguments import check_positive
from svmconv.errors import DataError
from svmconv.problem import check_counts


@pytest.mark.parametrize("value", [3, np.int32(3), 10**9])
def test_counts(value):
    check_counts(3, n=value)


@pytest.mark.parametrize("value", [2, 3.0, "3", None, True, np.float64(4), -3])
def test_not_counts(value):
    with pytest.raises(DataError, match="n must be an integer of at least 3, got"):
        check_counts(3, n=value)


def test_positive():
    check_positive(std=1e-300, margin=3)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_not_positive(value):
    with pytest.raises(DataError, match="margin must be a positive number"):
        check_positive(std=1.0, margin=value)
