"""Digits and a small network through the code that every image simulation runs."""

import json
from dataclasses import asdict, dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from flax import nnx

import svmconv as sc
from figures import __main__ as figures
from simulations import (
    blobs_three_class,
    cifar_densenet,
    images,
    mnist_densenet,
    mnist_mlp,
    mnist_resnet,
)
from svmconv import data
from svmconv.errors import DataError
from svmconv.measures.last_layer import last_layer_gaps
from svmconv.models import MLP
from svmconv.problem import Problem
from svmconv.results import load
from svmconv.svm.result import MaxMargin
from svmconv.training.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Digits(images.Config):
    def problem(self, split):
        whole = data.digits((0, 1))
        rows = slice(0, 200) if split == "train" else slice(200, None)
        return Problem(whole.x[rows] / 16.0, whole.y[rows], f"digits {split}")

    def network(self):
        return MLP(
            (64, 8, 2, 2),
            penultimate_activation=self.penultimate,
            dtype="float32",
            rngs=nnx.Rngs(self.seed),
        )


LEAKY = Digits(
    optimizer="adam", penultimate="leaky_relu", rate=1e-2, batch=50, epochs=10, late_steps=200
)
RELU = replace(LEAKY, penultimate="relu")
PRESETS = {"smoke": (LEAKY, RELU), "paper": (replace(LEAKY, optimizer="sgd"),)}


def approaching(config, checkpoints=None):
    """What `run` returns, of a last layer that turns towards the SVM while its norm doubles."""
    problem = data.half_spaces(n=60, d=2)
    x, svm = problem.x.astype(np.float32), sc.max_margin(Problem(problem.x, problem.y))
    tracker, aside = Tracker(last_layer_gaps), np.array([-svm.w[1], svm.w[0]])
    turned = [2.0**step * (svm.w + 0.5**step * 0.2 * aside) / 2 for step in range(6)]
    weights, zero = [np.stack([-w, w]).astype(np.float32) for w in turned], np.zeros(2, np.float32)
    for step, weight in enumerate(weights):
        tracker.record(step, -(2.0**step), x, problem.y, weight, zero)
    stages = xr.Dataset(
        {
            "x": (("stage", "row", "feature"), np.stack([x, x])),
            "w": (("stage", "class", "feature"), np.stack([weights[3], weights[-1]])),
            "b": (("stage", "class"), np.stack([zero, zero])),
            "log_loss_left": ("stage", [-1.0, -32.0]),
            "train_accuracy": ("stage", [1.0, 1.0]),
            "test_accuracy": ("stage", [1.0, 0.5]),
        },
        {"stage": list(images.STAGES)},
    )
    late = xr.DataArray(np.arange(6) > 2, dims="step")
    settling = xr.zeros_like(late)
    found = tracker.dataset.merge(stages)
    return found.assign(late=late, settling=settling, y=("row", problem.y))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two runs as written by the command, training left out."""
    out = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "run", approaching)
        assert images.main("mnist_resnet", PRESETS, "Digits.", ["--out", str(out)]) == 0
    return out / "mnist_resnet-smoke"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was trained."""
    out = tmp_path_factory.mktemp("trained")
    assert list(images.simulate([LEAKY], out)) == [out / LEAKY.name]
    return out


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_gaps_fall_with_the_loss_through_the_late_phase(trained):
    curves = load(trained / LEAKY.name / "curves.nc")
    assert (np.diff(curves.step) > 0).all()
    assert curves.separable[-1]
    trained_to, left_at = curves.log_loss_left.to_numpy()
    assert left_at < 10 * trained_to < 0
    late = curves.isel(step=curves.late.values.astype(bool)).sel(against="augmented")
    assert late.sizes["step"] > 10
    assert (np.diff(late.log_loss) < 0).all()
    assert float(late.angle[-1]) < float(late.angle[0])
    assert float(late.margin_gap[-1]) < float(late.margin_gap[0])
    # The network reached its loss: the last layer alone gives it back from the kept features.
    np.testing.assert_allclose(curves.layer_log_loss[-1], curves.log_loss[-1], rtol=1e-4)


@pytest.mark.slow
def test_the_last_layer_settles_without_momentum():
    found = images.run(replace(LEAKY, late_log_loss=-8.0, late_steps=4_000, settling=0.75))
    settling, log_loss = found.settling.to_numpy(), found.log_loss.to_numpy()
    assert (np.diff(found.step) > 0).all()
    assert (np.diff(log_loss[found.late.to_numpy()]) < 0).all()
    assert found.late.to_numpy()[settling].all()
    np.testing.assert_array_equal(settling, log_loss <= -6.0)
    assert log_loss[-1] <= -8.0
    assert found.late_stopped == "log_loss"
    assert "without momentum, from ln L = -6" in images.summary(found)


@pytest.mark.slow
@pytest.mark.parametrize("stage", images.STAGES)
def test_kept_layers_are_those_of_the_curves(trained, stage):
    folder = trained / LEAKY.name
    curves = load(folder / "curves.nc")
    with np.load(folder / f"{stage}.npz") as kept:
        report = sc.audit(kept["x"], kept["y"], kept["w"], kept["b"])
        assert kept["x"].dtype == np.float32
        problem = Problem(kept["x"], kept["y"])
    late = np.flatnonzero(curves.late.values)
    record = curves.isel(step=late[0] if stage == "trained" else late[-1])
    ours = report.gaps.sel(against="augmented")
    for name in ("angle", "margin_gap", "bias_gap"):
        np.testing.assert_allclose(ours[name], record[name].sel(against="augmented"), rtol=1e-9)
    assert MaxMargin.load(folder / f"{stage}.svm.npz").problem_id == problem.id
    accuracy = float(curves.train_accuracy.sel(stage=stage))
    assert accuracy == 1 - report.errors / problem.n


@pytest.mark.slow
def test_leaky_units_collapse_no_class(trained):
    assert not load(trained / LEAKY.name / "curves.nc").collapsed.any()
    with np.load(trained / LEAKY.name / "late.npz") as kept:
        assert all(len(np.unique(kept["x"][kept["y"] == k], axis=0)) > 50 for k in (0, 1))


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_curve(trained, tmp_path):
    """Checkpoints of a run with fewer late steps, then the whole of it."""
    images.run(replace(LEAKY, late_steps=50), tmp_path)
    resumed = images.run(LEAKY, tmp_path)
    whole = load(trained / LEAKY.name / "curves.nc")
    for name in ("step", "log_loss", "angle", "late"):
        np.testing.assert_array_equal(resumed[name], whole[name])


@pytest.mark.slow
@pytest.mark.parametrize("stage", images.STAGES)
def test_what_is_kept_is_what_was_run(results, stage):
    found = approaching(RELU).sel(stage=stage)
    with np.load(results / RELU.name / f"{stage}.npz") as kept:
        for name in images.LAYER:
            np.testing.assert_array_equal(kept[name], found[name])
            assert kept[name].dtype == found[name].dtype
        problem = Problem(kept["x"], kept["y"])
    assert MaxMargin.load(results / RELU.name / f"{stage}.svm.npz").problem_id == problem.id
    curves = load(results / RELU.name / "curves.nc")
    assert not set(images.LAYER) & set(curves)
    np.testing.assert_array_equal(curves.angle, approaching(RELU).angle)


@pytest.mark.slow
def test_rows_that_nothing_separates_are_kept_without_an_svm(tmp_path):
    found = approaching(LEAKY)
    found["y"] = found.y.roll(row=1)
    images.write(found, tmp_path, asdict(LEAKY))
    assert {p.name for p in tmp_path.iterdir()} == {"curves.nc", "trained.npz", "late.npz"}


def test_provenance_names_the_configuration(results):
    curves = load(results / LEAKY.name / "curves.nc")
    assert json.loads(curves.attrs["provenance"])["config"] == json.loads(json.dumps(asdict(LEAKY)))


def test_nothing_is_overwritten(results, capsys):
    before = files(results)
    argv = ["--out", str(results.parent), "--run", LEAKY.name]
    assert images.main("mnist_resnet", PRESETS, None, argv) == 2
    assert capsys.readouterr().err == (
        f"{results / LEAKY.name} exists: remove it or choose another folder with --out\n"
    )
    assert files(results) == before


def test_a_failed_run_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    def fail(config, checkpoints):
        raise DataError("out of digits")

    monkeypatch.setattr(images, "run", fail)
    assert images.main("digits", PRESETS, None, ["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "out of digits\n"
    assert list((tmp_path / "digits-smoke").iterdir()) == []


def test_a_run_of_another_preset_is_one_sentence(tmp_path, capsys):
    argv = ["--out", str(tmp_path), "--run", "sgd-leaky_relu-seed-0"]
    assert images.main("digits", PRESETS, None, argv) == 2
    assert capsys.readouterr().err.startswith("preset smoke has no run sgd-leaky_relu-seed-0")


@pytest.mark.slow
def test_the_figures_read_what_was_saved(results, tmp_path):
    assert figures.main(str(results.parent), str(tmp_path)) == 0
    assert {p.stem for p in tmp_path.iterdir()} == {"mnist_resnet_planes", "mnist_resnet_gaps"}


@pytest.mark.parametrize(
    ("simulation", "pixels", "k"),
    [
        (mnist_resnet, 144, 2),
        (mnist_mlp, 784, 2),
        (mnist_densenet, 784, 3),
        (cifar_densenet, 3072, 2),
        (blobs_three_class, 2, 3),
    ],
)
def test_presets_name_their_runs_and_have_two_penultimate_units(simulation, pixels, k):
    for configs in simulation.PRESETS.values():
        assert len({config.name for config in configs}) == len(configs)
        assert {"relu", "leaky_relu"} >= {config.penultimate for config in configs}
    if "paper" in simulation.PRESETS:
        assert {c.penultimate for c in simulation.PRESETS["paper"]} == {"relu", "leaky_relu"}
    with jax.enable_x64(True):
        network = nnx.eval_shape(simulation.PRESETS["smoke"][0].network)
        graph, state = nnx.split(network)
        rows = jax.ShapeDtypeStruct((4, pixels), jnp.float32)
        logits, hidden = jax.eval_shape(lambda s, x: nnx.merge(graph, s)(x), state, rows)
    assert logits.shape == (4, k)
    assert hidden["penultimate"].shape == (4, 2)


def test_blobs_are_split_into_nine_tenths_and_one():
    config = blobs_three_class.PRESETS["paper"][0]
    train, test = config.problem("train"), config.problem("test")
    assert (train.n, test.n, train.n_classes, test.n_classes) == (4500, 500, 3, 3)
    whole = data.multiclass_blobs()
    np.testing.assert_array_equal(np.concatenate([train.x, test.x]), whole.x)


def test_a_summary_says_what_came_out_and_how_far_it_swings():
    found = approaching(LEAKY)
    last = found.sel(against="augmented").isel(step=[4, 5])  # ln L = -16, -32
    words = images.summary(found).splitlines()
    assert "trained: ln L = -1, accuracy on training rows 1.0000, on test rows 1.0000" in words[0]
    assert f"margin {1 - float(last.margin_gap.median()):.4g} [" in words[3]
    assert f"angle of (w, b) {float(last.angle.median()):.4g} [" in words[3]
    nothing = found.assign(separable=("step", np.zeros(6, bool)))
    assert images.summary(nothing).endswith("not separable at the end: no exact SVM")
