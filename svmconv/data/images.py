"""MNIST, Fashion-MNIST and CIFAR-10, every file checked against its official SHA-256.

Files are looked for in the folder named by the environment variable SVMCONV_DATA, in the layout
mnist/*.gz, fashion-mnist/*.gz, cifar10/cifar-10-python.tar.gz or cifar10/cifar-10-batches-py/*
(plain or .xz), then in /usr/share/datasets (Debian's package dataset-fashion-mnist), and are else
downloaded once (`pip install 'svmconv[images]'`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from svmconv.data import cifar, idx
from svmconv.data.arguments import chosen_of_ten
from svmconv.errors import DataError
from svmconv.problem import Problem, check_choice, check_counts


def mnist(
    classes: Iterable[Any] = range(10), split: str = "train", n: int | None = None
) -> Problem:
    """Handwritten digits: (rows, 784), values k/255 in [0, 1], labels 0..9.

    `x.reshape(-1, 28, 28, 1)` gives the images, (height, width, channel). 60,000 rows in the
    "train" split, 10,000 in "test"; `n` keeps the first n of the chosen classes, in the order of
    the file. Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proc. IEEE 86 (1998). Raises
    DataError on unknown classes or splits, too large an n, and on files that are missing, damaged,
    or not the official ones.
    """
    return _problem("mnist", classes, split, n)


def fashion_mnist(
    classes: Iterable[Any] = range(10), split: str = "train", n: int | None = None
) -> Problem:
    """Articles of clothing: (rows, 784), values k/255 in [0, 1], labels 0..9.

    0 T-shirt, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag,
    9 ankle boot. Shapes, `split`, `n` and errors as for `mnist`. Source: H. Xiao, K. Rasul,
    R. Vollgraf, arXiv 1708.07747 (2017).
    """
    return _problem("fashion_mnist", classes, split, n)


def cifar10(
    classes: Iterable[Any] = range(10), split: str = "train", n: int | None = None
) -> Problem:
    """Small colour photographs: (rows, 3072), values k/255 in [0, 1], labels 0..9.

    0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.
    `x.reshape(-1, 32, 32, 3)` gives the images, (height, width, channel red green blue). 50,000
    rows in the "train" split, 10,000 in "test"; `n` and errors as for `mnist`. Source:
    A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).
    """
    return _problem("cifar10", classes, split, n)


def _problem(name: str, classes: Iterable[Any], split: str, n: int | None) -> Problem:
    wanted = chosen_of_ten(name, classes, f"a class of {name}: choose")
    check_choice("split", split, ("train", "test"))
    if n is not None:
        check_counts(2, n=n)
    images, labels = _decoded(name, split)
    rows = np.flatnonzero(np.isin(labels, wanted))
    if n is not None and n > len(rows):
        raise DataError(
            f"n={n} exceeds the {len(rows)} rows that {name} ({split}) has of classes {wanted}: "
            "lower n or add classes"
        )
    rows = rows[:n]
    missing = sorted(set(wanted) - set(labels[rows].tolist()))
    if missing:
        raise DataError(f"no row of class {missing[0]} among the first {len(rows)}: raise n")
    shown = [] if len(wanted) == 10 else [str(label) for label in wanted]
    shown += ["test"] * (split == "test") + [f"n={n}"] * (n is not None)
    return Problem(images[rows] / 255.0, labels[rows], f"{name}({', '.join(shown)})")


@cache
def _decoded(name: str, split: str) -> tuple[UInt8[np.ndarray, "n d"], Int64[np.ndarray, " n"]]:
    """All images (n, d) with values 0..255 and their labels (n,), kept for the process."""
    if name == "cifar10":
        images, labels = cifar.load(split)
    else:
        images, labels = idx.load(name.replace("_", "-"), split)
    return images, labels.astype(np.int64)
