"""Simplices known by hand, settings that change what they say, a tiny network, the verdict."""

import json
from dataclasses import asdict, replace

import jax
import numpy as np
import pytest
import xarray as xr
from flax import nnx
from matplotlib.figure import Figure
from scipy.linalg import expm

from figures.simplex_symmetry import curves, planes
from simulations import command
from simulations import simplex_symmetry as simulation
from simulations.simplex import SHOWN, nearest_simplex, picture, plane_of
from simulations.stages import log_spaced, stages
from svmconv import data
from svmconv.errors import DataError
from svmconv.measures.neural_collapse import neural_collapse
from svmconv.results import load
from svmconv.training.evaluate import evaluate
from svmconv.training.train import train
from tests.tolerances import ROUNDING

TINY = simulation.Config(
    classes=(4,), settings=("plain", "random labels"), seeds=1, rows=20, fewer=5, hidden=(32,),
    penultimate=8, epochs=40, batch=10, rate=0.03, records=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny():
    return simulation.run(TINY)


@pytest.fixture(scope="module")
def trained():
    setting = simulation.SETTINGS["plain"]
    found, (rows, _) = simulation._trained(TINY, 3, setting, 0, (1, 40))
    return [module for _, module in found], rows


def regular(k, rng):
    """A regular simplex with k corners, turned, scaled and moved at random."""
    corners = np.eye(k) - 1.0 / k
    plane = np.linalg.svd(corners)[2][: k - 1].T
    turn = np.linalg.qr(rng.normal(size=(k - 1, k - 1)))[0]
    return rng.uniform(0.5, 2.0) * corners @ plane @ turn + rng.normal(size=k - 1)


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_a_regular_simplex_is_its_own_nearest(k):
    points = regular(k, np.random.default_rng(k))
    np.testing.assert_allclose(nearest_simplex(points), points, atol=ROUNDING * 10)


@pytest.mark.parametrize("k", [3, 4])
def test_no_other_regular_simplex_is_nearer(k):
    rng = np.random.default_rng(k)
    points = rng.normal(size=(k, k - 1))
    nearest = nearest_simplex(points)
    sides = np.linalg.norm(nearest[:, None] - nearest, axis=2)[np.triu_indices(k, 1)]
    np.testing.assert_allclose(sides, sides[0], rtol=ROUNDING * 10)
    least = ((nearest - points) ** 2).sum()
    others = [regular(k, rng) for _ in range(1000)]
    for size in np.geomspace(1e-4, 1e-1, 500):  # and near ones, turned, scaled and moved a little
        a = rng.normal(size=(k - 1, k - 1))
        scale, move = 1.0 + size * rng.normal(), size * rng.normal(size=k - 1)
        others.append(scale * nearest @ expm(size * (a - a.T)) + move)
    assert min(((other - points) ** 2).sum() for other in others) >= least


def test_the_plane_holds_the_means():
    means = np.random.default_rng(0).normal(size=(3, 9))
    along = (means - means.mean(axis=0)) @ plane_of(means)
    assert along.shape == (3, 2)
    between, kept = (np.linalg.norm(m[:, None] - m, axis=2) for m in (means, along))
    np.testing.assert_allclose(kept, between, atol=ROUNDING * 10)


def test_settings_change_what_they_say():
    rows, test = TINY.problems(4)
    assert np.bincount(rows.index).tolist() == [20] * 4
    assert rows.n + test.n == 720
    for name in ("plain", "adam", "bounded activation: tanh"):
        same = simulation.varied(rows, test, simulation.SETTINGS[name], 5, 0)
        assert [p.id for p in same] == [rows.id, test.id]
    random, random_test = simulation.varied(rows, test, simulation.SETTINGS["random labels"], 5, 0)
    for before, after in ((rows, random), (test, random_test)):
        np.testing.assert_array_equal(before.x, after.x)
        assert np.bincount(before.index).tolist() == np.bincount(after.index).tolist()
        assert 0.1 < (before.y == after.y).mean() < 0.4
    few, same_test = simulation.varied(rows, test, simulation.SETTINGS["unequal classes"], 5, 0)
    assert np.bincount(few.index).tolist() == [20, 20, 4, 4]
    assert same_test.id == test.id
    of_few = {(*x, y) for x, y in zip(few.x, few.y, strict=True)}
    assert of_few <= {(*x, y) for x, y in zip(rows.x, rows.y, strict=True)}


def test_training_in_stages_is_training_at_once():
    rows, _ = TINY.problems(3)
    optimizer = simulation.descent(False, 0.03, 240, 5e-4)
    module = TINY.network(3, simulation.SETTINGS["plain"], 0, rows.d)
    before = jax.tree.leaves(nnx.state(nnx.clone(module)))
    staged = list(stages(module, rows, optimizer, (1, 3, 4), batch=10, seed=5))
    assert [epoch for epoch, _ in staged] == [0, 1, 3, 4]
    once = nnx.clone(module)
    train(once, rows, optimizer, epochs=4, batch=10, seed=5)
    for a, b in zip(*(jax.tree.leaves(nnx.state(m)) for m in (staged[-1][1], once)), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(before, jax.tree.leaves(nnx.state(module)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_epochs_are_log_spaced_and_end_at_the_last():
    assert log_spaced(100, 3) == (1, 10, 100)
    assert log_spaced(4, 10) == (1, 2, 3, 4)


def test_a_tiny_network_draws_its_classes_together_and_random_labels_less(tiny):
    plain, random = (tiny.sel(setting=s, classes=4, seed=0) for s in TINY.settings)
    start, end = (plain.sel(rows="train").isel(epoch=e) for e in (0, -1))
    assert end.accuracy == 1.0
    assert start.accuracy < 0.8
    assert end.nc1 < start.nc1 / 3
    assert end.nc3 < start.nc3 / 3
    assert plain.isel(epoch=-1).sel(rows="test").accuracy > 0.75  # three times chance
    assert random.isel(epoch=-1).sel(rows="test").accuracy < 0.4
    assert random.isel(epoch=-1).sel(rows="test").nc1 > 10 * float(end.nc1)
    assert set(simulation.MEASURES) <= set(tiny.data_vars)


def test_an_untrained_network_is_far_from_the_simplex(tiny):
    start = tiny.isel(epoch=[0, 0]).sel(classes=4, rows="train")
    for setting in TINY.settings:
        one = start.sel(setting=setting)
        assert simulation.verdict(one) == "not reached"
        assert (one.nc2_angle > simulation.REACHED).all()


def test_shuffled_classes_of_a_trained_network_are_no_collapse(trained):
    modules, rows = trained
    seen = evaluate(modules[-1], rows).features
    own = neural_collapse(seen, rows.y)
    shuffled = [
        neural_collapse(seen, np.random.default_rng(n).permutation(rows.y)) for n in range(5)
    ]
    assert own.nc1 < 0.1
    assert min(found.nc1 for found in shuffled) > 100 * own.nc1
    assert np.mean([found.nc2_angle for found in shuffled]) > 2 * own.nc2_angle


def test_the_picture_is_the_plane_of_the_class_means():
    """Three classes in five dimensions, two of which hold the means; more rows than are kept."""
    rng = np.random.default_rng(0)
    corners, turn = rng.normal(size=(3, 2)), np.linalg.qr(rng.normal(size=(5, 5)))[0]
    few, many = np.repeat([0, 1, 2], [40, 9, 2]), np.repeat([0, 1, 2], 2 * SHOWN)
    flat = corners[few] @ turn[:2]
    tall = corners[many] @ turn[:2] + np.outer(rng.normal(size=len(many)), turn[2])
    found = picture(flat, tall, few, many)
    assert found.in_plane[0] == pytest.approx(1.0)
    assert found.in_plane[1] == pytest.approx(
        corners.var(axis=0).sum() / tall.var(axis=0).sum(), rel=ROUNDING
    )
    for rows, counts in enumerate(([40, 9, 2], [SHOWN] * 3)):
        label, shown = found.label[rows].to_numpy(), found.projected[rows].to_numpy()
        assert [(label == k).sum() for k in range(3)] == counts
        assert np.isnan(shown[label < 0]).all()
        means = found.means.to_numpy()[label[label >= 0]]
        np.testing.assert_allclose(shown[label >= 0], means, atol=1e-6)  # kept as float32
    sides, kept = (np.linalg.norm(m[:, None] - m, axis=2) for m in (corners, found.means.values))
    np.testing.assert_allclose(kept, sides, atol=ROUNDING * 10)


def series(angle, norm):
    """Measures over (seed, epoch): two seeds."""
    dims = ("seed", "epoch")
    return xr.Dataset({"nc2_angle": (dims, angle), "nc2_norm": (dims, norm)})


@pytest.mark.parametrize(
    ("angle", "norm", "expected"),
    [
        ([[0.3, 0.05]] * 2, [[0.3, 0.05]] * 2, "reached"),
        ([[0.3, 0.05], [0.3, 0.12]], [[0.3, 0.05]] * 2, "approached"),
        ([[0.3, 0.05], [0.3, 0.2]], [[0.3, 0.05]] * 2, "not reached"),
        ([[0.3, 0.05]] * 2, [[0.3, 0.05], [0.3, 0.16]], "not reached"),
        ([[0.3, np.nan]] * 2, [[0.3, 0.05]] * 2, "not reached"),
    ],
)
def test_the_verdict_takes_every_seed_and_both_measures(angle, norm, expected):
    assert simulation.verdict(series(angle, norm)) == expected


def test_chance_in_sixteen_dimensions_is_no_simplex():
    """Points at random: the module's estimates of what they look like, and the verdict."""
    rng, y = np.random.default_rng(0), np.repeat(np.arange(10), 2)
    found = [neural_collapse(np.repeat(rng.normal(size=(10, 16)), 2, axis=0), y) for _ in range(50)]
    angle, norm = np.mean([f.nc2_angle for f in found]), np.mean([f.nc2_norm for f in found])
    # The estimates are for many points in many dimensions; ten of them share their mean.
    assert angle == pytest.approx(np.sqrt(2 / (np.pi * 16)), rel=0.1)
    assert norm == pytest.approx(np.sqrt(1 / (2 * 16)), rel=0.15)
    assert min(f.nc2_angle for f in found) > simulation.REACHED


def test_the_command_writes_what_the_figures_draw(tiny, tmp_path, capsys):
    argv = ["--out", str(tmp_path)]
    args = ("simplex_symmetry", {"smoke": TINY}, lambda _: tiny, "Doc.", argv)
    assert command.main(*args, summary=simulation.summary) == 0
    legend, *said = capsys.readouterr().out.splitlines()[1:]
    assert legend.startswith(f"reached: nc2_angle and nc2_norm end below {simulation.REACHED}")
    assert [line.partition(":")[0] for line in said] == [
        f"4 classes, {setting.replace(': ', ' ')}" for setting in TINY.settings
    ]
    saved = load(tmp_path / "simplex_symmetry-smoke.nc")
    np.testing.assert_array_equal(saved.nc1, tiny.nc1)
    config = json.loads(saved.attrs["provenance"])["config"]
    assert config == json.loads(json.dumps(asdict(TINY)))
    for draw in (planes, curves):
        assert isinstance(draw(tmp_path), Figure)


@pytest.mark.parametrize("draw", [planes, curves])
def test_a_missing_result_is_one_sentence(draw, tmp_path):
    with pytest.raises(DataError, match=r"simplex_symmetry-smoke\.nc: no such file"):
        draw(tmp_path)


@pytest.mark.parametrize("config", simulation.PRESETS.values(), ids=simulation.PRESETS)
def test_presets_leave_room_for_a_simplex_and_rows_in_every_class(config):
    assert config.penultimate >= max(config.classes) - 1
    assert config.rows // config.fewer >= 2
    assert set(config.settings) == set(simulation.SETTINGS)
    assert config.seeds >= 2


def test_digits_are_scaled_by_the_training_rows():
    rows, test = replace(TINY, rows=100).problems(10)
    np.testing.assert_allclose(rows.x.mean(axis=0), 0.0, atol=1e-12)
    own = data.digits()
    first = np.concatenate([np.flatnonzero(own.index == k)[:100] for k in range(10)])
    scale = own.x[first].std()
    back = np.concatenate([p.x for p in (rows, test)]) * scale + own.x[first].mean(axis=0)
    np.testing.assert_allclose(np.sort(back, axis=0), np.sort(own.x, axis=0), atol=1e-12)
    assert np.bincount(rows.index).tolist() == [100] * 10
