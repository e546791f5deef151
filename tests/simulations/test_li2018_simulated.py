"""The simulated sets on networks of four hidden units and few steps."""

import json
import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from figures.li2018_simulated import li2018_simulated as figure
from simulations import li2018_simulated as simulation
from simulations.li2018_simulated import ACTIVATIONS, OPTIMIZERS, PRESETS, RATES, SETS, Config
from svmconv.errors import DataError, DivergedError
from svmconv.measures.last_layer import last_layer_gaps
from svmconv.models import last_layer
from svmconv.problem import Problem
from svmconv.results import load
from svmconv.svm.solve import max_margin
from svmconv.training.evaluate import evaluate

TINY = Config("blobs", "square", "adam", rate=1e-2, hidden=4, n=60, steps=250)
MOONS = replace(TINY, data_set="moons", steps=3)


def diverging(real, after, asked):
    """train of blobs; of anything else one that records step `after` and diverges.

    Training again without a tracker, as far as that, changes the biases: enough to tell it by.
    """

    def train(module, rows, optimizer, *, epochs, tracker=None, **rest):
        if rows.name.startswith("blobs"):
            return real(module, rows, optimizer, epochs=epochs, tracker=tracker, **rest)
        for step in range(1, after + 1) if tracker else ():
            found = evaluate(module, rows)
            tracker.record(step, found.log_loss, found.features, rows.y, *last_layer(module))
        if tracker:
            raise DivergedError("no longer finite")
        asked.append(epochs)
        with jax.enable_x64(True):
            module.head.bias[...] = jnp.array([0.3, 0.2])
        return SimpleNamespace(final=evaluate(module, rows))

    return train


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One network that learns blobs, one on moons that diverges at its first step."""
    out = tmp_path_factory.mktemp("simulated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "train", diverging(simulation.train, 0, []))
        simulation.simulate([TINY, MOONS], out / "li2018_simulated-smoke.nc")
    return out


@pytest.fixture(scope="module")
def runs(results):
    return load(results / "li2018_simulated-smoke.nc")


def test_settings_are_the_published_ones():
    paper = PRESETS["paper"]
    assert len(set(paper)) == len(paper) == len(OPTIMIZERS) * len(SETS) * (6 + 5)
    assert {(c.hidden, c.n, c.steps) for c in paper} == {(2000, 5000, 100_001)}
    assert all(c.rate == RATES[c.loss] for c in paper)
    for preset in PRESETS.values():
        assert {c.data_set for c in preset} == set(SETS)
        assert {c.activation for c in preset} == set(ACTIVATIONS)
        assert {c.optimizer for c in preset} == set(OPTIMIZERS)
        assert {c.loss for c in preset} == set(RATES)


def test_a_network_starts_as_published():
    module = simulation.network(Config("blobs"))
    kernels = [np.asarray(layer.kernel[...]) for layer in (*module.body, module.head)]
    assert [k.shape for k in kernels] == [(2, 2000), (2000, 2), (2, 2)]
    for kernel in kernels[:2]:  # 4000 draws: their standard deviation is known to 1 / sqrt 8000
        assert kernel.dtype == np.float64
        assert abs(kernel.std() / 0.01 - 1) < 5 / np.sqrt(8000)
        assert abs(kernel.mean()) < 5 * 0.01 / np.sqrt(4000)
    assert all((np.asarray(layer.bias[...]) == 0.1).all() for layer in (*module.body, module.head))


@pytest.mark.parametrize("name", SETS)
def test_a_tenth_of_the_rows_is_kept_for_testing(name):
    rows, tests = simulation.split(Config(name, n=200))
    assert (rows.n, tests.n) == (180, 20)
    drawn = SETS[name](n=200, seed=0)
    both = np.concatenate([rows.x, tests.x])
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(drawn.x, axis=0))


def test_half_plane_leaves_out_a_tenth_of_the_sum():
    rows = SETS["half-plane"](n=2000)
    closest = np.abs(rows.x.sum(axis=1) - 1).min()
    assert 0.1 - 1e-12 <= closest < 0.101


def test_the_optimizers_are_those_of_tensorflow():
    """One step from zero with a slope g, by hand."""
    g, rate = np.array([3.0, -0.5]), 0.1
    step = {
        "gd": -rate * g,
        "momentum": -rate * g,
        "adam": -rate * np.sign(g),
        "rmsprop": -rate * g / np.sqrt(0.9 * 1.0 + 0.1 * g**2 + 1e-10),
    }
    for name, build in OPTIMIZERS.items():
        method = build(rate)
        found, _ = method.update(g, method.init(np.zeros(2)), np.zeros(2))
        np.testing.assert_allclose(found, step[name], rtol=1e-5)


@pytest.mark.slow
def test_records_run_from_the_start_to_the_end(runs):
    assert runs.records.values.tolist() == [
        int((r.step >= 0).sum()) for _, r in runs.groupby("run")
    ]
    for config, last in ((TINY, TINY.steps), (MOONS, 0)):
        run = runs.isel(run=[TINY, MOONS].index(config))
        steps = run.step.values[: int(run.records)]
        assert (steps[0], steps[-1]) == (0, last)
        assert (np.diff(steps) > 0).all()
        start = evaluate(simulation.network(config), simulation.split(config)[0])
        assert run.log_loss.values[0] == start.log_loss


@pytest.mark.slow
def test_a_network_learns_blobs_and_its_record_is_that_of_its_layer(runs):
    """The last record against what the kept features, layer and SVM give by themselves."""
    run = runs.isel(run=0)
    end = run.isel(record=int(run.records) - 1)
    rows, _ = simulation.split(TINY)
    assert bool(end.separable)
    assert float(end.train_accuracy) == float(end.test_accuracy) == 1.0
    assert run.sizes["row"] == rows.n < simulation.SHOWN  # all are shown: nothing is lost
    kept = Problem(run.feature.values, run.label.values)
    for kind in ("augmented", "free"):
        svm, saved = max_margin(kept, bias=kind), run.sel(against=kind)
        # Features are kept in float32.
        np.testing.assert_allclose(saved.svm_w, svm.w, rtol=1e-4)
        np.testing.assert_allclose(saved.svm_b, svm.b, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(np.flatnonzero(saved.support_vector), svm.support)
    again = last_layer_gaps(kept.x, kept.y, run.weight.values, run.bias.values)
    np.testing.assert_allclose(end.angle, again.angle, rtol=1e-3)
    np.testing.assert_allclose(end.margin_gap, again.margin_gap, rtol=1e-3)


@pytest.mark.slow
def test_the_grid_is_that_of_the_network(runs):
    """Blobs are separated in the input plane too: the nearest grid points know their class."""
    run = runs.isel(run=0)
    i, j = (
        np.abs(run[axis].values - run.x.values[:, k, None]).argmin(axis=1)
        for k, axis in enumerate(("x1", "x2"))
    )
    assert (np.sign(run.score.values[j, i]) == run.label.values).mean() > 0.95


@pytest.mark.slow
def test_not_separable_is_no_error(runs):
    run = runs.isel(run=1)
    end = run.isel(record=int(run.records) - 1)
    assert not end.separable
    assert end.conflicting > 0
    assert np.isnan(end.svm_w).all()
    assert not end.support_vector.any()


@pytest.mark.slow
def test_configurations_label_the_runs(runs):
    provenance = json.loads(runs.attrs["provenance"])["config"]["runs"]
    assert [Config(**one) for one in provenance] == [TINY, MOONS]
    for key, value in asdict(TINY).items():
        assert runs[key].values[0] == value


@pytest.mark.slow
def test_a_diverging_run_ends_at_its_last_record_before(runs, monkeypatch):
    """At once: at the start, untrained. After step 2: a new network is trained for two steps."""
    assert runs.diverged.values.tolist() == [False, True]
    np.testing.assert_array_equal(runs.bias.values[1], [0.1, 0.1])
    asked = []
    monkeypatch.setattr(simulation, "train", diverging(simulation.train, 2, asked))
    found = simulation.run(MOONS)
    assert bool(found.diverged)
    assert found.step.values.tolist() == [0, 1, 2]
    assert asked == [2]
    np.testing.assert_array_equal(found.bias.values, [0.3, 0.2])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e80])
def test_what_no_svm_can_be_asked_of_has_diverged(value):
    x = np.array([[0.0, 1.0], [1.0, value]])
    with pytest.raises(DivergedError):
        simulation._finite_gaps(x, np.array([0, 1]), np.eye(2), np.zeros(2))


@pytest.mark.slow
def test_an_interrupted_call_goes_on(runs, tmp_path, monkeypatch):
    """Stopped after the first run: the second call finds it."""
    target, done = tmp_path / "out" / "li2018_simulated-smoke.nc", []
    stop = {MOONS}

    def counted(config, checkpoints):
        assert checkpoints.parent == target.with_suffix(".parts")
        if config in stop:
            raise KeyboardInterrupt
        done.append(config)
        one = runs.isel(run=[TINY, MOONS].index(config))
        return one.drop_vars([*asdict(TINY), "records"]).isel(record=slice(int(one.records)))

    monkeypatch.setattr(simulation, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        simulation.simulate([TINY, MOONS], target)
    assert not target.exists()
    stop.clear()
    simulation.simulate([TINY, MOONS], target)
    assert done == [TINY, MOONS]
    assert [p.name for p in target.parent.iterdir()] == [target.name]
    xr.testing.assert_identical(load(target), runs)


@pytest.mark.slow
def test_nothing_is_overwritten(results, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "smoke", (TINY, MOONS))
    before = (results / "li2018_simulated-smoke.nc").read_bytes()
    assert simulation.main(["--out", str(results)]) == 2
    assert "exists" in capsys.readouterr().err
    assert (results / "li2018_simulated-smoke.nc").read_bytes() == before


def test_one_optimizer_at_a_time(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(simulation, "simulate", lambda *given: asked.append(given))
    arguments = ["--preset", "paper", "--optimizer", "rmsprop", "--out", str(tmp_path)]
    assert simulation.main(arguments) == 0
    ((configs, target),) = asked
    assert {c.optimizer for c in configs} == {"rmsprop"}
    assert target.name == "li2018_simulated-paper-rmsprop.nc"
    assert capsys.readouterr().out == f"{target}\n"


def test_an_unknown_choice_is_refused():
    with pytest.raises(DataError, match="unknown data_set"):
        Config("spirals")


@pytest.mark.slow
def test_the_figure_reads_what_was_saved(results, tmp_path):
    drawn = figure(results)
    assert len(drawn.axes) == 8
    titles = [ax.get_title() for ax in drawn.axes]
    assert titles[0].startswith("blobs")
    assert titles[3].startswith("not separable")
    drawn.savefig(tmp_path / "figure.png")
    shutil.rmtree(tmp_path)
    with pytest.raises(DataError, match="run a simulation first"):
        figure(tmp_path)
