"""Networks of largest margin and a flow whose outputs differ within a class, by E & Wojtowytsch."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from svmconv.theory import ew2020_flow, ew2020_relu, ew2020_relu_networks
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.ew2020_relu_networks import INNER, OUTER, Network, X, Y
from tests.tolerances import ROUNDING

DIFFERENCE = 1e-6
"""Step of central differences: the root of rounding, and then some."""
CASES = [
    case for module in (ew2020_relu, ew2020_flow) for claim in module.CLAIMS for case in claim.cases
]


@pytest.mark.parametrize("case", CASES)
def test_every_case_holds_and_refutes_its_control(case):
    found = CaseVerdict(case.measure(), case.expected)
    assert found.verdict == "holds"
    assert found.as_expected


def verdict(measurement):
    return CaseVerdict(measurement, "holds").verdict


# --- lemma 16 ------------------------------------------------------------------------------------

CIRCLE = np.linspace(0.0, 2.0 * np.pi, 20_001)
ROUND = np.stack([np.cos(CIRCLE), np.sin(CIRCLE)], axis=1)


def test_every_neuron_obeys_the_inequality_that_bounds_the_ratio():
    one, minus, two = ew2020_relu_networks.outputs(ROUND, np.array([1.0, -1.0, 2.0])).T
    for sign in (1.0, -1.0):
        shortfall = 1.0 - sign * np.sqrt(2.0) * (one - minus) / 2.0
        assert (np.abs(two - 1.5 * one) <= np.sqrt(1.25 * np.maximum(shortfall, 0.0)) + 1e-7).all()


@pytest.mark.parametrize("size", ["l1", "l2"])
@pytest.mark.parametrize("seed", range(5))
def test_the_best_neuron_is_the_best_of_many(size, seed):
    weights = np.random.default_rng(seed).standard_normal(len(X))
    neuron, gain = ew2020_relu_networks.best_neuron(weights, size)
    assert ew2020_relu_networks.sizes(neuron[None], size) == pytest.approx(1.0, rel=ROUNDING)
    many = ROUND / ew2020_relu_networks.sizes(ROUND, size)[:, None]
    tried = np.abs(ew2020_relu_networks.outputs(many, X) @ weights).max()
    assert abs(gain) >= tried - ROUNDING
    assert abs(gain) <= tried * (1 + 1e-3)


@pytest.mark.parametrize("size", ["l1", "l2"])
def test_the_largest_margin_is_that_of_a_grid_of_neurons(size):
    angles = np.linspace(0.0, 2.0 * np.pi, 721)[:-1]
    grid = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    grid /= ew2020_relu_networks.sizes(grid, size)[:, None]
    h = ew2020_relu_networks.outputs(grid, X) * Y
    columns = np.vstack([h, -h])
    table_ = np.vstack([
        np.column_stack([-columns.T, np.ones(len(X))]), np.append(np.ones(len(columns)), 0.0)
    ])  # fmt: skip
    limits = np.append(np.zeros(len(X)), 1.0)
    costs = np.append(np.zeros(len(columns)), -1.0)
    oracle = -linprog(costs, table_, limits, bounds=[(0, None)] * (len(columns) + 1)).fun
    found = ew2020_relu_networks.largest_margin(size)
    assert oracle <= found.bound + 1e-7
    assert found.value == pytest.approx(oracle, abs=1e-4)


def test_a_margin_is_checked_between_the_rows():
    """A neuron that bends down from x = 1.06 on, between two rows, and one that bends up after."""
    dip = Network(np.array([1.0, -20.0, 40.0]), np.array([[0, 0.5], [1, -1.03], [1, -1.0625]]))
    assert dip.margin < float((np.sign(X) * dip(X))[X > 0].min())


def test_the_two_networks_of_largest_margin_differ():
    found = ew2020_relu_networks.largest_margin("l1")
    h2 = np.zeros_like(X)
    h2[OUTER[1]] = 1.0
    least, most = (
        ew2020_relu_networks.extreme("l1", s * h2, found.value * (1 - 1e-9), found.network)
        for s in (-1.0, 1.0)
    )
    for each in (least, most):
        assert each.network.margin >= 0.5 - 1e-8
        assert each.network.size("l1") == pytest.approx(1.0, rel=ROUNDING)
    assert least.network(X)[OUTER[1]] == pytest.approx(0.75, abs=1e-7)
    assert most.network(X)[OUTER[1]] == pytest.approx(1.0, abs=1e-7)


def test_a_network_for_another_size_does_not_hold(monkeypatch):
    right = ew2020_relu.largest_margin
    monkeypatch.setattr(ew2020_relu, "largest_margin", lambda _: right("l1"))
    assert verdict(ew2020_relu.euclidean_size()) != "holds"


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_another_range_of_ratios_is_contradicted(factor, monkeypatch):
    right = ew2020_relu.extreme

    def wrong(*arguments):
        found = right(*arguments)
        kinks = found.network.neurons * np.array([factor, 1.0])
        return replace(found, network=Network(found.network.a, kinks))

    monkeypatch.setattr(ew2020_relu, "extreme", wrong)
    assert verdict(ew2020_relu.sum_of_sizes()) == "contradicted"


@pytest.fixture(scope="module")
def descents():
    return [ew2020_relu_networks.descend(60, seed, 2500, 0.25) for seed in range(2)]


def test_a_run_that_gains_margin_at_another_speed_is_contradicted(descents, monkeypatch):
    def run(factor):
        found = iter(descents)

        def wrong(*_):
            network, size, margin = next(found)
            return network, size, factor * margin

        monkeypatch.setattr(ew2020_relu, "descend", wrong)
        return verdict(ew2020_relu.trained())

    assert run(0.999) == "contradicted"
    assert run(1.0) == "holds"


def test_a_network_that_is_constant_on_a_class_does_not_hold(descents, monkeypatch):
    flat = Network(
        np.array([1.0, -1.0, -1.0, 1.0]), np.array([[1.0, 0], [1, -1], [-1, 0], [-1, -1]])
    )
    assert flat.ratios == pytest.approx([1.0, 1.0])
    runs = iter([(flat, size, margin) for _, size, margin in descents])
    monkeypatch.setattr(ew2020_relu, "descend", lambda *_: next(runs))
    assert verdict(ew2020_relu.trained()) != "holds"


def test_descent_grows_the_two_halves_of_every_neuron_alike():
    network, _, _ = ew2020_relu_networks.descend(20, 0, 200, 0.01)
    sizes = ew2020_relu_networks.sizes(network.neurons, "l2")
    np.testing.assert_allclose(np.abs(network.a), sizes, rtol=0.01)


def test_inner_and_outer_rows_are_named_rightly():
    assert X[list(INNER)].tolist() == [-1.0, 1.0]
    assert X[list(OUTER)].tolist() == [-2.0, 2.0]


# --- lemma 18 ------------------------------------------------------------------------------------


def test_the_flow_is_that_of_the_loss():
    p, a = (0.5, 0.3, 0.2), np.array([0.3, -0.4, 0.7])

    def loss(a):
        return p[0] * np.exp(-a[0]) + p[1] * np.exp(-a[1]) + p[2] * np.exp(a[1] - a[2])

    steps = DIFFERENCE * np.eye(3)
    gradient = [(loss(a + e) - loss(a - e)) / (2 * DIFFERENCE) for e in steps]
    np.testing.assert_allclose(ew2020_flow.velocity(p, 0.0, a), np.negative(gradient), atol=1e-9)
    columns = [
        (ew2020_flow.velocity(p, 0.0, a + e) - ew2020_flow.velocity(p, 0.0, a - e)) / 2e-6
        for e in steps
    ]
    np.testing.assert_allclose(ew2020_flow.jacobian(p, 0.0, a), np.transpose(columns), atol=1e-9)


def test_the_moving_frame_rests_where_it_is_said_to():
    """u and v of the docstring: da2/ds = 1 and d(a3 - a2)/ds = 1, with eigenvalues -1 and -6."""
    p = (0.4, 0.35, 0.25)
    s = 3.0
    a2 = s - np.log(3.0 / p[1])
    a = np.array([0.0, a2, a2 + s - np.log(2.0 / p[2])])
    moved = ew2020_flow.velocity(p, s, a)
    np.testing.assert_allclose(moved[1:], [1.0, 2.0], rtol=ROUNDING)
    change = np.array([[1.0, 0.0], [-1.0, 1.0]])  # (u, v) from (a2, a3)
    within = change @ ew2020_flow.jacobian(p, s, a)[1:, 1:] @ np.linalg.inv(change)
    np.testing.assert_allclose(within, [[-3, 2], [3, -4]], atol=ROUNDING)
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(within).real), [-6, -1], rtol=ROUNDING)


def test_another_flow_is_contradicted(monkeypatch):
    right = ew2020_flow.velocity
    monkeypatch.setattr(
        ew2020_flow, "velocity", lambda p, s, a: right((p[0], p[1], 1.001 * p[2]), s, a)
    )
    assert verdict(ew2020_flow.limit((0.5, 0.3, 0.2))) == "contradicted"
