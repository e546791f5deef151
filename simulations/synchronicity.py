"""Does the separability of hidden layers move with training accuracy? Eight network families.

arXiv 2307.13962 reports that it does, most for the layers next to the output. Every hidden layer
of every network is measured after log-spaced epochs through one sc.Tracker: LS_0, LS_1, LS_2 of
all pairs of classes, along the best direction found and along the difference of class means,
collapse, a linear probe.

    python -m simulations.synchronicity --preset smoke

writes runs/synchronicity-smoke/DATA-NETWORK.nc, one file for each network on each data set, and
prints what became of the paper's statement; the same command goes on where a killed one stopped,
and with `--preset cpu --out results` prints those of the results that are kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Int64

from simulations import command
from simulations.hidden_layers import DATA, EIGHT, STUDIES, adam, network
from simulations.stages import log_spaced
from svmconv.errors import DataError
from svmconv.hints import nearest
from svmconv.measures.layer_report import layer_report
from svmconv.measures.synchronicity import (
    Interval,
    Synchronicity,
    before_saturation,
    synchronicity,
)
from svmconv.models import DBN, last_layer
from svmconv.problem import Problem
from svmconv.results import load, save
from svmconv.training.evaluate import activations, evaluate
from svmconv.training.interrupted import Interrupted
from svmconv.training.pretrain import pretrain
from svmconv.training.tracker import Tracker
from svmconv.training.train import train

CORRELATED = ("means_ls_0", "means_ls_1", "means_ls_2", "ls_0", "nc1", "cdnv", "probe_accuracy")
"""Measures that are correlated with progress; those that fall with their sign turned."""
SHOWN = "means_ls_0"
"""What the verdicts are about. The best direction separates nearly any labels once there are more
units than rows of two classes: LS_0 = 1 from the first record on, and nothing to correlate."""
FALLING = ("nc1", "cdnv")
RECORDS = 24
"""Log-spaced epochs, about, after which layers are measured."""
SHAPE = (len(Synchronicity._fields), len(Interval._fields))


@dataclass(frozen=True, kw_only=True)
class Config:
    """One network on one data set, from several initial weights."""

    data: str
    network: str
    rows: int | None = None
    """Training rows, the first of the file; None for all."""
    width: float = 1.0
    """Of the published widths and channels."""
    seeds: int = 5
    epochs: int = 100
    batch: int = 128
    rate: float = 1e-3
    """Adam's."""
    pretraining: int = 10
    """Epochs of contrastive divergence for each layer of a DBN."""
    hidden: int = 2000
    """Training rows whose hidden activations are measured, spread evenly over all."""

    @property
    def name(self) -> str:
        """mnist-MLP-tanh."""
        return f"{self.data}-{self.network}".replace(" ", "-")

    def problem(self) -> Problem:
        """The training rows."""
        return DATA[self.data].read(self.rows)


def _each(base: Config, names: Iterable[str], sets: Iterable[str]) -> tuple[Config, ...]:
    return tuple(replace(base, data=d, network=n) for d in sets for n in names)


_PUBLISHED = Config(data="mnist", network="MLP")
_SMALL = replace(_PUBLISHED, width=0.25, hidden=500, rows=2000)
_LARGE = ("ResNet", "ViT", "GoogLeNet")
"""Networks that need an eighth of the widths to come to an end on two cores."""
_LONG = ("ViT", "GoogLeNet")
"""Those that do so on digits alone: a quarter of an hour each on a thousand images."""
_DIGITS = replace(_SMALL, rows=None, epochs=20, pretraining=20)
_IMAGES = replace(_SMALL, rows=1000, epochs=10, width=0.125)
PRESETS = {
    "smoke": _each(replace(_SMALL, seeds=3, epochs=6, pretraining=2), EIGHT, ("digits", "mnist")),
    "cpu": _each(_DIGITS, [name for name in EIGHT if name not in _LARGE], ("digits",))
    + _each(replace(_DIGITS, width=0.125), _LARGE, ("digits",))
    + _each(_IMAGES, [name for name in EIGHT if name not in _LONG], ("mnist", "cifar10")),
    "studies": _each(_DIGITS, ("MLP", *STUDIES), ("digits",)),
    "paper": _each(_PUBLISHED, (*EIGHT, *STUDIES), DATA),
}


def run(config: Config) -> xr.Dataset:
    """What layer_report measures, over (seed, step, layer), beside log_loss and accuracy.

    Step 0 is the network before training. `correlation` (measure, progress, layer, statistic,
    of_interval): what svmconv.measures.synchronicity finds before accuracy saturates, with 95 %
    intervals over seeds; what falls as training succeeds is taken with its sign turned.
    """
    runs = [_one_seed(config, seed) for seed in range(config.seeds)]
    records = xr.concat(runs, "seed", join="exact").assign_coords(seed=np.arange(config.seeds))
    return records.merge(correlations(records))


def _one_seed(config: Config, seed: int) -> xr.Dataset:
    problem, shape = config.problem(), DATA[config.data].shape
    module = network(config.network, shape, problem.n_classes, config.width, seed)
    optimizer = adam(config.rate)
    if isinstance(module, DBN):
        pretrain(
            module, problem, optimizer, epochs=config.pretraining, batch=config.batch, seed=seed
        )
    steps = -(-problem.n // config.batch) * np.array(log_spaced(config.epochs, RECORDS))
    tracker = Tracker(layer_report, at=steps, hidden=config.hidden)
    some = problem_of(problem, tracker.rows(problem.n))
    start = evaluate(module, problem).log_loss
    tracker.record(0, start, activations(module, some), some.y, *last_layer(module))
    train(
        module, problem, optimizer, epochs=config.epochs, batch=config.batch, seed=seed,
        tracker=tracker,
    )  # fmt: skip
    return tracker.dataset


def problem_of(problem: Problem, rows: Int64[np.ndarray, " m"]) -> Problem:
    """Some rows of it."""
    return Problem(problem.x[rows], problem.y[rows], problem.name)


def correlations(records: xr.Dataset) -> xr.Dataset:
    """Of every measure of every layer with progress: see `run`."""
    accuracy = records.accuracy.to_numpy()
    before = before_saturation(accuracy)
    progress = {"accuracy": accuracy, "log_loss": -records.log_loss.to_numpy()}
    found = np.full((len(CORRELATED), len(progress), records.sizes["layer"], *SHAPE), np.nan)
    for i, name in enumerate(CORRELATED):
        sign = -1.0 if name in FALLING else 1.0
        for j, series in enumerate(progress.values()):
            for layer in range(records.sizes["layer"]):
                values = sign * records[name].isel(layer=layer).to_numpy()
                told = synchronicity(values, series, before & np.isfinite(values))
                found[i, j, layer] = told
    dims = ("measure", "progress", "layer", "statistic", "of_interval")
    return xr.Dataset(
        {"correlation": (dims, found)},
        {
            "measure": list(CORRELATED),
            "progress": list(progress),
            "statistic": list(Synchronicity._fields),
            "of_interval": list(Interval._fields),
        },
    )


def verdict(found: xr.Dataset) -> str:
    """One sentence: whether this network's layers move with its training accuracy, and which most.

    A layer moves with it if the interval over seeds of its rank correlation lies above 0, against
    or without it if below; else the seeds do not tell. Levels may owe that to the trend that both
    share, and increments to how it bends: a layer is in step only if its increments go with the
    accuracy of its own run more than with that of the other seeds.
    """
    of = found.correlation.sel(measure=SHOWN, progress="accuracy")
    levels, increments, excess = (
        of.sel(statistic=name).to_numpy() for name in ("spearman", "spearman_increments", "excess")
    )
    layers, means = found.layer.to_numpy().tolist(), levels[:, 0]
    if np.isnan(means).all():
        return "nothing to correlate: every layer is separable before training, or accuracy is"
    n, most = len(layers), int(np.nanargmax(means))
    above, below = int((levels[:, 1] > 0).sum()), int((levels[:, 2] <= 0).sum())
    moving = increments[:, 1] > 0
    in_step = int((moving & (excess[:, 1] > 0)).sum())
    if above == n:
        said = "holds" if in_step == n else "holds as a trend"
    elif above:
        said = "holds in part"
    else:
        said = "does not hold" if below else "is undecided"
    return (
        f"{said}: of {n} layers {above} move with accuracy, {below} do not, the others scatter; in "
        f"increments {int(moving.sum())} do, {in_step} of them more than with other seeds' "
        f"accuracy; rank correlation {means[0]:.2f} in the first layer, {means[most]:.2f} in "
        f"{layers[most]}, {means[-1]:.2f} in the last"
    )


def table(found: xr.Dataset) -> str:
    """Rank correlation with accuracy of every layer: of levels, of increments, and the excess."""
    of = found.correlation.sel(measure=SHOWN, progress="accuracy")
    shown = ("spearman", "spearman_increments", "excess")
    lines = [f"  {'layer':<14}" + "".join(f"{name:<24}" for name in shown)]
    for layer in found.layer.to_numpy().tolist():
        cells = []
        for name in shown:
            mean, low, high, _ = of.sel(layer=layer, statistic=name).to_numpy()
            cells.append(f"{f'{mean:5.2f} [{low:5.2f}, {high:5.2f}]':<24}")
        lines.append(f"  {layer:<14}" + "".join(cells).rstrip())
    return "\n".join(lines)


def simulate(configs: Sequence[Config], out: Path) -> Iterator[tuple[Path, xr.Dataset]]:
    """Each configuration's file and result, as it is written or found written by the same command.

    Raises DataError where a file of another configuration is in the way.
    """
    command.make_folder(out)
    for config in configs:
        target, own = out / f"{config.name}.nc", asdict(config)
        if target.exists():
            there = load(target)
            if json.loads(there.attrs["provenance"])["config"] != own:
                raise DataError(
                    f"{target} is of another configuration: remove it or choose another --out"
                )
            yield target, there
            continue
        found = run(config)
        yield save(found, target, own), found


def main(argv: Sequence[str] | None = None) -> int:
    """0 when the results are written, else one sentence on standard error: 2, or 130 on Ctrl-C."""
    parser = command.arguments("synchronicity", PRESETS, __doc__)
    parser.add_argument("--run", metavar="DATA-NETWORK", help="one run of the preset, not all")
    chosen = parser.parse_args(argv)
    configs = [c for c in PRESETS[chosen.preset] if chosen.run in (None, c.name)]

    def work() -> None:
        if not configs:
            names = [config.name for config in PRESETS[chosen.preset]]
            raise DataError(
                f"preset {chosen.preset} has no run {chosen.run}: {nearest(chosen.run, names)} "
                f"It has {', '.join(names)}"
            )
        try:
            for path, found in simulate(configs, chosen.out / f"synchronicity-{chosen.preset}"):
                print(f"{path}\n  {verdict(found)}\n{table(found)}", flush=True)
        except KeyboardInterrupt:
            words = "interrupted: what is printed is kept, the same command goes on with the next"
            raise Interrupted(words) from None

    return command.finished(work)


if __name__ == "__main__":
    sys.exit(main())
