"""All layers in one table: each number is that of its own measure, and a wrong layer is named."""

import doctest
from importlib import import_module

import numpy as np
import pytest
from flax import nnx

import svmconv as sc
from svmconv.measures.class_pairs import class_separability
from svmconv.measures.layer_report import layer_report
from svmconv.measures.neural_collapse import discrimination, neural_collapse, spread_ratio
from svmconv.measures.probe import linear_probe
from svmconv.models import MLP
from svmconv.training.evaluate import activations, evaluate
from tests.tolerances import LONG_SUM

module = import_module("svmconv.measures.layer_report")  # its function has the same name

FLOAT32 = 1e-6
"""A logistic fit in float32, of a value that is flat in its direction there."""


@pytest.fixture(scope="module")
def digits():
    whole = sc.data.digits((0, 1, 8))
    return sc.Problem(whole.x[:200], whole.y[:200], "digits")


@pytest.fixture(scope="module")
def network():
    return MLP((64, 12, 9, 3), activation="tanh", rngs=nnx.Rngs(3))


def test_documented_example():
    failed, tried = doctest.testmod(module)
    assert (tried > 0, failed) == (True, 0)


def test_every_column_is_its_own_measure(digits, network):
    hidden = activations(network, digits)
    weight, bias = sc.last_layer(network)
    found = layer_report(hidden, digits.y, weight, bias)
    assert found.layer.values.tolist() == list(hidden) == ["hidden_1", "penultimate"]
    assert found.units.values.tolist() == [12, 9]
    for place, x in enumerate(hidden.values()):
        pairs = class_separability(x, digits.y)
        assert found.ls_0[place] == pairs.separability.sel(order=0).mean()
        assert found.means_ls_2[place] == pairs.along_means.sel(order=2).mean()
        assert found.ls_0_least[place] == pairs.separability.sel(order=0).min()
        assert found.separable[place] == pairs.separable.mean()
        assert found.nc1[place] == neural_collapse(x, digits.y).nc1
        assert found.spread_ratio[place] == spread_ratio(x, digits.y)
    last = neural_collapse(hidden["penultimate"], digits.y, weight, bias)
    assert (np.isnan(found.nc4[0]), found.nc4[1]) == (True, last.nc4)


def test_the_network_is_judged_as_evaluate_does(digits, network):
    weight, bias = sc.last_layer(network)
    found = layer_report(activations(network, digits), digits.y, weight, bias)
    told = evaluate(network, digits)
    assert float(found.accuracy) == told.accuracy
    assert float(found.rows_log_loss) == pytest.approx(told.log_loss, abs=LONG_SUM)


def test_a_loss_below_the_smallest_number_is_none():
    """One unit, weights 2000 apart: margins 2000 and 4000, a mean loss of e^-2000 / 2."""
    x, w = {"only": [[-1.0], [2.0]]}, [[-1000.0], [1000.0]]
    found = layer_report(x, ["a", "b"], w, [0.0, 0.0])
    assert float(found.accuracy) == 1.0
    assert float(found.rows_log_loss) == pytest.approx(-2000.0 - np.log(2), rel=1e-15)


def test_shape_and_dtype_of_a_layer_change_nothing():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 2, 3)).astype(np.float32), np.arange(40) % 4
    found = layer_report({"image": x, "flat": x.reshape(40, 6), "wide": x.astype(float)}, y)
    for name, column in found.data_vars.items():
        image, flat, wide = column.to_numpy()
        np.testing.assert_array_equal(image, flat, err_msg=str(name))
        np.testing.assert_allclose(image, wide, rtol=FLOAT32, err_msg=str(name))


@pytest.mark.parametrize(
    ("given", "labels", "words"),
    [
        ({}, [0, 1], "at least one"),
        (np.zeros((2, 2)), [0, 1], "by the name of their layer"),
        ({"a": np.eye(2), "b": np.eye(3)}, [0, 1], r"layer 'b': activations of 2 rows"),
        ({"a": np.eye(2)}, [1, 1], "layer 'a': .*class"),
        ({"a": [[0.0], [np.nan]]}, [0, 1], "layer 'a': .*(NaN|nan|finite)"),
        ({"a": np.zeros((2, 0))}, [0, 1], "layer 'a': "),
        ({"a": np.zeros((0, 3))}, [], "layer 'a': activations of 0 rows"),
        ({"a": [0.0, 1.0]}, [0, 1], "layer 'a': activations of 2 rows"),
    ],
)
def test_bad_input_is_one_sentence_that_names_the_layer(given, labels, words):
    with pytest.raises(sc.DataError, match=words):
        layer_report(given, labels)


def test_layers_that_say_nothing():
    """A constant layer and a single unit: stated conventions, no error."""
    y = np.array([0, 0, 1, 1])
    found = layer_report({"constant": np.ones((4, 3)), "unit": [[0.0], [1.0], [2.0], [3.0]]}, y)
    assert found.ls_0.values.tolist() == [0.0, 1.0]
    assert found.separable.values.tolist() == [0.0, 1.0]
    assert np.isnan(found.ls_1[0])
    assert found.probe_log_loss[0] == pytest.approx(np.log(np.log(2)))


def test_more_units_than_rows():
    """Rows in their own span: as if measured among all units, whose ridge alone is another."""
    rng = np.random.default_rng(1)
    y = np.arange(30) % 3
    x = 5.0 + rng.standard_normal((30, 40)) + np.eye(3, 40)[y]
    found = layer_report({"wide": x}, y).isel(layer=0)
    collapse = neural_collapse(x, y)
    assert found.units == 40
    for name in ("nc1", "nc2_norm", "nc2_angle", "cdnv"):
        assert float(found[name]) == pytest.approx(getattr(collapse, name), rel=1e-10)
    told = linear_probe(x, y)
    assert float(found.probe_log_loss) == pytest.approx(told.log_loss, rel=1e-9)
    assert float(found.spread_ratio) == pytest.approx(spread_ratio(x, y), rel=1e-10)
    assert float(found.discrimination) == pytest.approx(discrimination(x, y), rel=1e-10)
    assert float(found.discrimination) != pytest.approx(discrimination(x - x.mean(axis=0), y))


@pytest.mark.parametrize(("dtype", "off"), [(np.float64, 1e-15), (np.float32, 1e-8)])
def test_rotated_rows_keep_all_distances(dtype, off):
    """Equal rows among them, which leave the matrix of inner products singular twice over."""
    x = (50.0 + np.random.default_rng(2).standard_normal((30, 400))).astype(dtype)
    x[7] = x[3]
    inside, centred = module.rotated(x), x - x.astype(np.float64).mean(axis=0)
    assert inside.shape == (30, 30)
    square = np.square(centred).sum(axis=1).max()
    np.testing.assert_allclose(inside @ inside.T, centred @ centred.T, atol=100 * 2.0**-52 * square)
    distance = np.linalg.norm(inside[:, None] - inside[None], axis=2)
    expected = np.linalg.norm(centred[:, None] - centred[None], axis=2)
    np.testing.assert_allclose(distance, expected, atol=10 * off * np.sqrt(square))
