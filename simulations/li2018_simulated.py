"""The simulated data sets of Li, Ding, Gao, arXiv 1808.05385, and what the last layer becomes.

A network 2 -> hidden -> 2 -> 2 logits is trained on rows of the plane, full batch, and its last
layer compared, on the way, with the exact SVMs of its current two penultimate features.

    python -m simulations.li2018_simulated --preset smoke

writes runs/li2018_simulated-smoke.nc, which `python -m figures runs` draws. A killed call goes on
where it stopped: finished runs and checkpoints wait in a folder beside that file until it is whole.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from flax import nnx
from jaxtyping import Bool, Int64

from simulations import command
from svmconv import data, plots
from svmconv.errors import DivergedError
from svmconv.measures.last_layer import exact_svms, last_layer_gaps
from svmconv.models import MLP, last_layer
from svmconv.problem import LARGEST, Bias, Problem, check_choice
from svmconv.results import check_writable, load, run_id, save
from svmconv.training.evaluate import Evaluation, evaluate
from svmconv.training.objectives import ObjectiveName
from svmconv.training.tracker import Tracker
from svmconv.training.train import train

SETS: dict[str, Callable[..., Problem]] = {
    "blobs": data.blobs,
    "sectors": data.sectors,
    "large sectors": lambda **given: data.sectors(
        inner=(0.1, 200.0), outer=(300.0, 400.0), **given
    ),
    "non-separable sectors": lambda **given: data.sectors(outer=(0.25, 0.4), **given),
    "moons": lambda **given: data.moons(noise=0.0, **given),
    # Published as |x1 + x2 - 1| >= .1; ours is a distance.
    "half-plane": lambda **given: data.half_plane(margin=0.1 / np.sqrt(2.0), **given),
    "disc": data.disc,
}
"""As published, except that each class has a fixed share of n rows, drawn uniformly in area."""
ACTIVATIONS = ("square", "relu", "selu", "tanh", "softsign", "leaky_relu")
OPTIMIZERS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "gd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "adam": optax.adam,
    # TensorFlow 1's RMSProp: its mean square starts at one, its epsilon is inside the root.
    "rmsprop": lambda rate: optax.rmsprop(rate, eps=1e-10, initial_scale=1.0, eps_in_sqrt=True),
}
RATES: dict[ObjectiveName, float] = {
    "cross_entropy": 1e-4,
    "hinge_loss": 5e-4,
    "mean_squared_error": 2e-4,
    "absolute_difference": 2e-4,
    "log_loss": 5e-4,
    "mean_pairwise_squared_error": 5e-4,
}
"""The published rate of each loss."""
RECORDS = 24
"""Comparisons with the exact SVMs on the way, at log-spaced steps."""
SHOWN = 300
"""Training rows of each run that are kept for pictures; all support vectors are among them."""
RESOLUTION = 80
"""Points of the kept grid of logits along each axis of the input plane."""


@dataclass(frozen=True)
class Config:
    """One run; the defaults are the published ones."""

    data_set: str
    activation: str = "square"
    """Of both hidden layers."""
    optimizer: str = "gd"
    loss: ObjectiveName = "cross_entropy"
    rate: float = RATES["cross_entropy"]
    hidden: int = 2000
    n: int = 5000
    """Rows, a tenth of which is kept for testing."""
    steps: int = 100_001
    seed: int = 0
    """Of the rows, of which are tested on, and of the initial weights."""

    def __post_init__(self) -> None:
        check_choice("data_set", self.data_set, tuple(SETS))
        check_choice("optimizer", self.optimizer, tuple(OPTIMIZERS))
        check_choice("loss", self.loss, get_args(ObjectiveName))


def _smoke() -> tuple[Config, ...]:
    """Every data set with squares, smaller and faster than published; everything else once."""
    small: dict[str, Any] = {"hidden": 64, "n": 1000, "steps": 2000}
    return (
        *(Config(name, "square", "adam", rate=5e-3, **small) for name in SETS),
        Config("blobs", "leaky_relu", "momentum", "hinge_loss", 0.1, **small),
        Config("sectors", "selu", "adam", "mean_pairwise_squared_error", 5e-3, **small),
        Config("moons", "tanh", "adam", "absolute_difference", 1e-2, **small),
        Config("half-plane", "relu", "gd", "mean_squared_error", 0.1, **small),
        Config("disc", "softsign", "rmsprop", "log_loss", 1e-3, **small),
    )


def _paper() -> tuple[Config, ...]:
    """Every activation under the cross-entropy, and every other loss with squares."""
    return tuple(
        Config(name, activation, optimizer, loss, rate)
        for optimizer in OPTIMIZERS
        for activation in ACTIVATIONS
        for loss, rate in RATES.items()
        if activation == "square" or loss == "cross_entropy"
        for name in SETS
    )


PRESETS = {"smoke": _smoke(), "paper": _paper()}


def split(config: Config) -> tuple[Problem, Problem]:
    """Rows to train and to test on, in random order."""
    rows = SETS[config.data_set](n=config.n, seed=config.seed)
    order = np.random.default_rng(config.seed).permutation(rows.n)
    tests, kept = np.split(order, [rows.n // 10])
    return Problem(rows.x[kept], rows.y[kept], rows.name), Problem(rows.x[tests], rows.y[tests])


def network(config: Config) -> MLP:
    """2 -> hidden -> 2 -> 2 in float64; weights N(0, .01^2), biases .1."""
    module = MLP((2, config.hidden, 2, 2), activation=config.activation, rngs=nnx.Rngs(config.seed))
    rng = np.random.default_rng(config.seed)
    with jax.enable_x64(True):
        for layer in (*module.body, module.head):
            kernel = 0.01 * rng.standard_normal((layer.in_features, layer.out_features))
            layer.kernel = nnx.Param(jnp.asarray(kernel))
            layer.bias = nnx.Param(jnp.full(layer.out_features, 0.1))
    return module


def run(config: Config, checkpoints: Path | None = None) -> xr.Dataset:
    """One run: records over log-spaced steps, and what is needed to draw where it ended.

    Over `record`: step (0 is the start), log_loss and everything of measures.last_layer_gaps, on
    the training rows. Of the end: train_accuracy, test_accuracy; SHOWN training rows x with their
    label, feature and which is a support_vector of which SVM; weight and bias of the last layer,
    svm_w and svm_b (nan without an SVM); score (logit 1 - logit 0) on the grid (grid_x2, grid_x1).
    A run that `diverged` ends at its last record before. With `checkpoints`, a killed one goes on.
    """
    rows, tests = split(config)
    tracker = Tracker(_finite_gaps, at=np.unique(np.geomspace(1, config.steps, RECORDS, dtype=int)))
    module, final, diverged = _trained(config, rows, tracker, checkpoints)
    records = tracker.dataset.reset_index("step").rename_dims(step="record").reset_coords("step")
    ended = {"train_accuracy": final.accuracy, "diverged": diverged}
    ended["test_accuracy"] = evaluate(module, tests).accuracy
    return records.assign(ended).merge(_picture(module, rows, final, config.seed))


def _trained(
    config: Config, rows: Problem, tracker: Tracker, checkpoints: Path | None
) -> tuple[MLP, Evaluation, bool]:
    """The trained network and whether it diverged; then as it was at the last record before."""

    def go(module: MLP, steps: int, **watched: Any) -> Evaluation:
        optimizer = _optimizer(config.optimizer, config.rate)
        return train(module, rows, optimizer, epochs=steps, loss=config.loss, **watched).final

    module = network(config)
    start = evaluate(module, rows)
    tracker.record(0, start.log_loss, start.features, rows.y, *last_layer(module))
    try:
        final = go(module, config.steps, tracker=tracker, checkpoints=checkpoints)
        return module, final, False
    except DivergedError:
        module, last = network(config), int(tracker.dataset.step[-1])
        return module, go(module, last) if last else start, True


@cache  # programs are compiled for one optimizer: data sets share it
def _optimizer(name: str, rate: float) -> optax.GradientTransformation:
    return OPTIMIZERS[name](rate)


def _finite_gaps(features: Any, labels: Any, weight: Any, bias: Any) -> xr.Dataset:
    """last_layer_gaps; DivergedError where a step has just left what a Problem may hold."""
    if not all(np.abs(given).max() <= LARGEST for given in (features, weight, bias)):
        raise DivergedError("the features or the last layer are out of range: lower the rate")
    return last_layer_gaps(features, labels, weight, bias)


def _picture(module: MLP, rows: Problem, final: Evaluation, seed: int) -> xr.Dataset:
    """What a figure needs of the end of a run."""
    kinds: tuple[Bias, ...] = ("augmented", "free")
    svms = exact_svms(Problem(final.features, rows.y), kinds).svms
    w, b = np.full((len(kinds), 2), np.nan), np.full(len(kinds), np.nan)
    support = np.zeros((len(kinds), rows.n), dtype=bool)
    for i, kind in enumerate(kinds):
        if kind in svms:
            w[i], b[i], support[i, svms[kind].support] = svms[kind].w, svms[kind].b, True
    shown = _shown(np.logical_or(*support), seed)
    weight, bias = last_layer(module)
    with jax.enable_x64(True):
        logits = plots.grid(rows, lambda x: np.asarray(module(jnp.asarray(x))[0]), RESOLUTION)
    return xr.Dataset(
        {
            "x": (("row", "axis"), rows.x[shown].astype(np.float32)),
            "label": ("row", rows.y[shown].astype(np.int8)),
            "feature": (("row", "unit"), final.features[shown].astype(np.float32)),
            "support_vector": (("against", "row"), support[:, shown]),
            "weight": (("class", "unit"), weight),
            "bias": ("class", bias),
            "svm_w": (("against", "unit"), w),
            "svm_b": ("against", b),
            "score": (("grid_x2", "grid_x1"), np.diff(logits)[..., 0].astype(np.float32)),
            "x1": ("grid_x1", logits.x1.values),
            "x2": ("grid_x2", logits.x2.values),
        },
        {"against": list(kinds)},
    )


def _shown(first: Bool[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " m"]:
    """Places of SHOWN rows (all, if there are fewer), in order, `first` among them."""
    order = np.random.default_rng(seed).permutation(len(first))
    return np.sort(order[np.argsort(~first[order], kind="stable")][:SHOWN])


def combine(configs: Sequence[Config], runs: Sequence[xr.Dataset]) -> xr.Dataset:
    """All runs over `run`, labelled by their configurations.

    Runs with fewer records are filled up with step = -1, nan and False; `records` counts.
    """
    whole = [found.assign(records=found.sizes["record"]) for found in runs]
    empty = {np.dtype(bool): False, np.dtype(np.int64): -1}
    filler = {name: empty.get(v.dtype, np.nan) for name, v in whole[0].data_vars.items()}
    longest = max(found.sizes["record"] for found in whole)
    padded = [
        found.pad(record=(0, longest - found.sizes["record"]), constant_values=filler)
        for found in whole
    ]
    labels = {key: ("run", [asdict(c)[key] for c in configs]) for key in asdict(configs[0])}
    rules: Any = {"data_vars": "all", "coords": "minimal", "compat": "override", "join": "exact"}
    return xr.concat(padded, "run", **rules, combine_attrs="drop").assign_coords(labels)


def simulate(configs: Sequence[Config], target: Path) -> None:
    """Run what is not finished yet and write `target`. DataError if it exists.

    Until then, finished runs and checkpoints are kept in the folder `target`.parts.
    """
    parts = target.with_suffix(".parts")
    command.make_folder(target.parent)
    check_writable(target)
    command.make_folder(parts)
    runs = [_part(config, parts) for config in configs]
    save(combine(configs, runs), target, {"runs": [asdict(config) for config in configs]})
    shutil.rmtree(parts)


def _part(config: Config, folder: Path) -> xr.Dataset:
    """One run, finished before or now."""
    name = run_id(asdict(config))
    if not (folder / f"{name}.nc").exists():
        save(run(config, folder / name), folder / f"{name}.nc", asdict(config))
        shutil.rmtree(folder / name, ignore_errors=True)  # none, if it diverged at once
    return load(folder / f"{name}.nc")


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the results are written; 2, or 130 on Ctrl-C, with one sentence when not."""
    parser = command.arguments("li2018_simulated", PRESETS, __doc__)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help="only the runs of this one")
    chosen = parser.parse_args(argv)
    configs = [c for c in PRESETS[chosen.preset] if chosen.optimizer in (None, c.optimizer)]
    name = "-".join(filter(None, ("li2018_simulated", chosen.preset, chosen.optimizer)))
    target = chosen.out / f"{name}.nc"

    def work() -> None:
        simulate(configs, target)
        print(target)

    return command.finished(work)


if __name__ == "__main__":
    sys.exit(main())
