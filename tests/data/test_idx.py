import numpy as np
import pytest

import svmconv as sc
from svmconv.data import fetch, idx
from tests.data.image_files import packed_idx, sample, sha256, write_idx

IMAGES = "train-images-idx3-ubyte.gz"


def test_the_published_example_of_the_format():
    header = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3])
    np.testing.assert_array_equal(idx.decode(header + bytes(range(6))), [[[0, 1, 2]], [[3, 4, 5]]])


def test_no_table_has_a_slip():
    files = {
        f"{name}/{file}" for name in idx.MIRRORS for pair in idx.FILES.values() for file in pair
    }
    assert set(idx.SHA256) == files
    every = [sha for official in idx.SHA256.values() for sha in official]
    assert len(set(every)) == len(every) == 12
    assert all(len(bytes.fromhex(sha)) == 32 for sha in every)


@pytest.fixture
def images(store, monkeypatch):
    write_idx(store, "mnist", "train", *sample(30, (28, 28)), monkeypatch)
    return store / "mnist" / IMAGES


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_cut_short(images, kept):
    images.write_bytes(images.read_bytes()[:kept])
    with pytest.raises(sc.DataError, match=f"{IMAGES} is cut short or not the official file"):
        sc.data.mnist((0, 1))


def test_another_file_under_its_name(images):
    images.write_bytes(packed_idx(np.zeros((30, 28, 28), np.uint8)))
    with pytest.raises(sc.DataError, match="put an intact copy in its place, or remove it"):
        sc.data.mnist((0, 1))


def test_one_changed_bit(images):
    content = bytearray(images.read_bytes())
    content[-3] ^= 1
    images.write_bytes(content)
    with pytest.raises(sc.DataError, match="not the official file"):
        sc.data.mnist((0, 1))


def test_a_zip_bomb_stays_packed(images, monkeypatch):
    bomb = packed_idx(np.zeros((2000, 28, 28), np.uint8))
    images.write_bytes(bomb)
    monkeypatch.setitem(idx.SHA256, f"mnist/{IMAGES}", (sha256(bomb),))
    monkeypatch.setattr(idx, "MOST", 100_000)
    with pytest.raises(sc.DataError, match=r"holds more than the 100,000 bytes"):
        sc.data.mnist((0, 1))


def test_the_other_packing_is_official_too(store, monkeypatch, tmp_path):
    write_idx(tmp_path / "system", "fashion-mnist", "train", *sample(30, (28, 28)), monkeypatch)
    for place in [place for place in idx.SHA256 if place.startswith("fashion-mnist/train")]:
        monkeypatch.setitem(idx.SHA256, place, ("0" * 64, *idx.SHA256[place]))
    assert sc.data.fashion_mnist((0, 1)).n == 20


def test_the_own_folder_comes_before_the_system_one(store, monkeypatch, tmp_path):
    for folder in (store, tmp_path / "system"):
        write_idx(folder, "fashion-mnist", "train", *sample(30, (28, 28)), monkeypatch)
    place = f"fashion-mnist/{IMAGES}"
    assert fetch.find(place) == store / place
    (store / place).unlink()
    assert fetch.find(place) == tmp_path / "system" / place
    monkeypatch.delenv("SVMCONV_DATA")
    assert sc.data.fashion_mnist((0, 1)).n == 20


def test_a_folder_that_is_none(store, monkeypatch):
    monkeypatch.setenv("SVMCONV_DATA", str(store / "elsewhere"))
    with pytest.raises(sc.DataError, match="elsewhere is not a folder: set it to the one that"):
        sc.data.mnist((0, 1))
