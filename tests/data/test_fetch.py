"""Downloads, from a server on this machine that stands for the mirrors."""

import logging
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pooch
import pytest

import svmconv as sc
from svmconv.data import cifar, fetch, idx, images
from tests.data.image_files import (
    official_batches,
    packed_archive,
    sample,
    sha256,
    write_archive,
    write_idx,
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):  # noqa: A002
        pass


@pytest.fixture
def web(tmp_path, monkeypatch, store):
    """(folder, its address): what lies in the folder is served; pooch caches below tmp_path."""
    folder = tmp_path / "web"
    folder.mkdir()
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("NO_PROXY", "*")
    pooch.get_logger().setLevel(logging.WARNING)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()
    pooch.get_logger().setLevel(logging.INFO)


def test_the_next_mirror_is_tried(web, monkeypatch, tmp_path):
    folder, address = web
    write_idx(folder, "right", "train", *sample(30, (28, 28)), monkeypatch)
    (folder / "wrong").mkdir()
    for file in idx.FILES["train"]:
        (folder / "wrong" / file).write_bytes(b"an error page")
        monkeypatch.setitem(idx.SHA256, f"mnist/{file}", idx.SHA256[f"right/{file}"])
    mirrors = tuple(f"{address}{mirror}/" for mirror in ("absent", "wrong", "right"))
    monkeypatch.setitem(idx.MIRRORS, "mnist", mirrors)
    first = sc.data.mnist((0, 1))
    assert first.n == 20
    kept = sorted(path.name for path in (tmp_path / "cache").rglob("*.gz"))
    assert kept == sorted(idx.FILES["train"])

    monkeypatch.setitem(idx.MIRRORS, "mnist", ("http://127.0.0.1:9/",))  # no longer asked
    images._decoded.cache_clear()
    assert sc.data.mnist((0, 1)).id == first.id


def test_a_damaged_copy_in_the_cache_is_fetched_again(web, monkeypatch, tmp_path):
    folder, address = web
    write_idx(folder, "mnist", "train", *sample(30, (28, 28)), monkeypatch)
    monkeypatch.setitem(idx.MIRRORS, "mnist", (f"{address}mnist/",))
    first = sc.data.mnist((0, 1))
    images._decoded.cache_clear()
    for path in (tmp_path / "cache").rglob("*.gz"):
        path.write_bytes(path.read_bytes()[:-1])
    assert sc.data.mnist((0, 1)).id == first.id


def test_the_archive_of_cifar(web, store, monkeypatch):
    folder, address = web
    contents, *_ = official_batches(monkeypatch)
    packed = packed_archive(contents)
    (folder / "cifar-10-python.tar.gz").write_bytes(packed)
    monkeypatch.setattr(cifar, "MIRRORS", (address,))
    monkeypatch.setattr(cifar, "ARCHIVE_SHA256", sha256(packed))
    downloaded = sc.data.cifar10((0, 1)).id
    images._decoded.cache_clear()
    write_archive(store, contents)
    assert sc.data.cifar10((0, 1)).id == downloaded


def test_no_mirror_answers(web, tmp_path):
    _, address = web
    mirrors = ("http://127.0.0.1:9/", address)
    message = (
        r"no mnist/a\.gz at hand, and its download failed \(127\.0\.0\.1: ConnectionError, "
        r"127\.0\.0\.1: HTTPError\): check the network, or put a\.gz into the folder mnist of"
    )
    with pytest.raises(sc.DataError, match=message):
        fetch.download("mnist/a.gz", "0" * 64, mirrors)
    assert not list(tmp_path.rglob("a.gz*"))


def test_without_pooch(store):
    message = r"no cifar10/.*tar\.gz at hand, .* needs pooch: pip install 'svmconv\[images\]', or"
    with pytest.raises(sc.DataError, match=message):
        sc.data.cifar10((0, 1))
