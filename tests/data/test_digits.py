import hashlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import svmconv as sc


def test_all_digits_are_those_of_scikit_learn():
    problem = sc.data.digits()
    images, labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(problem.x * 16, images)
    np.testing.assert_array_equal(problem.y, labels)
    assert problem.name == "digits()"


def test_checksum():
    digest = hashlib.sha256((sc.data.digits().x * 16).astype(np.uint8).tobytes()).hexdigest()
    assert digest == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"


@pytest.mark.parametrize("classes", [(3, 8), [8, 3, 3], np.array([3, 8]), iter([8, 3])])
def test_subsets_are_sets(classes):
    problem = sc.data.digits(classes)
    assert problem.name == "digits(3, 8)"
    assert problem.x.shape == (183 + 174, 64)
    assert problem.classes.tolist() == [3, 8]
    assert 0 <= problem.x.min() < problem.x.max() == 1
    everything = sc.data.digits()
    np.testing.assert_array_equal(problem.x, everything.x[np.isin(everything.y, [3, 8])])


def test_problems_do_not_share_rows():
    assert not np.shares_memory(sc.data.digits().x, sc.data.digits().x)


@pytest.mark.parametrize("classes", [(3, 10), (-1, 3), ("3", "8"), (3, 2.5)])
def test_unknown_digit(classes):
    with pytest.raises(sc.DataError, match="is not a digit"):
        sc.data.digits(classes)


@pytest.mark.parametrize("classes", [(), (3,), (3, 3)])
def test_one_class(classes):
    with pytest.raises(sc.DataError, match="at least two"):
        sc.data.digits(classes)


def test_data_sets_load_without_jax():
    code = (
        "import sys, svmconv as sc; sc.data.digits(); sc.data.planted(); "
        "print('jax' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
