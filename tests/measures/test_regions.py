"""Regions counted by hand, by a grid, and on average over random networks."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from svmconv.errors import DataError
from svmconv.measures import regions
from svmconv.measures.regions import linear_regions, regions_on_segment
from svmconv.models import MLP
from svmconv.models.initial import lecun_normal
from tests.tolerances import EPS

SIGMAS = 4.0
"""Standard errors of a mean over seeds: by chance one in 16,000."""


def he(rng, widths, slope=0.0):
    gain = np.sqrt(2 / (1 + slope**2))
    pairs = zip(widths[1:], widths[:-1], strict=True)
    return [gain * rng.standard_normal((o, i)) / np.sqrt(i) for o, i in pairs]


def by_grid(weights, biases, start, end, slope, points):
    """Number of different activation patterns met in turn on a grid."""
    h = start + np.linspace(0, 1, points)[:, None] * (end - start)
    patterns = []
    for w, b in zip(weights, biases, strict=True):
        z = h @ w.T + b
        patterns.append(z > 0)
        h = np.where(z > 0, z, slope * z)
    pattern = np.hstack(patterns)
    return 1 + int((pattern[1:] != pattern[:-1]).any(axis=1).sum())


def test_examples():
    found = doctest.testmod(regions)
    assert found.attempted > 0
    assert found.failed == 0


def test_saw_teeth():
    """Telgarsky's: each layer takes the hat 2 relu(t) - 4 relu(t - 1/2) of the one before.

    Its units change sign where the hats before it cross 1/2, halfway between their breaks.
    """
    first = [[1.0], [1.0]], [0.0, -0.5]
    deeper = [[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5]
    for depth in range(1, 8):
        weights, biases = zip(first, *[deeper] * (depth - 1), strict=True)
        found = regions_on_segment(weights, biases, [0.0], [1.0])
        assert found.regions == 2**depth
        np.testing.assert_allclose(found.breaks, np.arange(1, 2**depth) / 2**depth, atol=EPS)


def test_first_layer_by_hand():
    """Units change sign at t = 1/4 (twice, opposite), 1/2, and outside the segment."""
    weights, biases = [[[4.0], [-4.0], [2.0], [1.0]]], [[-1.0, 1.0, -1.0, 3.0]]
    found = regions_on_segment(weights, biases, [0.0], [1.0])
    assert (found.regions, found.by_layer, found.breaks.tolist()) == (3, (2,), [0.25, 0.5])
    assert regions_on_segment(weights, biases, [0.0], [1.0], 1.0).regions == 1  # linear
    assert regions_on_segment(weights, biases, [0.0], [0.2]).regions == 1
    back = regions_on_segment(weights, biases, [1.0], [0.0])
    assert back.breaks.tolist() == [0.5, 0.75]


def test_touching_zero_is_no_break():
    assert regions_on_segment([[[1.0]]], [[0.0]], [0.0], [1.0]).regions == 1  # zero at the end
    hat = [[1.0], [-1.0]], [[1.0, 1.0]]  # |t - 1/2| touches zero where it has a break already
    found = regions_on_segment(hat, [[-0.5, 0.5], [0.0]], [0.0], [1.0])
    assert (found.regions, found.by_layer) == (2, (1, 0))
    dead = regions_on_segment([[[1.0]], [[1.0]]], [[-5.0], [0.0]], [0.0], [1.0])
    assert dead.regions == 1


def test_copies_add_nothing():
    rng = np.random.default_rng(0)
    w = he(rng, (3, 16, 16))
    b = [rng.standard_normal(16) for _ in w]
    ends = 9 * rng.standard_normal((2, 3))
    one = regions_on_segment(w, b, *ends)
    twice = regions_on_segment(
        [np.vstack([w[0], w[0]]), np.hstack([w[1], w[1]]) / 2], [np.tile(b[0], 2), b[1]], *ends
    )
    np.testing.assert_allclose(twice.breaks, one.breaks, rtol=1e-12)
    assert one.regions > 5


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_breaks_at_one_place_are_one_however_they_round(seed, shift):
    """Units w (x - c), and deeper ones that change sign there too."""
    rng = np.random.default_rng(seed)
    c, w, v = rng.uniform(0.1, 0.9), rng.standard_normal((8, 1)), rng.standard_normal((4, 8))
    place = c + shift
    biases = [-w[:, 0] * place, np.zeros(4)]
    found = regions_on_segment([w, v], biases, [shift], [shift + 1.0])
    assert (found.regions, found.by_layer) == (2, (1, 0))
    np.testing.assert_allclose(found.breaks, [c], atol=64 * EPS * (1 + shift))


@pytest.mark.parametrize("gap", [1e-15, 1e-12, 1e-9, 1e-3])
def test_breaks_count_twice_once_they_are_farther_apart_than_rounding(gap):
    found = regions_on_segment([[[1.0], [1.0]]], [[-0.5, -0.5 - gap]], [0.0], [1.0])
    assert found.regions == (2 if gap < 1e-14 else 3)


def test_what_cancels_is_zero():
    """3 relu(.6 t - .1) - relu(1.8 t - .3) = 0: rounding leaves 1e-17, and no break at .25."""
    weights = [[[0.6], [0.6 * 3]], [[3.0, -1.0]]]
    found = regions_on_segment(weights, [[-0.1, -0.3], [0.0]], [0.0], [1.0])
    assert (found.regions, found.by_layer) == (2, (1, 0))
    np.testing.assert_allclose(found.breaks, [1 / 6], atol=EPS)
    beside = regions_on_segment(weights, [[-0.1, -0.3], [-1e-9]], [0.0], [1.0])
    assert beside.by_layer == (1, 0)  # below zero everywhere
    weights[1][0][1] = -1.001  # .1 - .0006 t - ... cancels no longer, and is below zero throughout
    lifted = regions_on_segment(weights, [[-0.1, -0.3], [1e-4]], [0.0], [1.0])
    assert lifted.by_layer == (1, 1)  # 1e-4 = .001 (1.8 t - .3) at t = 2/9
    np.testing.assert_allclose(lifted.breaks, [1 / 6, 2 / 9], rtol=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("widths", [(2, 8), (3, 10, 10), (5, 6, 6, 6, 6)])
def test_a_grid_meets_the_same_regions(widths, slope):
    """All of those that hold a point of it: predicted from the breaks."""
    rng, points = np.random.default_rng(len(widths)), 20_001
    met = 0
    for _ in range(5):
        w = he(rng, widths, slope)
        b = [0.3 * rng.standard_normal(len(each)) for each in w]
        ends = 3 * rng.standard_normal((2, widths[0]))
        found = regions_on_segment(w, b, *ends, slope)
        expected = len(np.unique(np.searchsorted(found.breaks, np.linspace(0, 1, points))))
        assert by_grid(w, b, *ends, slope, points) == expected
        met += expected / found.regions
    assert met > 0.9 * 5  # almost all of them


@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_expected_number_on_a_line(slope):
    """The sum of the widths + 1 on a whole line; exact in the first layer."""
    rng, widths = np.random.default_rng(1), (8, 24, 24, 24)
    counts = []
    for _ in range(300):
        p, q = rng.standard_normal((2, 8))
        zero = [np.zeros(24)] * 3
        found = regions_on_segment(he(rng, widths, slope), zero, p - 1e6 * q, p + 1e6 * q, slope)
        assert found.by_layer[0] == 24
        counts.append(found.regions)
    error = np.std(counts) / np.sqrt(len(counts))
    assert abs(np.mean(counts) - (3 * 24 + 1)) < SIGMAS * error
    assert error < 1.0


def test_expected_number_on_a_segment():
    """1 + theta / pi times the sum of the widths, so not the sum of the widths + 1 here."""
    rng, widths, theta = np.random.default_rng(2), (8, 24, 24, 24), np.pi / 3
    counts = []
    for _ in range(300):
        p, q = np.linalg.qr(rng.standard_normal((8, 2)))[0].T
        end = 5.0 * (np.cos(theta) * p + np.sin(theta) * q)
        counts.append(regions_on_segment(he(rng, widths), [np.zeros(24)] * 3, p, end).regions)
    error = np.std(counts) / np.sqrt(len(counts))
    assert abs(np.mean(counts) - (1 + 3 * 24 / 3)) < SIGMAS * error
    assert error < 1.0


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("last", [None, "linear"])
def test_an_mlp_is_affine_in_its_regions_and_nowhere_else(activation, last):
    made = {
        "activation": activation,
        "penultimate_activation": last,
        "rngs": nnx.Rngs(0),
        "kernel_init": lecun_normal,
    }
    module = MLP((2, 7, 6, 3), **made)
    start, end = np.array([-3.0, 2.0]), np.array([4.0, -1.0])
    with jax.enable_x64(True):
        module.body[0].bias[...] = np.linspace(-1, 1, 7)
    found = linear_regions(module, start, end)
    assert found.regions > 4
    if last == "linear":
        assert found.by_layer[1] == 0
    places = np.concatenate([[0.0], found.breaks, [1.0]])
    with jax.enable_x64(True):

        def logits(t):
            return np.asarray(module(jnp.asarray(start + t[:, None] * (end - start)))[0])

        lefts, rights = places[:-1], places[1:]
        middle = logits((lefts + rights) / 2)
        np.testing.assert_allclose(middle, (logits(lefts) + logits(rights)) / 2, atol=1e-13)
        step = np.min(rights - lefts) / 2
        bend = logits(found.breaks - step) + logits(found.breaks + step) - 2 * logits(found.breaks)
        assert (np.abs(bend).max(axis=1) > 1e-9).all()


def bad(*, weights=((1.0,),), biases=(0.0,), start=(0.0,), end=(1.0,), slopes=0.0):
    return lambda: regions_on_segment([weights], [biases], start, end, slopes)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (bad(end=(0.0,)), "same point"),
        (bad(start=(np.nan,)), "finite"),
        (bad(start=(0.0, 1.0), end=(1.0, 1.0)), "dimensions"),
        (bad(weights=np.zeros((0, 1)), biases=()), "unit"),
        (bad(weights=((np.nan,),)), "NaN"),
        (bad(slopes=[0.0, 0.0]), "one of each"),
        (bad(slopes=np.nan), "slopes"),
        (bad(weights=((1e200,),)), "beyond float64"),
        (bad(slopes=[np.inf]), "slopes"),
        (lambda: regions_on_segment([], [], [0.0], [1.0]), "one layer"),
        (lambda: regions_on_segment([np.ones((2, 1))] * 2, [[0, 0]] * 2, [0], [1]), "out, in"),
        (lambda: linear_regions(MLP((1, 2), rngs=nnx.Rngs(0)), [0], [1]), "no hidden layer"),
        (lambda: linear_regions(nnx.Linear(1, 2, rngs=nnx.Rngs(0)), [0], [1]), "takes an MLP"),
        (
            lambda: linear_regions(MLP((1, 2, 2), activation="tanh", rngs=nnx.Rngs(0)), [0], [1]),
            "tanh",
        ),
    ],
)
def test_one_clear_sentence(call, says):
    with pytest.raises(DataError, match=says):
        call()
