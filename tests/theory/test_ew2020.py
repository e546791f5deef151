"""Logits in a ball, by E & Wojtowytsch: values, bars that hold for any point, tampered runs."""

from dataclasses import replace

import numpy as np
import pytest

from svmconv.theory import ew2020_average, ew2020_ball, ew2020_layers, optima
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.ew2020_ball import Ball
from tests.tolerances import EPS, ROUNDING

CASES = [
    case
    for module in (ew2020_average, ew2020_ball, ew2020_layers)
    for claim in module.CLAIMS
    for case in claim.cases
]
PUBLISHED = 1e-5
"""Numbers written down with five decimals."""


@pytest.mark.parametrize("case", CASES)
def test_every_case_holds_and_refutes_its_control(case):
    found = CaseVerdict(case.measure(), case.expected)
    assert found.verdict == "holds"
    assert found.as_expected


def verdict(measurement):
    return CaseVerdict(measurement, "holds").verdict


# --- the tools -----------------------------------------------------------------------------------


def test_accelerated_descent_finds_the_point_of_a_ball_nearest_to_another():
    target, weights = np.array([3.0, 4.0, 0.0]), np.array([1.0, 1.0, 100.0])
    into_ball = lambda v: v / max(1.0, float(np.linalg.norm(v)))  # noqa: E731
    start = np.array([0.1, 0.9, -0.5])
    found = optima.accelerated(lambda v: weights * (v - target), start, 0.01, 5000, into_ball)
    np.testing.assert_allclose(found, [0.6, 0.8, 0.0], atol=ROUNDING)
    free = optima.accelerated(lambda v: weights * (v - target), start, 0.01, 5000)
    np.testing.assert_allclose(free, target, atol=ROUNDING)


@pytest.mark.parametrize("bend", [0.0, 1.0, -3.0])
def test_a_slope_is_within_its_bar_where_y_bends_like_ln_x(bend):
    x = np.linspace(1.0, 1000.0, 500)
    found, bar = optima.slope(x, 0.7 * x + bend * np.log(x) + 5.0)
    assert abs(found - 0.7) <= bar + ROUNDING
    assert bar < 0.02
    assert abs(found - 0.75) > 2 * bar  # straight with another slope is told


def test_the_farthest_of_several_is_judged():
    found = optima.farthest("x", 1.0, np.array([[1.1, 0.7], [1.2, 1.0]]), 0.15, 1.0)
    assert found.measured == 0.7
    assert found.verdict == "contradicted"


# --- lemma 2 -------------------------------------------------------------------------------------


def test_averages_by_hand():
    z, y = np.array([[1.0, 2.0], [3.0, 0.0], [5.0, 5.0]]), np.array([1, 1, 0])
    np.testing.assert_array_equal(ew2020_average.averaged(z, y), [[2, 1], [2, 1], [5, 5]])


@pytest.mark.parametrize("size", [1e-3, 0.1, 1.0, 5.0])
def test_the_fall_is_within_the_bounds_of_second_order_for_deviations_of_any_size(size):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 4
    means = rng.standard_normal((4, 4))[y]
    d = size * rng.standard_normal((40, 4))
    d -= ew2020_average.averaged(d, y)
    predicted, beyond = ew2020_average.second_order(means, d)
    fall = -ew2020_average.rise(means + d, y, y)
    assert fall > 0
    assert abs(fall - predicted) <= beyond + 40 * EPS


def test_two_rows_of_two_classes_by_hand():
    """f(s) = 2 (ln 2 cosh(s / 2)) / 2 - ln 2: the mean of +-s / 2 about equal logits."""
    z, y = np.array([[0.5, -0.5], [-0.5, 0.5]]), np.array([0, 0])
    fall = -ew2020_average.rise(z, y, y)
    assert fall == pytest.approx(np.log(np.cosh(0.5)), rel=ROUNDING)


def test_averages_that_are_not_of_classes_are_contradicted(monkeypatch):
    right = ew2020_average.averaged
    monkeypatch.setattr(ew2020_average, "averaged", lambda z, y: 1.01 * right(z, y))
    assert verdict(ew2020_average.averages(3, 30, 0)) == "contradicted"


def test_a_loss_of_another_curvature_is_contradicted(monkeypatch):
    def cooler(z, own):
        losses, slopes = optima.cross_entropy(1.02 * z, own)
        return losses / 1.02, slopes

    monkeypatch.setattr(ew2020_average, "cross_entropy", cooler)
    assert verdict(ew2020_average.averages(3, 30, 0)) == "contradicted"


# --- lemma 4 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ball", "vertex"),
    [
        (Ball(3, 1.0), (0.81650, -0.40825)),
        (Ball(10, 1.0), (0.94868, -0.10541)),
        (Ball(4, 1.0, 3.0), (0.85906, -0.49598)),
        (Ball(10, 1.0, 1.5), (0.99185, -0.01225)),
    ],
)
def test_vertices_as_written_down(ball, vertex):
    assert ball.vertex == pytest.approx(vertex, abs=PUBLISHED)
    z = np.full(ball.k, ball.vertex[1])
    z[0] = ball.vertex[0]
    assert np.linalg.norm(z, ball.p) == pytest.approx(ball.radius, rel=ROUNDING)
    assert ball.loss == pytest.approx(np.log(np.exp(z).sum()) - z[0], rel=ROUNDING)


@pytest.mark.parametrize(
    ("ball", "loss"),
    [(Ball(10, 5.0), 0.045232), (Ball(4, 1.0), 0.665496), (Ball(2, 1.0), 0.217622)],
)
def test_losses_as_written_down(ball, loss):
    assert ball.loss == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("p", [1.3, 1.5, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("away", [1e-6, 1e-2, 1.0])
def test_the_certificate_covers_how_far_any_logits_are_from_the_best(p, away):
    ball, rng = Ball(5, 2.0, p), np.random.default_rng(1)
    best = np.full((5, 5), ball.vertex[1])
    np.fill_diagonal(best, ball.vertex[0])
    z = best + away * rng.standard_normal((5, 5))
    z *= np.minimum(1.0, ball.radius / np.linalg.norm(z, p, axis=1, keepdims=True))
    losses, g = optima.cross_entropy(z, np.eye(5, dtype=bool))
    gap, distance = ew2020_ball.certified(z, g, ball.radius, p)
    assert (losses - ball.loss <= gap).all()
    assert (np.linalg.norm(z - best, p, axis=1) <= distance).all()


def test_weights_of_the_classes_change_the_path_and_not_the_optimum():
    """They decouple, so nothing is claimed of weights."""
    ball = Ball(4, 1.0)
    equal, unequal = (
        ew2020_ball.smallest(ball, w, 0) for w in (np.full(4, 0.25), np.array([0.1, 0.2, 0.3, 0.4]))
    )
    assert (equal.logits != unequal.logits).any()
    apart = np.linalg.norm(equal.logits - unequal.logits, axis=1)
    assert apart.max() <= equal.distance + unequal.distance


def tampered_logits(monkeypatch, change):
    right = ew2020_ball.smallest

    def wrong(ball, weights, seed):
        found = right(ball, weights, seed)
        return replace(found, logits=change(found.logits))

    monkeypatch.setattr(ew2020_ball, "smallest", wrong)


def one_class(z):
    z = z.copy()
    z[-1, -1] += 1e-3
    return z


@pytest.mark.parametrize("change", [lambda z: 1.001 * z, one_class], ids=["longer", "one class"])
def test_other_logits_are_contradicted(change, monkeypatch):
    tampered_logits(monkeypatch, change)
    assert verdict(ew2020_ball.vertices(Ball(4, 1.0), ew2020_ball.one_hot)) == "contradicted"


def test_a_loss_at_another_temperature_is_contradicted(monkeypatch):
    def warmer(z, own):
        losses, slopes = optima.cross_entropy(0.99 * z, own)
        return losses, 0.99 * slopes

    monkeypatch.setattr(ew2020_ball, "cross_entropy", warmer)
    assert verdict(ew2020_ball.vertices(Ball(4, 1.0), ew2020_ball.one_hot)) == "contradicted"


# --- corollary 9 ---------------------------------------------------------------------------------


def test_the_loss_of_four_classes_as_written_down():
    assert Ball(4, 3.0).loss == pytest.approx(0.0897523452, abs=1e-10)


def test_features_of_another_norm_are_contradicted(monkeypatch):
    right = ew2020_layers.best_layers

    def longer(ball, m, seed):
        return right(replace(ball, radius=1.001 * ball.radius), m, seed)

    monkeypatch.setattr(ew2020_layers, "best_layers", longer)
    assert verdict(ew2020_layers.collapse(Ball(3, 1.0), 2)) == "contradicted"


@pytest.mark.parametrize("what", ["spread", "layer"])
def test_features_that_do_not_collapse_or_a_layer_that_is_no_isometry_are_contradicted(
    what, monkeypatch
):
    right = ew2020_layers.best_layers

    def wrong(ball, m, seed):
        found = right(ball, m, seed)
        if what == "layer":
            return replace(found, layer=found.layer * (1 - 1e-4))
        moved = found.features.copy()
        moved[0] *= 1 - 1e-4
        return replace(found, features=moved)

    monkeypatch.setattr(ew2020_layers, "best_layers", wrong)
    assert verdict(ew2020_layers.collapse(Ball(3, 1.0), 2)) == "contradicted"


def test_descent_that_has_not_arrived_is_undecided(monkeypatch):
    monkeypatch.setattr(ew2020_layers, "STEPS", 20)
    assert verdict(ew2020_layers.collapse(Ball(3, 1.0), 2)) == "undecided"
