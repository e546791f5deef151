"""Thousands of runs, data set x optimizer x rate x seed: what is typical, and what never converges.

`svmconv.sweep` keeps every run in a file beside the result (NAME.runs.nc in the same folder, where
an interrupted sweep goes on); what is saved here is reduced over seeds.

    python -m simulations.synthetic_sweep --preset smoke

writes runs/synthetic_sweep-smoke.nc, which `python -m figures runs` draws.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from simulations import command
from svmconv import devices
from svmconv.results import run_id
from svmconv.sweep import sweep
from svmconv.sweep.grid import Grid
from svmconv.sweep.runs import WELL

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CURVES = ("angle", "margin_gap", "margin_gap_forecast")
NUMBERS = ("scaled_gap", "scaled_gap_limit", "kappa")
"""Of the columns of a sweep, those that are kept."""
KEY = ("data", "d", "optimizer", "rate")
"""Runs that share these differ in their seed alone."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A sweep whose runs are told apart by KEY and seed."""

    grid: Grid


def _grid(**chosen: object) -> Grid:
    return Grid(
        data=("planted", "half_spaces"),
        n_support=(3,),
        spanning=(False,),
        theta=(1.5,),
        margin=(0.3,),
        optimizer=("gd", "heavy-ball", "normalized-gd", "dual-acceleration"),
        **chosen,  # pyright: ignore[reportArgumentType]
    )


PRESETS = {
    "smoke": Config(grid=_grid(n=(50,), d=(4,), rate=(0.1,), seeds=3, steps=1000)),
    "paper": Config(grid=_grid(n=(100,), d=(4, 8), rate=(0.01, 0.1, 1.0), seeds=250, steps=30_000)),
}


def run(config: Config, folder: Path) -> xr.Dataset:
    """Over group and log1p_t: quantiles over seeds; `ok` counts the runs that stayed finite.

    The sweep itself is `folder`/synthetic_sweep-ID.runs.nc, ID a hash of the configuration.
    """
    out = folder / f"synthetic_sweep-{run_id(config.grid.config())}.runs.nc"
    with sweep(config.grid, out, tell=partial(print, file=sys.stderr)) as runs:
        return reduced(runs)


def reduced(runs: xr.Dataset) -> xr.Dataset:
    """Quantiles over the seeds of every group of runs."""
    keys = list(zip(*(runs[name].to_numpy().tolist() for name in KEY), strict=True))
    groups = list(dict.fromkeys(keys))
    places = np.array([groups.index(key) for key in keys])
    well = runs.status.to_numpy() == WELL
    columns = {name: runs[name].to_numpy() for name in (*CURVES, *NUMBERS)}
    found = {
        name: np.full((len(groups), len(QUANTILES), *column.shape[1:]), np.nan)
        for name, column in columns.items()
    }
    for place in range(len(groups)):
        chosen = (places == place) & well
        for name, column in columns.items():
            found[name][place] = _quantiles(column[chosen])
    dims = ("group", "quantile", "log1p_t")
    words = dict(zip(KEY, map(np.array, zip(*groups, strict=True)), strict=True))
    return xr.Dataset(
        {name: (dims[: value.ndim], value) for name, value in found.items()}
        | {
            "runs": ("group", np.bincount(places)),
            "ok": ("group", np.bincount(places[well], minlength=len(groups))),
        },
        {
            "quantile": list(QUANTILES),
            "log1p_t": runs.log1p_t.to_numpy(),
            **{name: ("group", value) for name, value in words.items()},
        },
    )


def _quantiles(column: np.ndarray) -> np.ndarray:
    """Over the first axis, of the runs that have a value there; nan where none has."""
    some = ~np.isnan(column).all(axis=0)
    found = np.full((len(QUANTILES), *column.shape[1:]), np.nan)
    found[:, some] = np.nanquantile(column[:, some], QUANTILES, axis=0)
    return found


def told(found: xr.Dataset) -> str:
    """What came out, in one line."""
    total, ok = int(found.runs.sum()), int(found.ok.sum())
    return f"  {total:,} runs, {ok:,} ok, {total - ok:,} not (diverged, or without an exact SVM)"


def main() -> int:
    """The command; runs divide among the cores."""
    devices.use_cores()
    chosen = command.arguments("synthetic_sweep", PRESETS, __doc__).parse_args()
    work = partial(run, folder=chosen.out)
    return command.main("synthetic_sweep", PRESETS, work, __doc__, summary=told)


if __name__ == "__main__":
    sys.exit(main())
