"""A tiny network's layers over training, and sentences that can come out either way."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from figures import hidden_layers as drawn
from simulations import synchronicity
from simulations.hidden_layers import DATA, EIGHT, NETWORKS, STUDIES, network
from svmconv.errors import DataError
from svmconv.results import load, save

TINY = synchronicity.Config(
    data="digits", network="MLP", rows=150, width=0.05, seeds=2, epochs=5, batch=50, hidden=100,
    rate=1e-2, pretraining=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return synchronicity.run(TINY)


def test_every_layer_at_every_record_of_every_seed(found):
    assert found.sizes["seed"] == 2
    assert found.step.values.tolist() == [0, 3, 6, 9, 12, 15]
    assert found.layer.values.tolist() == [*(f"hidden_{i}" for i in range(1, 5)), "penultimate"]
    for name in ("means_ls_0", "ls_0", "nc1", "probe_accuracy"):
        assert found[name].dims == ("seed", "step", "layer")
        assert np.isfinite(found[name]).all(), name
    assert found.accuracy.dims == ("seed", "step")
    assert (found.accuracy[:, -1] > found.accuracy[:, 0] + 0.1).all()
    assert (found.log_loss[:, -1] < found.log_loss[:, 0]).all()
    assert found.correlation.dims == (
        "measure", "progress", "layer", "statistic", "of_interval"
    )  # fmt: skip


@pytest.mark.slow
def test_equal_runs_are_equal(found):
    again = synchronicity.run(replace(TINY, seeds=1))
    first, same = (one.isel(seed=0).drop_vars("correlation") for one in (found, again))
    xr.testing.assert_identical(first, same)


def made_up(level, step=0.0, layers=3, seeds=8, fade=0.0):
    """Layers whose increments are those of accuracy times `step`, plus noise and a trend.

    With `fade` the increments of both shrink alike.
    """
    rng = np.random.default_rng(0)
    shrink = np.exp(-fade * np.arange(12))
    moves = shrink * rng.uniform(0.0, 0.02, (seeds, 12))
    accuracy = 0.3 + moves.cumsum(axis=1)
    own = step * moves[..., None] + rng.uniform(-1, 1, (seeds, 12, layers)) * 0.005 + 0.02 * level
    own = shrink[:, None] * own if fade else own
    measure = own.cumsum(axis=1)
    columns = dict.fromkeys(synchronicity.CORRELATED, (("seed", "step", "layer"), measure))
    for name in synchronicity.FALLING:
        columns[name] = ("seed", "step", "layer"), -measure
    both = {"accuracy": (("seed", "step"), accuracy), "log_loss": (("seed", "step"), -accuracy)}
    records = xr.Dataset(columns | both, {"layer": [f"l{i}" for i in range(layers)]})
    return records.merge(synchronicity.correlations(records))


@pytest.mark.parametrize(
    ("level", "step", "words"),
    [
        (1.0, 3.0, "holds: of 3 layers 3 move with .* in increments 3 do, 3 of them more"),
        (1.0, 0.0, "holds as a trend: of 3 layers 3 move .* in increments 0 do"),
        (0.0, 0.0, "is undecided: of 3 layers 0 move with accuracy, 0 do not"),
        (-1.0, 0.0, "does not hold: of 3 layers 0 move with accuracy, 3 do not"),
        (-1.0, -3.0, "does not hold: of 3 layers 0 move with accuracy, 3 do not"),
    ],
)
def test_a_verdict_can_come_out_each_way(level, step, words):
    assert re.match(words, synchronicity.verdict(made_up(level, step)))


def test_curves_that_merely_level_off_together_hold_as_a_trend():
    """Their increments shrink together, with those of any other run as well."""
    said = synchronicity.verdict(made_up(1.0, 0.0, fade=0.3))
    assert re.match(r"holds as a trend: .* in increments 3 do, 0 of them more", said)


def test_what_falls_is_taken_with_its_sign_turned():
    of = made_up(1.0, 3.0).correlation.sel(statistic="spearman", of_interval="mean")
    np.testing.assert_allclose(of.sel(measure="nc1"), of.sel(measure="ls_0"))
    np.testing.assert_allclose(of.sel(progress="log_loss"), of.sel(progress="accuracy"))


def test_the_table_shows_every_layer_with_its_intervals():
    found = made_up(1.0, 3.0)
    head, *rows = synchronicity.table(found).splitlines()
    assert head.split() == ["layer", "spearman", "spearman_increments", "excess"]
    assert [row.split()[0] for row in rows] == ["l0", "l1", "l2"]
    told = found.correlation.sel(
        measure=synchronicity.SHOWN, progress="accuracy", layer="l1", statistic="excess"
    )
    mean, low, high, _ = told.to_numpy()
    assert rows[1].endswith(f"{mean:5.2f} [{low:5.2f}, {high:5.2f}]")


def test_nothing_moves_nothing_is_said():
    still = made_up(1.0)
    still["correlation"] = still.correlation * np.nan
    assert synchronicity.verdict(still).startswith("nothing to correlate")


def test_the_same_command_goes_on(tmp_path, monkeypatch, found, capsys):
    other = replace(TINY, network="MLP of 1 layers", seeds=1, epochs=1)
    small = {"smoke": (TINY, other)}
    monkeypatch.setattr(synchronicity, "PRESETS", small)
    out = tmp_path / "synchronicity-smoke"
    out.mkdir()
    save(found, out / "digits-MLP.nc", asdict(TINY))
    before = (out / "digits-MLP.nc").read_bytes()
    assert synchronicity.main(["--out", str(tmp_path)]) == 0
    assert (out / "digits-MLP.nc").read_bytes() == before
    assert load(out / "digits-MLP-of-1-layers.nc").sizes["layer"] == 1
    assert capsys.readouterr().out.count("digits-") == 2
    monkeypatch.setattr(synchronicity, "PRESETS", {"smoke": (replace(TINY, epochs=6),)})
    assert synchronicity.main(["--out", str(tmp_path)]) == 2
    assert "is of another configuration: remove it" in capsys.readouterr().err
    assert synchronicity.main(["--out", str(tmp_path), "--run", "digits-MPL"]) == 2
    assert "did you mean 'digits-MLP'?" in capsys.readouterr().err


def test_every_picture_is_drawn_from_what_is_saved(tmp_path, found):
    with pytest.raises(DataError, match="run a simulation first"):
        drawn.layers_over_training(tmp_path)
    (tmp_path / "synchronicity-cpu").mkdir()
    save(found, tmp_path / "synchronicity-cpu" / "digits-MLP.nc", asdict(TINY))
    for draw in (drawn.layers_over_training, drawn.synchronicity, drawn.collapse_curves):
        assert isinstance(draw(tmp_path), Figure)
    (heat,) = (ax for ax in drawn.layers_over_training(tmp_path).axes if ax.get_title() == "MLP")
    shown = np.asarray(heat.images[0].get_array())
    missing = 1.0 - found.means_ls_0.mean("seed").transpose("layer", "step")
    np.testing.assert_allclose(shown, missing)


def test_names_of_networks_and_runs():
    assert list(EIGHT) == list(drawn.NETWORKS)
    assert set(EIGHT) | set(STUDIES) == set(NETWORKS)
    for configs in synchronicity.PRESETS.values():
        assert len({config.name for config in configs}) == len(configs)
        assert {config.network for config in configs} <= set(NETWORKS)
        assert {config.data for config in configs} <= set(DATA)


@pytest.mark.slow
def test_a_dbn_is_pretrained_first():
    runs = [replace(TINY, network="DBN", seeds=1, epochs=1, pretraining=n) for n in (1, 5)]
    first, more = (synchronicity.run(config) for config in runs)
    assert first.sizes["layer"] == 3
    assert (first.means_ls_0.isel(step=0) != more.means_ls_0.isel(step=0)).any()


@pytest.mark.parametrize("name", ["MLP tanh", "MLP of 16 units", "MLP of 3 layers"])
def test_studies_change_one_thing_of_the_mlp(name):
    plain, other = (network(n, (8, 8, 1), 10, 0.25, 0) for n in ("MLP", name))
    units = [layer.out_features for layer in other.body]
    same = [layer.out_features for layer in plain.body]
    changed = (
        other.activation != plain.activation,
        units[0] != same[0],
        len(units) != len(same),
    )
    assert sum(changed) == 1


KEPT = sorted((Path(__file__).parents[2] / "results").glob("synchronicity-*/*.nc"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_the_document_says_is_what_the_kept_results_say(path):
    document = (Path(__file__).parents[2] / "docs" / "synchronicity.md").read_text("utf-8")
    kept = load(path)
    assert f"```\n{synchronicity.table(kept)}\n```" in document
    assert synchronicity.verdict(kept)[1:] + "." in document
