"""The attack against its closed form on linear models, the replaced head, a tiny network."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from flax import nnx
from matplotlib.figure import Figure

from figures.adversarial import adversarial as draw
from simulations import adversarial
from svmconv import data
from svmconv.models import MLP, last_layer
from svmconv.problem import Problem
from svmconv.results import save
from svmconv.svm.solve import max_margin


@dataclass(frozen=True, kw_only=True)
class Tiny(adversarial.Config):
    shape = (8, 8, 1)

    def problem(self, pair, split):
        whole = data.digits(pair)
        rows = slice(0, 200) if split == "train" else slice(200, None)
        return Problem(whole.x[rows], whole.index[rows], f"{whole.name} {split}")


TINY = Tiny(
    seeds=2, widths=(8,), penultimate=4, rate=0.05, epochs=30, steps=10, attacked=60,
    eps=(0.0, 0.1, 0.3),
)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return adversarial.run(TINY)


def measured():
    """What `run` returns, of boundaries and accuracies made up."""
    rng = np.random.default_rng(0)
    heads, eps = list(adversarial.HEADS), [0.0, 0.1, 0.2]
    return xr.Dataset(
        {
            "attacked": (("seed", "head", "eps"), rng.uniform(0.1, 0.9, (5, 2, 3))),
            "noisy": (("seed", "head", "eps"), rng.uniform(0.9, 1.0, (5, 2, 3))),
            "distance": (("seed", "head", "row"), rng.normal(1.0, 0.5, (5, 2, 30))),
        },
        {"seed": np.arange(5), "head": heads, "eps": eps},
    )


def separating(d=20):
    """A network whose features, before any training, separate what its inputs do: linear."""
    rngs = nnx.Rngs(0)
    return MLP((d, 2 * d, 2), penultimate_activation="linear", dtype="float32", rngs=rngs)


def grey(low, high, n=40, d=20):
    """Rows with pixels between two values."""
    rng = np.random.default_rng(0)
    return Problem(rng.uniform(low, high, (n, d)), rng.integers(0, 2, n))


def linear(d=20):
    """A linear network, with w = w1 - w0 and b = b1 - b0."""
    module = MLP((d, 2), dtype="float32", rngs=nnx.Rngs(0))
    weight, bias = last_layer(module)
    return module, (weight[1] - weight[0]).astype(np.float64), float(bias[1] - bias[0])


ROUNDING = 1e-5
"""float32: 20 products of size 1, 10 steps."""


def test_the_attack_on_a_linear_model_takes_eps_times_the_l1_norm():
    rows, (module, w, b) = grey(0.4, 0.6), linear()
    clean = rows.signs * (rows.x @ w + b)
    found = adversarial.attack(module, rows, 0.1, 10)
    np.testing.assert_allclose(found, clean - 0.1 * np.abs(w).sum(), atol=ROUNDING)


def test_the_attack_stops_at_black_and_white():
    rows, (module, w, b) = grey(0.0, 1.0), linear()
    worst = np.clip(rows.x - 0.3 * np.sign(rows.signs[:, None] * w), 0.0, 1.0)
    found = adversarial.attack(module, rows, 0.3, 10)
    np.testing.assert_allclose(found, rows.signs * (worst @ w + b), atol=ROUNDING)


def test_without_room_nothing_changes():
    rows, (module, w, b) = grey(0.0, 1.0), linear()
    found = adversarial.attack(module, rows, 0.0, 3)
    np.testing.assert_allclose(found, rows.signs * (rows.x @ w + b), atol=ROUNDING)


def test_a_network_whose_head_is_replaced_by_itself_is_the_same():
    rows, (network, w, b) = grey(0.0, 1.0), linear()
    same = adversarial.with_head(network, w, b)
    before, after = (adversarial.attack(module, rows, 0.1, 10) for module in (network, same))
    np.testing.assert_allclose(after, before, atol=ROUNDING)


def test_the_svm_in_its_place_has_margin_one_and_leaves_the_network_alone():
    network, rows = separating(), data.half_spaces(n=60, d=20)
    before = last_layer(network)
    x = jnp.asarray(rows.x, jnp.float32)
    seen = Problem(network(x)[1]["penultimate"], rows.y)
    svm = max_margin(seen, bias="augmented")
    replaced = adversarial.with_head(network, svm.w, float(svm.b))
    logits = np.asarray(replaced(x)[0], np.float64)
    np.testing.assert_allclose(logits[:, 0], -logits[:, 1], rtol=ROUNDING)
    margins = rows.signs * np.diff(logits)[:, 0]
    np.testing.assert_allclose(margins.min(), 1.0, atol=ROUNDING * np.abs(margins).max())
    closest = adversarial.distances(seen, svm.w, float(svm.b)).min()
    np.testing.assert_allclose(closest, 1.0 / np.linalg.norm(svm.w), rtol=1e-9)
    for ours, theirs in zip(last_layer(network), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_noise_moves_every_pixel_as_far_as_it_may_and_a_seed_decides_where():
    rows = grey(0.0, 1.0)
    noisy, again, other = (adversarial.with_noise(rows, 0.2, seed).x for seed in (0, 0, 1))
    inside = (noisy > 0) & (noisy < 1)
    assert ((noisy >= 0) & (noisy <= 1)).all()
    np.testing.assert_allclose(np.abs(noisy - rows.x)[inside], 0.2)
    np.testing.assert_array_equal(noisy, again)
    assert (noisy != other).any()


@pytest.mark.slow
def test_an_aimed_change_does_more_than_a_random_one_of_its_size(found):
    np.testing.assert_array_equal(found.attacked.sel(eps=0.0), found.noisy.sel(eps=0.0))
    assert (found.attacked.sel(eps=0.0) > 0.9).all()
    assert (found.attacked <= found.noisy).all()
    assert (found.noisy.sel(eps=0.3) > found.attacked.sel(eps=0.3) + 0.3).all()


@pytest.mark.slow
def test_the_svm_is_farther_from_its_training_rows_than_the_network(found):
    of = found.training_distance
    assert (of.sel(head="svm") > of.sel(head="network")).all()
    right = (found.distance > 0).mean("row")
    np.testing.assert_allclose(right, found.attacked.sel(eps=0.0))


def test_the_figure_reads_what_was_saved(tmp_path):
    save(measured(), tmp_path / "adversarial-smoke.nc")
    assert isinstance(draw(tmp_path), Figure)


@pytest.mark.parametrize("preset", adversarial.PRESETS.values(), ids=adversarial.PRESETS)
def test_presets_begin_without_an_attack(preset):
    assert preset.eps[0] == 0.0
    assert list(preset.eps) == sorted(preset.eps)
    assert preset.seeds >= 5
