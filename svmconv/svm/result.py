"""MaxMargin: the exact hard-margin SVM of a problem, with its certificate."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from svmconv.errors import DataError
from svmconv.geometry import norm
from svmconv.problem import Bias, Geometry
from svmconv.results import write_aside
from svmconv.svm.certificate import Certificate

SCHEMA = 1
_ARRAYS = ("w", "b", "alpha", "support", "active")
_HEADER = ("schema", "lower", "upper", "direction")
_WORDS = ("margin", "bias", "bias_scale", "geometry", "solver", "rounds", "problem_id")
_LATER = {"unique": True}
"""Words that older files lack, and what they mean there: those files are all of l2."""


@dataclass(frozen=True, eq=False, repr=False)
class MaxMargin:
    """The weights of least norm with every margin at least 1, and what proves them.

    Two classes: y_n (<w, x_n> + b) >= 1. K classes: <w_y - w_k, x_n> + b_y - b_k >= 1 for every
    rival k, b summing to zero over classes, and w too where the norm is l2 or spectral: taking its
    mean from W raises neither. It may raise the l1 and linf norms, so there w is not centred.

    With the signed (pair) rows z, forces g = sum alpha_n z_n and the norm |.| of the geometry,

        |g|_* = |w|,    sum alpha = |w|^2 = 1 / margin^2,    and in l2 simply w = g:

    the KKT conditions of min |w|^2 / 2 ask for g.w = |w|^2 = |g|_*^2, and g.w = sum alpha_n as
    every supporting row has margin 1. (The linear program's own duals are alpha / |w|.)
    """

    w: Float64[np.ndarray, "*w"]
    """(d,), or (K, d)."""
    b: float | Float64[np.ndarray, " k"]
    """Intercept, or (K,); 0 for bias "none"."""
    margin: float
    """1 / (norm the program minimises): 1 / |w|, or 1 / |(w, b / sqrt c)| for "augmented"."""
    alpha: Float64[np.ndarray, "*alpha"]
    """Dual variables (n,), or (n, K) with zeros at a row's own class. Where the tight rows are
    dependent the duals are not unique, and these are one choice, on independent rows."""
    support: Int[np.ndarray, " s"]
    """Rows with a positive dual (for K classes: against any rival)."""
    active: Int[np.ndarray, " t"]
    """Rows whose smallest margin is 1: the support vectors and those that touch with dual zero."""
    certificate: Certificate
    bias: Bias
    bias_scale: float
    geometry: Geometry
    solver: str
    rounds: int
    """Rounds of constraint generation."""
    problem_id: str
    unique: bool = True
    """Whether no other w is optimal; for K classes up to one vector added to every class. Always so
    in l2; svm/uniqueness.py says how the others are decided, to 1e-9 as a rule. False also where
    that cannot be decided, as where the certified gap is above 1e-12."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.alpha)

    @property
    def d(self) -> int:
        """Number of features."""
        return self.w.shape[-1]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return 2 if self.w.ndim == 1 else len(self.w)

    @property
    def w_aug(self) -> Float64[np.ndarray, "*w_aug"]:
        """w in the space of Problem.rows: (w, b / sqrt c) for "augmented", else w itself."""
        if self.bias != "augmented":
            return self.w
        last = np.asarray(self.b)[..., None] / math.sqrt(self.bias_scale)
        return np.concatenate([self.w, last], axis=-1)

    @property
    def width(self) -> float:
        """Distance of the supporting hyperplanes, 2 / |w| in l2, in feature units.

        So in every geometry. For K classes the hyperplanes <w_i - w_j, x> + b_i - b_j = +-1 of
        classes i and j are 2 / |w_i - w_j| apart; the width is the least over pairs. K = 2 read as
        two classes agrees, with w = w_1 - w_0.
        """
        if self.w.ndim == 1:
            return 2.0 / norm(self.w)
        k = len(self.w)
        return min(2.0 / norm(self.w[i] - self.w[j]) for i in range(k) for j in range(i))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it; arrays become lists, nan becomes None."""
        found: dict[str, Any] = {"schema": SCHEMA}
        for name in (*_ARRAYS, *_WORDS, *_LATER):
            value = getattr(self, name)
            found[name] = value.tolist() if isinstance(value, np.ndarray) else value
        limits = ("lower", "upper", "relative_gap", "angle_bound")
        found["width"] = self.width
        proof = {name: getattr(self.certificate, name) for name in limits}
        found["certificate"] = {k: None if math.isnan(v) else v for k, v in proof.items()}
        return found

    def save(self, path: str | Path) -> Path:
        """Write an npz file under exactly this name. Raises DataError if it exists."""
        words = {name: getattr(self, name) for name in (*_WORDS, *_LATER)}
        words |= {
            "schema": SCHEMA,
            "lower": self.certificate.lower,
            "upper": self.certificate.upper,
            "direction": self.certificate.direction,
        }
        with write_aside(path) as aside:
            arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
            np.savez_compressed(aside, max_margin=json.dumps(words), **arrays)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> MaxMargin:
        """Read what `save` wrote. DataError on a missing, foreign, truncated or newer file."""
        try:
            with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
                words = json.loads(str(file["max_margin"]))
                arrays = {name: file[name] for name in _ARRAYS}
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: not a MaxMargin saved by svmconv ({error}): write one with .save(path)"
            ) from None
        if not isinstance(words, dict) or not {*_WORDS, *_HEADER} <= set(words):
            raise DataError(f"{path}: its header lacks entries: write it again with .save(path)")
        if words["schema"] > SCHEMA:
            raise DataError(f"{path}: written by a newer svmconv: upgrade svmconv to read it")
        if arrays["b"].ndim == 0:
            arrays["b"] = float(arrays["b"])
        certificate = Certificate(words["lower"], words["upper"], words["direction"])
        words = _LATER | words
        known: dict[str, Any] = {name: words[name] for name in (*_WORDS, *_LATER)}
        return cls(**arrays, **known, certificate=certificate)

    def __repr__(self) -> str:
        return (
            f"MaxMargin(margin={self.margin:.10g}, relative_gap={self.certificate.relative_gap:.1e}"
            f", {len(self.support)} support vectors of {self.n} rows, d={self.d}, "
            f"classes={self.n_classes}, bias={self.bias!r}, geometry={self.geometry!r}"
            f"{'' if self.geometry == 'l2' else f', unique={self.unique}'})"
        )
