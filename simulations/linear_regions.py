"""How many linear regions does a rectifier network have between two images, as it trains?

Counted exactly on segments between rows of one class and of different classes, and on lines: such
segments prolonged far beyond both ends. Before training, with no biases, 1 + (theta / pi) times the
number of hidden units is expected, theta the angle that the segment spans at the origin, whatever
the depth (derived in svmconv.measures.regions): for a whole line theta = pi, one more than the
units; for images, whose pixels are all positive, much less.

    python -m simulations.linear_regions --preset smoke

writes runs/linear_regions-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
import optax
import xarray as xr
from flax import nnx
from jaxtyping import Float64

from simulations import command
from simulations.stages import log_spaced, stages
from svmconv import data
from svmconv.geometry import angle
from svmconv.measures.regions import linear_regions
from svmconv.models import MLP
from svmconv.problem import Problem
from svmconv.training.evaluate import evaluate

KINDS = ("same class", "different classes", "line")
FAR = 1e4
"""Lines reach so many times the distance of their two rows beyond both: theta is pi to .001."""
Segment = tuple[Float64[np.ndarray, " d"], Float64[np.ndarray, " d"]]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Networks by the widths of their hidden layers, and how long they learn the 8 x 8 digits."""

    networks: tuple[tuple[int, ...], ...]
    seeds: int = 5
    segments: int = 50
    """Of each kind, other ones for each seed."""
    rows: int | None = None
    """Training rows, the first of the file; None for all."""
    epochs: int = 200
    batch: int = 50
    rate: float = 0.05
    """Of momentum .9, without decay."""
    records: int = 14
    """Log-spaced epochs, about, after which regions are counted."""

    def problem(self) -> Problem:
        """The digits, pixels in [0, 1]."""
        whole = data.digits()
        return Problem(whole.x[: self.rows], whole.y[: self.rows], whole.name)


OF_128 = ((128,), (64, 64), (32, 32, 32, 32))
OF_512 = ((512,), (256, 256), (128, 128, 128, 128))
PRESETS = {
    "smoke": Config(
        networks=((32,), (16, 16)), seeds=2, segments=10, rows=500, epochs=16, records=4
    ),
    "cpu": Config(networks=OF_128 + OF_512),
    "paper": Config(
        networks=(*OF_512, (2048,), (1024, 1024), (512, 512, 512, 512)), seeds=10, epochs=1000
    ),
}


def run(config: Config) -> xr.Dataset:
    """Over (network, seed): `units` (network); the rest also over epoch, 0 is before training.

    regions       (kind) mean count over the segments of a kind
    by_segment    (kind) its standard deviation over them
    expected      (kind) 1 + mean theta / pi times units, before training; not over epoch
    log_loss, accuracy   of the training rows
    """
    each = [
        xr.concat([_one_run(config, widths, n) for n in range(config.seeds)], "seed")
        for widths in config.networks
    ]
    names = ["-".join(map(str, widths)) for widths in config.networks]
    return xr.concat(each, "network", join="exact").assign_coords(
        network=names,
        seed=range(config.seeds),
        units=("network", [sum(widths) for widths in config.networks]),
    )


@cache  # programs are compiled for one optimizer: seeds share it
def momentum(rate: float) -> optax.GradientTransformation:
    """Of .9."""
    return optax.sgd(rate, momentum=0.9)


def _one_run(config: Config, widths: tuple[int, ...], seed: int) -> xr.Dataset:
    problem = config.problem()
    module = MLP(
        (problem.d, *widths, problem.n_classes),
        activation="relu",
        kernel_init=nnx.initializers.he_normal(),
        dtype="float32",
        rngs=nnx.Rngs(seed),
    )
    chosen = segments(problem, config.segments, seed)
    epochs, found, fit = log_spaced(config.epochs, config.records), [], []
    optimizer, options = momentum(config.rate), {"batch": config.batch, "seed": seed}
    for _, stage in stages(module, problem, optimizer, epochs, **options):
        assert isinstance(stage, MLP)
        counts = [[linear_regions(stage, *ends).regions for ends in of] for of in chosen.values()]
        found.append(np.array(counts))
        fit.append(evaluate(stage, problem)[:2])
    counts, (log_loss, accuracy) = np.array(found), np.transpose(fit)
    spans = np.array([[angle(*ends) for ends in of] for of in chosen.values()])
    return xr.Dataset(
        {
            "regions": (("epoch", "kind"), counts.mean(axis=2)),
            "by_segment": (("epoch", "kind"), counts.std(axis=2, ddof=1)),
            "expected": ("kind", 1.0 + spans.mean(axis=1) / np.pi * sum(widths)),
            "log_loss": ("epoch", log_loss),
            "accuracy": ("epoch", accuracy),
        },
        {"epoch": [0, *epochs], "kind": list(chosen)},
    )


def segments(problem: Problem, m: int, seed: int) -> dict[str, list[Segment]]:
    """m segments of each kind between random rows; the lines go on from those of two classes."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[Segment]] = {kind: [] for kind in KINDS}
    while min(map(len, found.values())) < m:
        i, j = rng.choice(problem.n, 2, replace=False)
        a, b = problem.x[i], problem.x[j]
        if (a == b).all():
            continue
        alike = problem.y[i] == problem.y[j]
        found["same class" if alike else "different classes"].append((a, b))
        if not alike:
            found["line"].append((a - FAR * (b - a), b + FAR * (b - a)))
    return {kind: of[:m] for kind, of in found.items()}


def summary(found: xr.Dataset) -> str:
    """One sentence for each network and kind: expected, start and end, means over seeds [range]."""
    lines = []
    for network in found.network.to_numpy():
        one = found.sel(network=network)
        for kind in found.kind.to_numpy():
            regions, expected = one.regions.sel(kind=kind), one.expected.sel(kind=kind)
            lines.append(
                f"{network} ({int(one.units)} units), {kind}: {_of(expected)} regions expected "
                f"before training, {_of(regions.isel(epoch=0))} found, "
                f"{_of(regions.isel(epoch=-1))} after {int(found.epoch[-1])} epochs "
                f"(accuracy {_of(one.accuracy.isel(epoch=-1))})."
            )
    return "\n".join(lines)


def _of(values: xr.DataArray) -> str:
    """Mean and range over seeds."""
    return f"{float(values.mean()):.4g} [{float(values.min()):.4g}, {float(values.max()):.4g}]"


if __name__ == "__main__":
    sys.exit(command.main("linear_regions", PRESETS, run, __doc__, summary=summary))
