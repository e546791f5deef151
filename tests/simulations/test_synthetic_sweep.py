"""A sweep reduced over seeds: nothing lost, nothing that failed counted, and drawn."""

from functools import partial

import numpy as np
import pytest
import xarray as xr

from figures.synthetic_sweep import synthetic_sweep as figure
from simulations import command
from simulations import synthetic_sweep as study
from svmconv.results import load, save
from svmconv.sweep import Stopped
from svmconv.sweep.grid import Grid

SMALL = study.Config(
    grid=Grid(data="half_spaces", n=20, d=2, optimizer="gd", rate=(0.1, 1.0), seeds=3, steps=50)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def found(folder):
    return study.run(SMALL, folder)


def runs_of(folder):
    (file,) = folder.glob("*.runs.nc")
    return load(file)


def test_quantiles_are_those_of_the_seeds(found, folder):
    runs = runs_of(folder)
    one = runs.isel(run=np.flatnonzero(runs.rate == 1.0))
    group = int(np.flatnonzero(found.rate == 1.0)[0])
    expected = np.quantile(one.margin_gap, study.QUANTILES, axis=0)
    np.testing.assert_array_equal(found.margin_gap[group], expected)
    assert found.runs.values.tolist() == found.ok.values.tolist() == [3, 3]


def test_the_same_command_uses_what_is_there(found, folder):
    xr.testing.assert_identical(study.run(SMALL, folder), found)


def test_a_run_that_failed_is_counted_but_not_averaged(found, folder):
    runs = runs_of(folder)
    runs["status"][0] = "diverged"
    runs["margin_gap"][0] = np.nan
    reduced = study.reduced(runs)
    assert int(reduced.ok.sum()) == 5
    assert np.isfinite(reduced.margin_gap[:, :, -1]).any()
    assert "5 ok, 1 not" in study.told(reduced)


def test_an_interrupted_sweep_says_what_is_kept(tmp_path, capsys, monkeypatch):
    def stopped(*args, **kwargs):
        raise Stopped("interrupted: 1 of 2 parts are kept")

    monkeypatch.setattr(study, "sweep", stopped)
    argv = ["--out", str(tmp_path)]
    work = partial(study.run, folder=tmp_path)
    assert command.main("synthetic_sweep", {"smoke": SMALL}, work, "Doc.", argv) == 130
    assert "1 of 2 parts are kept" in capsys.readouterr().err


def test_presets_are_of_the_sizes_they_promise():
    assert study.PRESETS["smoke"].grid.size == 24
    assert study.PRESETS["paper"].grid.size >= 10_000


def test_the_figure_draws_the_result(found, tmp_path):
    save(found, tmp_path / "synthetic_sweep-smoke.nc")
    (ax,) = figure(tmp_path).axes
    median = found.margin_gap.sel(quantile=0.5).isel(group=0)
    kept = np.isfinite(median.values)
    assert kept.any()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), median.values[kept])


@pytest.mark.slow
def test_the_smoke_preset_runs(tmp_path):
    found = study.run(study.PRESETS["smoke"], tmp_path)
    assert int(found.runs.sum()) == 24


def test_quantiles_are_those_of_the_runs_that_have_a_value():
    """One forecast that is nan does not take its group with it."""
    column = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    found = study._quantiles(column)
    np.testing.assert_allclose(found[2], [2.0, 5.0, np.nan])
    assert np.isnan(study._quantiles(np.zeros((0, 3)))).all()
