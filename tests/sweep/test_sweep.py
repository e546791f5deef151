"""Sweeps: every row is what the single calls give, and nothing is lost whatever stops them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import svmconv as sc
from svmconv.results import load
from svmconv.sweep import Grid, Stopped, plan, runs, sweep
from svmconv.sweep import store as stores
from svmconv.theory.forecast import forecast
from tests.tolerances import FLOW, LONG_SUM

GRID = Grid(n=40, d=2, optimizer=("gd", "normalized-gd"), rate=(0.2, 0.4), steps=500, seeds=20)
PARTS = 3
"""Of GRID, eight data sets each."""

SCRIPT = """
import sys
from svmconv.sweep import plan
plan.WIDEST = 8
from tests.sweep.test_sweep import GRID
from svmconv.sweep import sweep
if __name__ == "__main__":
    sweep(GRID, sys.argv[1], dask=sys.argv[2] if len(sys.argv) > 2 else None).close()
"""


@cache
def computed(grid, part):
    """Once, for tests of what becomes of a part; a sweep that was killed computes its own again."""
    return runs.compute(grid, part)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(plan, "WIDEST", 8)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """GRID in one go."""
    path = tmp_path_factory.mktemp("sweep") / "whole.nc"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "WIDEST", 8)
        patch.setattr("svmconv.sweep.compute", computed)
        assert plan.count(GRID) == PARTS
        sweep(GRID, path).close()
    return path


def begun(out, *more):
    """A process that runs GRID, once its first part is on disk."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(out), *more],
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    first = Path(f"{out}.parts") / "part-000000.npz"
    while not first.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process


def test_rows_are_what_the_single_calls_give(undisturbed):
    found = load(undisturbed)
    assert found.sizes["run"] == GRID.size == 80
    for row in (0, 33, 79):
        run = found.isel(run=row)
        problem = sc.data.half_spaces(40, 2, float(run.margin), seed=int(run.seed))
        svm = sc.max_margin(problem)
        kind = {"gd": sc.optimizers.GD, "normalized-gd": sc.optimizers.NormalizedGD}
        method = kind[str(run.optimizer.values)](float(run.rate))
        descent = sc.descend(problem, method, 500)
        gaps = sc.gaps(descent, svm)
        np.testing.assert_allclose(run.gamma, svm.margin, rtol=LONG_SUM)
        np.testing.assert_allclose(run.final_angle, gaps.angle[-1], rtol=1e3 * LONG_SUM)
        np.testing.assert_allclose(run.final_margin_gap, gaps.margin_gap[-1], rtol=1e3 * LONG_SUM)
        np.testing.assert_allclose(run.final_log_loss, gaps.log_loss[-1], rtol=LONG_SUM)
        limit = sc.theory.constants(problem, svm, rate=method.effective_rate)
        np.testing.assert_allclose(run.kappa, limit.kappa)
        np.testing.assert_allclose(run.scaled_gap_limit, limit.entropy - limit.min_entropy)
        np.testing.assert_allclose(run.final_log1p_time, descent.log1p_t[-1])
        last = int(np.flatnonzero(run.step >= 0)[-1])
        descent = sc.descend(problem, method, int(run.step[last]))
        np.testing.assert_allclose(run.log1p_time[last], descent.log1p_t[-1])
        gaps = sc.gaps(descent, svm)
        np.testing.assert_allclose(run.angle[last], gaps.angle[-1], rtol=1e3 * LONG_SUM)
        if limit.spanning and isinstance(method, sc.optimizers.GD):
            expected = sc.gaps(forecast(descent, limit), svm)
            np.testing.assert_allclose(run.angle_forecast[last], expected.angle[-1], rtol=1e-9)


def test_no_recording_is_of_another_time_than_the_axis_says(undisturbed):
    """Between the last step taken by that time and one step more; the end is in final_ columns."""
    found = load(undisturbed)
    t = np.expm1(found.log1p_time.values)
    late = np.expm1(found.log1p_t.values) - t
    taken = found.step.values >= 0
    assert (late[taken] >= -1e-9 * t[taken]).all()
    assert (late <= found.rate.values[:, None] * (1.0 + 1e-9))[taken].all()
    np.testing.assert_allclose(
        np.expm1(found.final_log1p_time.values), 500 * found.rate.values, rtol=1e-12
    )


@pytest.mark.slow  # a compilation; tests/dynamics/test_many.py compares flows by default
def test_flows_are_what_the_single_calls_give(tmp_path):
    grid = Grid(data="planted", n=30, d=3, n_support=3, spanning=True, log_t=100.0, seeds=3)
    with sweep(grid, tmp_path / "flow.nc") as found:
        assert (found.status == "ok").all()
        assert "step" not in found
        run = found.isel(run=2)
        problem = sc.data.planted(30, 3, 3, spanning=True, seed=2)
        flow = sc.gradient_flow(problem, log_t=100.0)
        gaps = sc.gaps(flow, sc.max_margin(problem))
        np.testing.assert_allclose(run.log1p_t[-1], flow.log1p_t[-1])
        np.testing.assert_allclose(run.final_angle, gaps.angle[-1], rtol=10 * FLOW)
        np.testing.assert_allclose(run.loss_constant, run.loss_constant_limit, rtol=0.05)


def test_the_file_says_what_it_is(undisturbed):
    found = load(undisturbed)
    origin = json.loads(found.attrs["provenance"])
    assert Grid(**origin["config"]) == GRID
    assert set(found.angle.dims) == {"run", "log1p_t"}
    for name in ("id", "data", "n", "d", "margin", "seed", "optimizer", "rate", "steps", "status"):
        assert found[name].dims == ("run",)
        assert name in found.coords
    assert found.angle.attrs["long_name"].endswith("rad")
    assert not any(str(Path.home()) in str(v) for v in found.attrs.values())


def test_hopeless_runs_are_labelled_and_the_others_go_on(tmp_path):
    grid = Grid(
        data=("moons", "planted", "half_spaces"), n=30, d=(2, 6), n_support=4, margin=0.01, seeds=2,
        steps=50, optimizer=("gd", "sign-descent"), rate=(0.1, 1e5), loss="exponential",
    )  # fmt: skip
    with sweep(grid, tmp_path / "hopeless.nc") as lazy:
        found = lazy.load()
    status = found.status.values
    assert set(status) == {"ok", "not separable", "unusable", "diverged"}
    bad = status != "ok"
    assert (found.reason.values != "")[bad].all()
    assert not (found.reason.values != "")[~bad].any()
    assert np.isnan(found.angle.values[bad]).all()
    assert np.isfinite(found.final_angle.values[~bad]).all()
    assert set(status[found.data.values == "moons"]) == {"not separable"}
    rates = found.rate.values[status == "diverged"]
    assert set(rates) == {1e5}


def test_killed_and_begun_again_the_file_is_the_same_to_the_last_bit(tmp_path, undisturbed):
    out = tmp_path / "killed.nc"
    process = begun(out)
    process.kill()
    process.communicate()
    assert not out.exists()
    kept = sorted(path.name for path in Path(f"{out}.parts").glob("*.npz"))
    assert 0 < len(kept) <= PARTS
    sweep(GRID, out).close()
    assert out.read_bytes() == undisturbed.read_bytes()
    assert not Path(f"{out}.parts").exists()


def test_interrupted_it_says_how_to_go_on(tmp_path, undisturbed, monkeypatch):
    out, done = tmp_path / "stopped.nc", []

    def compute(grid, part):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(part)
        return computed(grid, part)

    monkeypatch.setattr("svmconv.sweep.compute", compute)
    with pytest.raises(Stopped, match=r"1 of 3 parts are kept in .*stopped.nc.parts"):
        sweep(GRID, out)
    monkeypatch.setattr("svmconv.sweep.compute", computed)
    sweep(GRID, out).close()
    assert out.read_bytes() == undisturbed.read_bytes()


def test_a_full_disk_loses_nothing(tmp_path, undisturbed, monkeypatch):
    out = tmp_path / "full.nc"
    monkeypatch.setattr("svmconv.sweep.compute", computed)

    def full(*_, **__):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stores.h5netcdf, "File", full)
        with pytest.raises(sc.DataError, match="could not be written"):
            sweep(GRID, out)
        assert len(list(Path(f"{out}.parts").glob("*.npz"))) == PARTS
    with monkeypatch.context() as patch:
        patch.setattr(stores.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
        with pytest.raises(sc.DataError, match=r"needs about .* GB"):
            sweep(GRID, out)
    sweep(GRID, out).close()
    assert out.read_bytes() == undisturbed.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"full.nc"}


def test_a_finished_file_is_read_and_another_sweeps_refused(undisturbed, monkeypatch):
    before = undisturbed.stat().st_mtime_ns
    sweep(GRID, undisturbed).close()
    other = Grid(**{**GRID.config(), "seeds": 21})
    with pytest.raises(sc.DataError, match=r"another sweep \(seeds 20, not 21\)"):
        sweep(other, undisturbed)
    monkeypatch.setattr("svmconv.results._version", lambda package: "9.9")
    with pytest.raises(sc.DataError, match=r"another sweep \(\w+ .* not '9.9'\)"):
        sweep(GRID, undisturbed)
    assert undisturbed.stat().st_mtime_ns == before


def test_parts_of_another_sweep_version_or_process_are_refused(tmp_path, monkeypatch):
    out = tmp_path / "begun.nc"
    store = stores.Store(GRID, out)
    with store.open():
        store.keep(next(plan.parts(GRID)), {})
        with pytest.raises(sc.DataError, match="another process"):
            sweep(GRID, out)
    with pytest.raises(sc.DataError, match=r"another sweep \(seeds 20, not 2\)"):
        sweep(Grid(**{**GRID.config(), "seeds": 2}), out)
    monkeypatch.setattr("svmconv.results._version", lambda package: "9.9")
    with pytest.raises(sc.DataError, match="go on with what it was begun with"):
        sweep(GRID, out)


def test_what_was_asked_of_one_data_set_does_not_hide_what_another_has(tmp_path):
    """theta of `planted` is a parameter; every data set has one that is measured."""
    grid = Grid(
        data=("planted", "half_spaces"), n=50, d=4, theta=1.5,
        optimizer=("gd", "sign-descent"), steps=5,
    )  # fmt: skip
    with sweep(grid, tmp_path / "two.nc") as found:
        kinds = found.data.values, found.optimizer.values
        np.testing.assert_array_equal(np.isnan(found.theta), kinds[0] == "half_spaces")
        of_gd = kinds[1] == "gd"
        np.testing.assert_array_equal(np.isfinite(found.svm_theta), of_gd)
        least = np.minimum(found.svm_lambda_min, found.svm_theta - 1.0)
        np.testing.assert_allclose(found.kappa[of_gd], least[of_gd])
        assert all("long_name" in found[name].attrs for name in (*found.coords, *found))


def test_batches_that_do_not_fit_are_labelled_and_the_others_go_on(tmp_path):
    grid = Grid(optimizer="sgd", batch=15, n=(30, 10), d=2, steps=4)
    with sweep(grid, tmp_path / "sgd.nc") as found:
        np.testing.assert_array_equal(found.status, ["ok", "unusable"])
        assert "batch=15" in str(found.reason.values[1])


def test_a_folder_without_a_part_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr("svmconv.sweep.compute", computed)
    with stores.Store(replace(GRID, steps=7), tmp_path / "a.nc").open():
        pass
    sweep(GRID, tmp_path / "a.nc").close()


def test_a_disk_that_fills_up_while_the_file_is_written_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("svmconv.sweep.compute", computed)

    def full(*_):
        raise RuntimeError("Can't close file (errno = 28)\nmore")

    monkeypatch.setattr(stores.Store, "_copy", full)
    with pytest.raises(sc.DataError, match=r"errno = 28.*: free some space"):
        sweep(GRID, tmp_path / "a.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc.parts"]
    monkeypatch.undo()
    monkeypatch.setattr(plan, "WIDEST", 8)
    sweep(GRID, tmp_path / "a.nc").close()


def test_a_part_of_another_sweep_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("svmconv.sweep.compute", computed)
    other = replace(GRID, rate=(0.2, 0.5))
    stores_of = [stores.Store(grid, tmp_path / f"{k}.nc") for k, grid in enumerate((GRID, other))]
    part = next(plan.parts(GRID))
    with stores_of[1].open(), stores_of[0].open():
        stores_of[1].keep(part, computed(GRID, part))
        ours, theirs = (store.folder / "part-000000.npz" for store in stores_of)
        shutil.copy(theirs, ours)
    with pytest.raises(
        sc.DataError, match=r"part-000000.npz is a part of another sweep: remove it"
    ):
        sweep(GRID, tmp_path / "0.nc")


def test_a_truncated_part_is_named(tmp_path, undisturbed, monkeypatch):
    out = tmp_path / "short.nc"
    monkeypatch.setattr("svmconv.sweep.compute", computed)
    store = stores.Store(GRID, out)
    with store.open():
        for part in plan.parts(GRID):
            store.keep(part, computed(GRID, part))
    damaged = store.folder / "part-000001.npz"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(sc.DataError, match=r"part-000001.npz is damaged: remove it"):
        sweep(GRID, out)
    assert not out.exists()
    damaged.unlink()
    sweep(GRID, out).close()
    assert out.read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a result"])
def test_foreign_files_stay(tmp_path, content):
    out = tmp_path / "mine.nc"
    out.write_bytes(content)
    with pytest.raises(sc.DataError, match="not a NetCDF result"):
        sweep(GRID, out)
    assert out.read_bytes() == content


def test_where_nothing_can_be_written(tmp_path, monkeypatch):
    with pytest.raises(sc.DataError, match="is not a folder"):
        sweep(GRID, tmp_path / "nowhere" / "a.nc")
    with pytest.raises(sc.DataError, match=r"must end in \.nc"):
        sweep(GRID, tmp_path / "a.npz")
    monkeypatch.setattr("os.access", lambda *_: False)  # as for a user who is not root
    with pytest.raises(sc.DataError, match="cannot be written"):
        sweep(GRID, tmp_path / "a.nc")
    assert not list(tmp_path.iterdir())


def test_a_dask_worker_that_is_killed_costs_nothing(tmp_path, undisturbed):
    psutil = pytest.importorskip("psutil")
    out = tmp_path / "dask.nc"
    process = begun(out, "local:2")
    workers = [
        child for child in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline()) and not child.children()
    ]  # fmt: skip
    os.kill(workers[0].pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    found, expected = load(out), load(undisturbed)
    for name, column in expected.variables.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(found[name], column, rtol=1e-10, atol=1e-10)
        else:
            np.testing.assert_array_equal(found[name], column)


@pytest.mark.parametrize(
    ("address", "message"),
    [("tcp://127.0.0.1:1", "no Dask scheduler answers"), ("local:x", "give the address"),
     ("local:0", "give the address"), ("nonsense", "give the address|no Dask scheduler")],
)  # fmt: skip
def test_no_cluster_at_the_address(tmp_path, monkeypatch, address, message):
    monkeypatch.setattr("svmconv.sweep.cluster.TIMEOUT", 1.0)
    with pytest.raises(sc.DataError, match=message):
        sweep(GRID, tmp_path / "a.nc", dask=address)


def test_workers_of_another_version_are_refused():
    from svmconv.results import provenance
    from svmconv.sweep.cluster import _check_versions

    theirs = provenance()
    theirs["versions"] = {**theirs["versions"], "jax": "0.0.1"}

    class Client:
        def run(self, function):
            return {"tcp://worker": theirs}

    with pytest.raises(sc.DataError, match=r"tcp://worker has jax 0\.0\.1, this process"):
        _check_versions(Client())
