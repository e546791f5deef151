"""MNIST and Fashion-MNIST: gzipped files in the idx format of Yann LeCun's MNIST page."""

from __future__ import annotations

import struct

import numpy as np
from jaxtyping import UInt8

from svmconv.data.fetch import download, find
from svmconv.data.official import check_sha256, decompress, read

MOST = 2**26
"""Bytes: the largest official file has 47,040,016."""

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}

# SHA-256 of the compressed files: the official one, which is what the mirrors serve, and for
# Fashion-MNIST Debian's, which holds the same bytes without a file name and date in the header.
SHA256 = {
    "mnist/train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "mnist/train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "mnist/t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "mnist/t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion-mnist/train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    ),
    "fashion-mnist/train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    ),
    "fashion-mnist/t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    ),
    "fashion-mnist/t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    ),
}

MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
}


def load(name: str, split: str) -> tuple[UInt8[np.ndarray, "n 784"], UInt8[np.ndarray, " n"]]:
    """Images (n, 784) with values 0..255 and labels (n,) of "mnist" or "fashion-mnist".

    Raises DataError on a file that is missing, damaged, or not the official one.
    """
    images, labels = (_values(name, file) for file in FILES[split])
    return images.reshape(len(images), -1), labels


def _values(name: str, file: str) -> UInt8[np.ndarray, "n *image"]:
    place = f"{name}/{file}"
    path = find(place) or download(place, SHA256[place][0], MIRRORS[name])
    packed = read(path, MOST)
    check_sha256(packed, SHA256[place], path)
    return decode(decompress(packed, path, MOST))


def decode(content: bytes) -> UInt8[np.ndarray, "n *image"]:
    """The array of an idx file of bytes: 0, 0, 8, the number of dimensions, the shape, the values.

    The shape is in big-endian 32-bit integers. Source: http://yann.lecun.com/exdb/mnist.
    """
    ndim = content[3]
    shape = struct.unpack_from(f">{ndim}I", content, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)
