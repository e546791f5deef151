"""The simulation on a tiny configuration; rows and features are padded to shapes others use too."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from figures import __main__ as figures
from simulations import last_layer
from simulations.last_layer import Config, Preset
from svmconv.errors import DataError
from svmconv.problem import Problem
from svmconv.results import load
from svmconv.svm.result import MaxMargin
from svmconv.svm.solve import max_margin

PAIR = Config((4, 9), steps=100, log_t=300.0)
PLANE = Config((4, 9), bottleneck=2, steps=100)
TINY = Preset((PAIR,), PLANE)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulations") / "results"
    last_layer.simulate(TINY, out)
    return out


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(last_layer.PRESETS, "smoke", TINY)


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_the_last_layer_arrives_where_the_svm_alone_said_it_would(results):
    curves = load(results / "convergence" / "digits-4-9.nc")
    # What is left is rounding: w is about ln t / gamma long, and 300 eps is 7e-14.
    assert float(curves.residual[-1]) < 1e-10
    end = curves.isel(log1p_t=-1)
    np.testing.assert_allclose(end.angle, end.angle_forecast, rtol=1e-8)
    np.testing.assert_allclose(end.margin_gap, end.margin_gap_forecast, rtol=1e-8)
    # At t = 1 nothing has converged: the forecast must not fit where it does not hold.
    start = curves.sel(log1p_t=np.log(2), method="nearest")
    assert abs(start.angle / start.angle_forecast - 1) > 0.1
    assert float(start.residual) > 1.0


def test_a_linear_bottleneck_collapses_no_class():
    problem = last_layer.trained(PLANE).problem
    for k in range(2):
        rows = problem.x[problem.index == k]
        # Singular values of centred rows: both axes of the plane are used, in both classes.
        spread = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
        assert spread[1] > 1e-2 * spread[0] > 0
    assert (problem.x < 0).any()  # no ReLU


@pytest.mark.slow
def test_the_plane_holds_the_exact_svm_and_the_trained_network(results):
    with np.load(results / "plane" / "problem.npz") as arrays:
        problem = Problem(arrays["x"], arrays["y"])
    saved = MaxMargin.load(results / "plane" / "svm.npz")
    exact = max_margin(problem, bias="augmented")
    np.testing.assert_allclose(saved.w, exact.w, rtol=1e-12)
    assert saved.problem_id == problem.id

    network = load(results / "plane" / "logits.nc")
    x1, x2 = (xr.DataArray(column, dims="row") for column in problem.x.T)
    nearest = network.logits.sel(x1=x1, x2=x2, method="nearest")
    found = last_layer.trained(PLANE)
    margins = problem.signs * np.diff(found.logits(problem.x))[:, 0]
    assert (margins > 0).all()
    step = np.hypot(
        *(np.ptp(network[axis].values) / (network.sizes[axis] - 1) for axis in ("x1", "x2"))
    )
    slope = np.linalg.norm(found.weight[1] - found.weight[0])
    shown = problem.signs * nearest.diff("class").squeeze("class").values
    # A row is at most half a diagonal from its grid point.
    np.testing.assert_array_less(abs(shown - margins), slope * step / 2 * (1 + 1e-9))


@pytest.mark.slow
def test_provenance_names_the_configuration(results):
    curves = load(results / "convergence" / "digits-4-9.nc")
    config = json.loads(curves.attrs["provenance"])["config"]
    assert Config(**{**config, "classes": tuple(config["classes"])}) == PAIR


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_nothing_is_overwritten(results, capsys):
    before = files(results)
    assert last_layer.main(["--out", str(results)]) == 2
    assert capsys.readouterr().err == (
        f"{results / 'convergence'} exists: remove it or choose another folder with --out\n"
    )
    assert files(results) == before


@pytest.mark.usefixtures("tiny")
def test_a_failed_run_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    def fail(config):
        raise DataError("out of digits")

    monkeypatch.setattr(last_layer, "plane", fail)  # after convergence/ was written aside
    assert last_layer.main(["--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "out of digits\n"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("tiny")
def test_a_run_that_another_overtook_leaves_the_other_alone(tmp_path, monkeypatch, capsys):
    out, plane = tmp_path / "out", last_layer.plane

    def overtaken(config):
        (out / "plane").mkdir()
        (out / "plane" / "theirs").write_text("finished first")
        return plane(config)

    monkeypatch.setattr(last_layer, "plane", overtaken)
    assert last_layer.main(["--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"{out / 'plane'} exists")
    assert [p.name for p in out.iterdir()] == ["plane"]
    assert files(out) == {Path("plane/theirs"): b"finished first"}


@pytest.mark.usefixtures("tiny")
def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert last_layer.main(["--out", str(tmp_path / "file")]) == 2
    assert "choose another --out" in capsys.readouterr().err


@pytest.mark.slow
def test_the_figures_read_what_was_saved(results, tmp_path):
    assert figures.main(str(results), str(tmp_path)) == 0
    assert {p.stem for p in tmp_path.iterdir()} == {"convergence", "plane"}


@pytest.mark.parametrize("preset", last_layer.PRESETS.values(), ids=last_layer.PRESETS)
def test_presets_show_three_pairs_and_three_classes_under_names_of_their_own(preset):
    assert sorted(len(c.classes) for c in preset.convergence) == [2, 2, 2, 3]
    assert len({c.name for c in preset.convergence}) == 4
    assert preset.plane.bottleneck == 2
