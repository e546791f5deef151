"""A grid of runs: every data set with every method, each run with an id of its own.

Nothing is listed until it is asked for, so that a grid of 10^12 runs can be counted.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import product
from typing import Any, cast, get_args

import numpy as np

from svmconv import data, optimizers
from svmconv.dynamics.recording import check_bias
from svmconv.errors import DataError
from svmconv.hints import nearest
from svmconv.optimizers import Optimizer
from svmconv.optimizers.optimizer import Scheduled
from svmconv.problem import Loss, Problem, check_choice, check_counts, check_real
from svmconv.results import run_id

DATA: dict[str, Callable[..., Problem]] = {
    make.__name__: make
    for make in (
        data.half_spaces, data.planted, data.half_plane, data.disc, data.moons, data.blobs,
        data.multiclass_blobs, data.sectors,
    )
}  # fmt: skip
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "gd": optimizers.GD,
    "heavy-ball": optimizers.HeavyBall,
    "normalized-gd": optimizers.NormalizedGD,
    "dual-acceleration": optimizers.DualAcceleration,
    "sgd": optimizers.SGD,
    "sign-descent": optimizers.SignDescent,
    "coordinate-descent": optimizers.CoordinateDescent,
    "adam": optimizers.Adam,
    "spectral": optimizers.Spectral,
}
FLOW = "flow"
OF_DATA = (
    "n", "d", "classes", "n_support", "spanning", "theta", "margin", "lambda_min", "std", "noise",
    "radius",
)  # fmt: skip
_OF_SHAPE = ("n", "d", "classes")
OF_OPTIMIZER = ("rate", "power", "momentum", "batch", "replacement", "b1", "b2", "eps")
_RATE = 0.1

Words = Ints = Floats = Truths = Any
"""One value of the kind, or several; a tuple of them once the grid is made."""
Count = Number = Any
"""A whole number, of which 1e6 is one; a number, of whatever library."""
_MOST = 10**15
"""Of anything counted."""
_LONGEST, _MOST_LENGTHS = 1e9, 10**8
"""The largest ln t of a flow, and as many steps of shrinking length as can be added up."""
_KINDS = {"Words": str, "Ints": int, "Floats": float, "Truths": bool}


@dataclass(frozen=True)
class Grid:
    """What to run: each field that is a tuple holds the values to combine; one value will do.

    A field left empty means the default of the data set or optimizer. A data set gets the
    parameters that it has, an optimizer likewise; one that none of them has is a DataError. With
    `log_t` the method is the gradient flow to ln t = log_t, with `steps` every optimizer takes that
    many. Data sets are drawn with seeds 0, 1, ..., seeds - 1, and so are SGD's batches.
    """

    data: Words = ("half_spaces",)
    n: Ints = ()
    d: Ints = ()
    classes: Ints = ()
    n_support: Ints = ()
    spanning: Truths = ()
    theta: Floats = ()
    margin: Floats = ()
    lambda_min: Floats = ()
    std: Floats = ()
    noise: Floats = ()
    radius: Floats = ()
    optimizer: Words = ()
    rate: Floats = ()
    power: Floats = ()
    momentum: Floats = ()
    batch: Ints = ()
    replacement: Truths = ()
    b1: Floats = ()
    b2: Floats = ()
    eps: Floats = ()
    bias: Words = ("none",)
    bias_scale: Floats = (1.0,)
    seeds: Count = 1
    steps: Count | None = None
    log_t: Number | None = None
    loss: Loss = "logistic"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in _KINDS:
                several = isinstance(value, Iterable) and not isinstance(value, str)
                kind = _KINDS[field.type]
                values = [_of_kind(field.name, v, kind) for v in (value if several else (value,))]
                object.__setattr__(self, field.name, tuple(dict.fromkeys(values)))
                if kind is int:
                    check_counts(1, **{field.name: min(values, default=1)})
        self._check_end()
        _check_names("data set", self.data, DATA)
        _check_names("optimizer", self.optimizer, OPTIMIZERS)
        for bias in self.bias:
            check_bias(bias)
        check_choice("loss", self.loss, get_args(Loss))
        object.__setattr__(self, "seeds", _of_kind("seeds", self.seeds, int))
        check_counts(1, seeds=self.seeds)
        self._check_used(OF_DATA, (_parameters(DATA[name]) for name in self.data), "data")
        kinds = (_parameters(OPTIMIZERS[name]) for name in self.optimizer)
        self._check_used(OF_OPTIMIZER, kinds, "optimizer" if self.optimizer else "flow")
        if self.bias == ("none",) and self.bias_scale != (1.0,):
            raise DataError('bias_scale acts on bias="augmented" only: give both or neither')
        if not (self.data and self.bias and self.bias_scale):
            raise DataError("the grid is empty: name a data set, a bias and a bias_scale at least")
        for method in self.methods:  # made, each has made its own checks
            steps = cast(int, self.steps)
            if isinstance(method, Scheduled) and method.power and steps > _MOST_LENGTHS:
                raise DataError(
                    f"steps of power > 0 are added up: ask for {_MOST_LENGTHS:.0e} at most"
                )
            if method and not math.isfinite(method.elapsed(steps)):
                raise DataError(f"{self.steps:,} steps of {method} are longer than any number")

    def _check_end(self) -> None:
        if (self.steps is None) == (self.log_t is None):
            raise DataError("give steps (with an optimizer) or log_t (the flow), one of them")
        if self.steps is not None:
            object.__setattr__(self, "steps", _of_kind("steps", self.steps, int))
            check_counts(1, steps=self.steps)
        else:
            log_t = _of_kind("log_t", self.log_t, float)
            if log_t > _LONGEST:
                raise DataError(f"log_t must be at most {_LONGEST:.0e}, got {log_t!r}")
            object.__setattr__(self, "log_t", log_t)
        if (self.steps is None) != (not self.optimizer):
            raise DataError(
                "steps needs an optimizer, and log_t, the gradient flow, takes none: name "
                f"optimizers of {', '.join(OPTIMIZERS)}, or give log_t alone"
            )

    def _check_used(self, names: Sequence[str], taken: Iterable[dict[str, Any]], what: str) -> None:
        known = {name for parameters in taken for name in parameters}
        for name in names:
            if getattr(self, name) and name not in known:
                chosen = getattr(self, what, ("the gradient flow",))
                raise DataError(f"{name} is no parameter of {', '.join(chosen)}: leave it out")

    @cached_property
    def methods(self) -> tuple[Optimizer | None, ...]:
        """Every optimizer with every setting of its own; None, alone, for the flow."""
        found: list[Optimizer | None] = []
        for name in self.optimizer:
            kind = OPTIMIZERS[name]
            axes = self._axes(_parameters(kind), OF_OPTIMIZER)
            axes["rate"] = self.rate or (_RATE,)
            for values in product(*axes.values()):
                found.append(kind(**dict(zip(axes, values, strict=True))))
        return tuple(found) or (None,)

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The data sets of one name, shape and bias kind, together."""
        found = []
        for name, bias in product(self.data, self.bias):
            axes = self._axes(_parameters(DATA[name]), OF_DATA)
            scales = self.bias_scale if bias == "augmented" else (1.0,)
            outer = {axis: axes.pop(axis) for axis in _OF_SHAPE if axis in axes}
            for values in product(*outer.values()):
                fixed = dict(zip(outer, values, strict=True))
                inner = {**axes, "bias_scale": scales, "seed": range(self.seeds)}
                found.append(Shape(name, bias, fixed, inner))
        return tuple(found)

    def _axes(self, parameters: dict[str, Any], names: Sequence[str]) -> dict[str, Sequence[Any]]:
        """The values of each of the parameters that are among `names`, in their order."""
        return {n: getattr(self, n) or (parameters[n],) for n in names if n in parameters}

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.methods) * sum(len(shape) for shape in self.shapes)

    def config(self) -> dict[str, Any]:
        """The grid as JSON holds it."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Shape:
    """Data sets that differ in what does not change their shape; a sequence of `Choice`."""

    name: str
    bias: str
    fixed: dict[str, Any]
    inner: dict[str, Sequence[Any]]

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.inner.values())

    def choice(self, index: int) -> Choice:
        """The data set of that number, the last axis (seed) running fastest."""
        chosen = {}
        for axis, values in reversed(self.inner.items()):
            index, place = divmod(index, len(values))
            chosen[axis] = values[place]
        scale, seed = chosen.pop("bias_scale"), chosen.pop("seed")
        return Choice(self.name, {**self.fixed, **chosen}, seed, self.bias, scale)


@dataclass(frozen=True, eq=False)
class Choice:
    """One data set with its bias kind."""

    data: str
    parameters: dict[str, Any]
    seed: int
    bias: str
    bias_scale: float

    def problem(self) -> Problem:
        """Draw it. Raises DataError where its parameters exclude one another."""
        return DATA[self.data](**self.parameters, seed=self.seed)

    def config(self, method: Optimizer | None, grid: Grid) -> dict[str, Any]:
        """All that decides about one run."""
        found = {
            "data": self.data, **self.parameters, "seed": self.seed, "bias": self.bias,
            "bias_scale": self.bias_scale, "loss": grid.loss,
        }  # fmt: skip
        if method is None:
            return {**found, "optimizer": FLOW, "log_t": grid.log_t}
        name = next(name for name, kind in OPTIMIZERS.items() if type(method) is kind)
        settings = {n: v for n, v in asdict(method).items() if n in OF_OPTIMIZER}
        return {**found, "optimizer": name, **settings, "steps": grid.steps}

    def run_id(self, method: Optimizer | None, grid: Grid) -> str:
        """Hash of `config`: the same wherever the run is done."""
        return run_id(self.config(method, grid))


def _of_kind(name: str, value: Any, kind: type) -> Any:
    """1 for a float is 1.0, and 1e3 for an int 1000: equal runs then have equal ids."""
    if kind is str:
        return str(value)
    if kind is bool:
        if not isinstance(value, bool | np.bool_):
            raise DataError(f"{name} must be True or False, got {value!r}")
        return bool(value)
    check_real(**{name: value})
    if not abs(value) < math.inf:
        raise DataError(f"{name} must be a finite number, got {value!r}")
    if kind is int and abs(value) > _MOST:
        raise DataError(f"{name} must be at most {_MOST:.0e}, got {value!r:.40}")
    if kind is int and not float(value).is_integer():
        raise DataError(f"{name} must be a whole number, got {value!r}")
    return kind(value) + kind(0)  # -0.0 is 0.0


def _parameters(kind: Callable[..., Any]) -> dict[str, Any]:
    """Every parameter of a data set or optimizer, with its default."""
    return {name: p.default for name, p in inspect.signature(kind).parameters.items()}


def _check_names(what: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise DataError(f"unknown {what} {name!r}: {nearest(name.lower(), known)}")
