import gzip
import os
import pickle
import tarfile
import warnings

import numpy as np
import pytest

import svmconv as sc
from svmconv.data import cifar, images
from tests.data.image_files import (
    official_batches,
    python2_pickle,
    sample,
    sha256,
    write_archive,
    write_folder,
)


@pytest.fixture
def contents(store, monkeypatch):
    return official_batches(monkeypatch)[0]


def test_the_stock_unpickler_reads_the_same():
    pictures, labels = sample(5, (32, 32, 3))
    content = python2_pickle(pictures, labels)
    with warnings.catch_warnings():  # numpy 2 on the names of numpy 1
        warnings.simplefilter("ignore")
        stock = pickle.loads(content, encoding="bytes")
    rows, numbers = cifar.decode(content, "batch")
    planes = rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(planes.reshape(5, -1), stock[b"data"])
    np.testing.assert_array_equal(numbers, stock[b"labels"])
    np.testing.assert_array_equal(rows.reshape(pictures.shape), pictures)


def test_every_layout_gives_the_same_problem(store, contents):
    def loaded():
        images._decoded.cache_clear()
        return sc.data.cifar10(range(3)).id, sc.data.cifar10(range(3), "test").id

    archive = write_archive(store, contents)
    found = {loaded()}
    archive.unlink()
    folder = write_folder(store, contents)
    found.add(loaded())
    folder.rename(store / "aside")
    write_folder(store, contents, xz=True)
    found.add(loaded())
    assert len(found) == 1


class Harmful:
    """Leaves a trace when it is unpickled by a reader that trusts what it reads."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_executed(tmp_path, protocol):
    trace = tmp_path / "trace"
    content = pickle.dumps(Harmful(trace), protocol)
    with pytest.raises(sc.DataError, match=r"asks to run (posix|nt)\.mkdir, do not trust"):
        cifar.decode(content, "batch")
    assert not trace.exists()
    pickle.loads(content)  # the control: this pickle does harm where it is trusted
    assert trace.exists()


def test_nothing_is_executed_even_if_it_were_official(store, contents, monkeypatch, tmp_path):
    contents["test_batch"] = pickle.dumps(Harmful(tmp_path / "trace"))
    monkeypatch.setitem(cifar.SHA256, "test", {"test_batch": sha256(contents["test_batch"])})
    write_folder(store, contents)
    with pytest.raises(sc.DataError, match="asks to run"):
        sc.data.cifar10((0, 1), "test")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "name",
    ["builtins eval", "os system", "numpy.core.multiarray scalar", "numpy load", "numpy ndarray.x"],
)
def test_every_other_name_is_refused(name):
    module, attribute = name.split()
    with pytest.raises(sc.DataError, match=f"asks to run {module}.{attribute}"):
        cifar.decode(f"c{module}\n{attribute}\n.".encode(), "batch")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02}.",
        b"\x80\x02]K\x01.",
        b"garbage",
        b"Pid\n.",
        pickle.dumps({b"data": [0], b"labels": [0]}, 2),
        python2_pickle(*sample(3, (32, 32, 3)))[:-40],
        python2_pickle(*sample(3, (32, 32, 3))).replace(b"labels", b"fables"),
        python2_pickle(*sample(3, (32, 32, 3))).replace(b"M\x03\x00", b"M\x04\x00"),
    ],
)
def test_a_pickle_that_is_no_batch(content):
    with pytest.raises(sc.DataError, match="batch_3 is not a CIFAR batch"):
        cifar.decode(content, "batch_3")


@pytest.mark.parametrize("xz", [False, True])
def test_a_batch_cut_short(store, contents, xz):
    folder = write_folder(store, contents, xz)
    path = folder / ("data_batch_4.xz" if xz else "data_batch_4")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(sc.DataError, match=r"data_batch_4(\.xz)? is cut short"):
        sc.data.cifar10((0, 1))
    assert sc.data.cifar10((0, 1), "test").n > 0


def test_a_damaged_batch(store, contents):
    path = write_folder(store, contents, xz=True) / "data_batch_2.xz"
    path.write_bytes(b"not xz at all" + path.read_bytes())
    with pytest.raises(sc.DataError, match=r"data_batch_2\.xz is damaged .*: put an intact copy"):
        sc.data.cifar10((0, 1))


def test_batches_of_somebody_else(store, contents):
    contents["data_batch_1"], contents["data_batch_2"] = (
        contents["data_batch_2"],
        contents["data_batch_1"],
    )
    write_folder(store, contents)
    with pytest.raises(sc.DataError, match="data_batch_1 is cut short or not the official file"):
        sc.data.cifar10((0, 1))


def test_a_folder_with_a_gap(store, contents):
    del contents["data_batch_3"]
    write_folder(store, contents)
    with pytest.raises(sc.DataError, match="data_batch_3 missing in the folder cifar10/cifar-10"):
        sc.data.cifar10((0, 1))


def test_bombs_stay_packed(store, contents, monkeypatch):
    monkeypatch.setattr(cifar, "MOST", 1000)
    write_folder(store, {name: bytes(10**6) for name in contents}, xz=True)
    with pytest.raises(sc.DataError, match=r"test_batch\.xz holds more than the 1,000 bytes"):
        sc.data.cifar10((0, 1), "test")


def test_an_archive_that_is_a_bomb(store, contents, monkeypatch):
    monkeypatch.setattr(cifar, "MOST_ARCHIVE", 10**5)
    archive = write_archive(store, contents)
    archive.write_bytes(gzip.compress(bytes(10**6)))
    with pytest.raises(sc.DataError, match=r"tar\.gz holds more than the 100,000 bytes"):
        sc.data.cifar10((0, 1))


def _member(name, content=b"", kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    return member, content


def test_members_that_point_elsewhere_write_nothing(store, contents, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    strangers = [
        _member("../escaped", b"x"),
        _member(str(tmp_path / "absolute"), b"x"),
        _member(f"{cifar.FOLDER}/../../escaped", b"x"),
        _member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    ]
    archive = write_archive(store, contents, strangers)
    assert sc.data.cifar10((0, 1)).n == 20
    assert sorted(tmp_path.rglob("*")) == sorted([*before, archive.parent, archive])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_file(store, contents, kind):
    del contents["test_batch"]
    name = f"{cifar.FOLDER}/test_batch"
    write_archive(store, contents, [_member(name, kind=kind, link="data_batch_1")])
    with pytest.raises(sc.DataError, match=r"test_batch in .*tar\.gz is not a file"):
        sc.data.cifar10((0, 1), "test")


def test_a_member_that_is_not_there_or_another(store, contents):
    contents["data_batch_2"] = contents["test_batch"]
    del contents["test_batch"]
    write_archive(store, contents)
    with pytest.raises(sc.DataError, match=r"no test_batch in .*tar\.gz: put the official"):
        sc.data.cifar10((0, 1), "test")
    with pytest.raises(sc.DataError, match=r"data_batch_2 in .*tar\.gz is cut short or not"):
        sc.data.cifar10((0, 1))


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_an_archive_cut_short(store, contents, kept):
    archive = write_archive(store, contents)
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(sc.DataError, match=r"cifar-10-python\.tar\.gz is cut short: put an intact"):
        sc.data.cifar10((0, 1))


HUGE = tarfile.TarInfo(f"{cifar.FOLDER}/data_batch_1")
HUGE.size = 2**80


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", bytes(range(256)) * 40, HUGE.tobuf(tarfile.GNU_FORMAT) + bytes(2048)],
)
def test_an_archive_of_nonsense(store, contents, content):
    archive = write_archive(store, contents)
    archive.write_bytes(gzip.compress(content))
    with pytest.raises(sc.DataError, match=r"cifar-10-python\.tar\.gz"):
        sc.data.cifar10((0, 1))
