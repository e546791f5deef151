import os
import subprocess
import sys

import numpy as np
import pytest

import svmconv as sc
from svmconv.data import fetch, images
from tests.data.image_files import official_batches, sample, write_folder, write_idx

real = pytest.mark.skipif(
    not os.environ.get("SVMCONV_DATA"), reason="SVMCONV_DATA is not set: no real images at hand"
)
real_fashion = pytest.mark.skipif(
    fetch.find("fashion-mnist/train-images-idx3-ubyte.gz") is None,
    reason="neither dataset-fashion-mnist nor a copy in SVMCONV_DATA is at hand",
)


@pytest.fixture
def pictures(store, monkeypatch):
    """30 images 28 x 28 of classes 0, 1, 2 as MNIST's training set."""
    made = sample(30, (28, 28))
    write_idx(store, "mnist", "train", *made, monkeypatch)
    return made


def test_rows_are_the_images(pictures):
    made, labels = pictures
    problem = sc.data.mnist((0, 2))
    chosen = np.isin(labels, [0, 2])
    np.testing.assert_array_equal(problem.x.reshape(-1, 28, 28), made[chosen] / 255)
    np.testing.assert_array_equal(problem.y, labels[chosen])
    assert problem.y.dtype == np.int64
    assert problem.name == "mnist(0, 2)"


def test_the_splits_and_the_sets_are_different_files(store, monkeypatch):
    made = {}
    for seed, (name, split) in enumerate(
        (name, split) for name in ("mnist", "fashion-mnist") for split in ("train", "test")
    ):
        made[name, split] = sample(12, (28, 28), seed)
        write_idx(store, name, split, *made[name, split], monkeypatch)
    for name, load in (("mnist", sc.data.mnist), ("fashion-mnist", sc.data.fashion_mnist)):
        for split in ("train", "test"):
            images, labels = made[name, split]
            problem = load(range(3), split)
            np.testing.assert_array_equal(problem.x, images.reshape(12, -1) / 255)
            np.testing.assert_array_equal(problem.y, labels)
    assert problem.name == "fashion_mnist(0, 1, 2, test)"


def test_cifar_rows_are_height_width_channel(store, monkeypatch):
    contents, images, labels = official_batches(monkeypatch)
    write_folder(store, contents)
    problem = sc.data.cifar10(range(3))
    np.testing.assert_array_equal(problem.x.reshape(-1, 32, 32, 3), images / 255)
    np.testing.assert_array_equal(problem.y, labels)
    assert sc.data.cifar10((2, 0), "test").name == "cifar10(0, 2, test)"


@pytest.mark.parametrize("n", [6, 7, 20])
def test_n_is_the_beginning(pictures, n):
    whole, part = sc.data.mnist((0, 1)), sc.data.mnist((1, 0), n=n)
    np.testing.assert_array_equal(part.x, whole.x[:n])
    np.testing.assert_array_equal(part.y, whole.y[:n])
    assert part.name == f"mnist(0, 1, n={n})"


def test_too_many_rows_asked_for(pictures):
    with pytest.raises(sc.DataError, match=r"n=21 exceeds the 20 rows that mnist \(train\) has"):
        sc.data.mnist((0, 1), n=21)


@pytest.mark.parametrize("n", [0, 1, True])
def test_n_is_a_number_of_rows(pictures, n):
    with pytest.raises(sc.DataError, match="n must be an integer of at least 2"):
        sc.data.mnist((0, 1), n=n)


def test_a_class_that_the_rows_lack(store, monkeypatch):
    images = np.zeros((4, 28, 28), np.uint8)
    write_idx(store, "mnist", "train", images, np.array([0, 0, 0, 1]), monkeypatch)
    with pytest.raises(sc.DataError, match="no row of class 1 among the first 3: raise n"):
        sc.data.mnist((0, 1), n=3)
    with pytest.raises(sc.DataError, match="no row of class 2 among the first 4"):
        sc.data.mnist((0, 1, 2))


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        ((0, 10), "10 is not a class of mnist: choose from 0"),
        ((-1, 1), "-1 is not a class"),
        (("0", "1"), "'0' is not a class"),
        ((0, 0.5), "0.5 is not a class"),
        ((), "at least two classes"),
        ((3, 3), r"at least two classes, got \[3\]"),
    ],
)
def test_classes_that_there_are_not(store, classes, match):
    with pytest.raises(sc.DataError, match=match):
        sc.data.mnist(classes)


def test_unknown_split(store):
    with pytest.raises(sc.DataError, match="unknown split 'valid': choose one of train, test"):
        sc.data.cifar10(split="valid")


def test_problems_do_not_share_rows(pictures):
    one, two = sc.data.mnist(range(3)), sc.data.mnist(range(3))
    assert one.id == two.id
    assert not np.shares_memory(one.x, two.x)


def test_files_are_read_once(pictures, store):
    first = sc.data.mnist((0, 1))
    for file in (store / "mnist").iterdir():
        file.unlink()
    assert sc.data.mnist((0, 1)).id == first.id


def test_loading_needs_neither_jax_nor_pooch(tmp_path):
    code = (
        "import sys, svmconv as sc\n"
        "try: sc.data.mnist((0, 1))\n"
        "except sc.DataError: print('jax' in sys.modules, 'pooch' in sys.modules)"
    )
    environment = os.environ | {"SVMCONV_DATA": str(tmp_path / "nothing")}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout.strip() == "False False"


@real
@pytest.mark.parametrize(
    ("split", "counts", "mean"), [("train", (5923, 6742), 0.1307), ("test", (980, 1135), 0.1325)]
)
def test_real_mnist(split, counts, mean):
    problem = sc.data.mnist((0, 1), split)
    assert problem.x.shape == (sum(counts), 784)
    assert tuple(np.bincount(problem.y)) == counts
    assert (problem.x.min(), problem.x.max()) == (0, 1)
    # Published means of all ten digits, to the four digits published.
    assert images._decoded("mnist", split)[0].mean() / 255 == pytest.approx(mean, abs=5e-5)


@real_fashion
@pytest.mark.parametrize(("split", "each"), [("train", 6000), ("test", 1000)])
def test_real_fashion_mnist(split, each):
    problem = sc.data.fashion_mnist(split=split)
    assert problem.x.shape == (10 * each, 784)
    assert np.bincount(problem.y).tolist() == [each] * 10


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "each", "means"),
    [("train", 5000, (0.4914, 0.4822, 0.4465)), ("test", 1000, (0.4942, 0.4851, 0.4504))],
)
def test_real_cifar10(split, each, means):
    problem = sc.data.cifar10((0, 2), split)
    assert problem.x.shape == (2 * each, 3072)
    assert np.bincount(problem.y).tolist() == [each, 0, each]
    # Published means of red, green and blue over all ten classes, to the digits published.
    rows = images._decoded("cifar10", split)[0]
    np.testing.assert_allclose(rows.reshape(-1, 3).mean(0) / 255, means, atol=5e-5)
