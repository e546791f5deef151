"""Small image sets in the official layouts, and the checksums that make them the official ones."""

import gzip
import hashlib
import io
import lzma
import struct
import tarfile

import numpy as np

from svmconv.data import cifar, idx


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def sample(n, shape, seed=0):
    """n random images and labels that hold each of the classes 0, 1, 2."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), np.uint8), rng.permutation(np.arange(n) % 3)


def packed_idx(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), 1)


def write_idx(folder, name, split, pictures, labels, monkeypatch):
    """Both files of one split under folder/name, made official."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for file, array in zip(idx.FILES[split], (pictures, labels), strict=True):
        content = packed_idx(array)
        (folder / name / file).write_bytes(content)
        monkeypatch.setitem(idx.SHA256, f"{name}/{file}", (sha256(content),))


def python2_pickle(pictures, labels):
    """A batch as Python 2 pickled it: byte strings, and names of numpy 1; images (n, 32, 32, 3)."""
    rows = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    dtype = b"cnumpy\ndtype\n" + _text(b"u1") + b"K\x00K\x01\x87R(K\x03" + _text(b"|")
    dtype += b"NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _text(b"b")
    array += b"\x87R(K\x01" + b"".join(b"M" + struct.pack("<H", k) for k in rows.shape) + b"\x86"
    array += dtype + b"\x89" + _text(rows.tobytes()) + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + _text(b"data") + array + _text(b"labels") + numbers + b"u."


def _text(content):
    if len(content) < 256:
        return b"U" + bytes([len(content)]) + content
    return b"T" + struct.pack("<i", len(content)) + content


def official_batches(monkeypatch, n=6):
    """{name: content} of small batches, made official, and their images and labels in order."""
    contents, table, pictures, labels = {}, {}, [], []
    for seed, name in enumerate(name for names in cifar.SHA256.values() for name in names):
        batch, numbers = sample(n, (32, 32, 3), seed)
        contents[name] = python2_pickle(batch, numbers)
        pictures.append(batch)
        labels.append(numbers)
    for split, names in cifar.SHA256.items():
        table[split] = {name: sha256(contents[name]) for name in names}
    monkeypatch.setattr(cifar, "SHA256", table)
    return contents, np.concatenate(pictures[:5]), np.concatenate(labels[:5])


def write_folder(store, contents, xz=False):
    folder = store / "cifar10" / cifar.FOLDER
    folder.mkdir(parents=True)
    for name, content in contents.items():
        path = folder / (f"{name}.xz" if xz else name)
        path.write_bytes(lzma.compress(content, preset=0) if xz else content)
    return folder


def write_archive(store, contents, extra=()):
    """The archive, with further (TarInfo, content) members put in front."""
    path = store / cifar.ARCHIVE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(packed_archive(contents, extra))
    return path


def packed_archive(contents, extra=()):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for member, content in extra:
            archive.addfile(member, io.BytesIO(content))
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()
