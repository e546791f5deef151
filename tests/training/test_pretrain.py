"""RBMs beside enumeration of all their states; pre-training; a DBN after it."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import svmconv as sc
from svmconv.models import DBN, MLP
from svmconv.training.pretrain import (
    RBM,
    _check_fit,
    _start,
    contrastive_divergence,
    free_energy,
    hidden_means,
    pretrain,
    visible_means,
)
from svmconv.training.train import train
from tests.tolerances import LONG_SUM, ROUNDING

DIGITS = sc.data.digits((3, 8))
SGD = optax.sgd(0.1, momentum=0.5)
HALVES = sc.Problem(5 * [[1, 1, 0, 0], [0, 0, 1, 1]], 5 * [0, 1])
"""Two patterns: no distribution gives the rows more than -ln 2 each, independent pixels -4 ln 2."""


def binary(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


@pytest.fixture(scope="module")
def rbm():
    """3 visible and 2 hidden units, weights large enough for CD-1 to be far off."""
    numbers = np.random.default_rng(2)
    return RBM(*(1.5 * numbers.standard_normal(size) for size in ((3, 2), 3, 2)))


def weights_of_states(rbm):
    """exp(-E) of every pair of states (v, h)."""
    v, h = binary(len(rbm.b)), binary(len(rbm.c))
    return np.exp((v @ rbm.b)[:, None] + (h @ rbm.c)[None] + v @ rbm.w @ h.T)


def called(function, rbm, x):
    with jax.enable_x64(True):
        return np.asarray(function(jax.tree.map(jnp.asarray, rbm), jnp.asarray(x)))


def log_likelihood(rbm, x):
    """Mean of ln p(v) over binary rows, by enumeration."""
    log_z = np.log(weights_of_states(rbm).sum())
    return (-called(free_energy, rbm, x) - log_z).mean()


def statistics(v, h):
    """Means over rows of v h^T, v and h."""
    return RBM(v.T @ h / len(v), v.mean(axis=0), h.mean(axis=0))


def expected_divergence(rbm, x, k):
    """The mean of CD-k over its draws: k steps of the chain of visible states, or its limit."""
    joint = weights_of_states(rbm)
    h_given_v, v_given_h = joint / joint.sum(axis=1, keepdims=True), joint / joint.sum(axis=0)
    states = binary(len(rbm.b))
    start = np.array([(x == s).all(axis=1).mean() for s in states])
    chain = h_given_v @ v_given_h.T
    end = joint.sum(axis=1) / joint.sum()
    if np.isfinite(k):
        end = start @ np.linalg.matrix_power(chain, k)
    means = h_given_v @ binary(len(rbm.c))
    parts = [states.T @ (p[:, None] * means) for p in (start, end)]
    w, b, c = parts[0] - parts[1], (start - end) @ states, (start - end) @ means
    return RBM(w, b, c)


def test_conditional_means_and_free_energy_by_enumeration(rbm):
    joint = weights_of_states(rbm)
    v, h = binary(3), binary(2)
    expected = joint @ h / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(called(hidden_means, rbm, v), expected, rtol=ROUNDING)
    expected = joint.T @ v / joint.sum(axis=0)[:, None]
    np.testing.assert_allclose(called(visible_means, rbm, h), expected, rtol=ROUNDING)
    expected = -np.log(joint.sum(axis=1))
    np.testing.assert_allclose(called(free_energy, rbm, v), expected, rtol=ROUNDING, atol=ROUNDING)


def test_the_end_of_the_chain_is_the_gradient_of_the_likelihood(rbm):
    """So that what CD is compared with below is what autodiff says of the exact likelihood."""
    x = binary(3)[[1, 1, 6, 7]]

    def value(rbm):
        def minus_free(v):
            return -free_energy(rbm, jnp.asarray(v))

        return minus_free(x).mean() - jax.nn.logsumexp(minus_free(binary(3)))

    with jax.enable_x64(True):
        exact = jax.jit(jax.grad(value))(jax.tree.map(jnp.asarray, rbm))
    for found, expected in zip(expected_divergence(rbm, x, np.inf), exact, strict=True):
        np.testing.assert_allclose(found, expected, rtol=LONG_SUM, atol=LONG_SUM)


CHAINS = 40_000
ERRORS = 5 * 0.5 / np.sqrt(4 * CHAINS)
"""Five standard errors: each row adds a number in [0, 1], of standard deviation 1/2 at most."""


def test_the_mean_of_cd_over_draws_is_right_and_tends_to_the_gradient(rbm):
    rows = binary(3)[[1, 1, 6, 7]]
    exact = expected_divergence(rbm, rows, np.inf)
    estimate = jax.jit(contrastive_divergence)
    distance = []
    for k in (1, 20):
        with jax.enable_x64(True):
            x = jnp.asarray(np.repeat(rows, CHAINS, axis=0))
            found = estimate(jax.tree.map(jnp.asarray, rbm), x, jax.random.key(0), k)
        for mean, expected in zip(found, expected_divergence(rbm, rows, k), strict=True):
            np.testing.assert_allclose(mean, expected, atol=ERRORS, rtol=0)
        off = [abs(np.asarray(a) - b).max() for a, b in zip(found, exact, strict=True)]
        distance.append(max(off))
    assert distance[0] > 10 * ERRORS  # CD-1 is another vector
    assert distance[1] < ERRORS


def test_pretraining_raises_the_exact_likelihood():
    module = DBN((2, 2, 1), classes=2, widths=(3,), dtype="float64", rngs=nnx.Rngs(0))
    with jax.enable_x64(True):
        start, _ = _start(module.body[0], jnp.asarray(HALVES.x), SGD)
    before = log_likelihood(RBM(*map(np.asarray, start)), HALVES.x)
    found = pretrain(module, HALVES, SGD, epochs=600)
    after = log_likelihood(found.rbms[0], HALVES.x)
    assert before < -3 * np.log(2)
    assert -np.log(2) - 0.1 < after <= -np.log(2)
    assert found.reconstruction[0, -1] < 0.1 * found.reconstruction[0, 0]


def test_the_start_by_hand():
    """Weights of the layer; pixels on in none, one and all of three rows, and half a row more."""
    module = DBN((1, 3, 1), classes=2, widths=(2,), dtype="float64", rngs=nnx.Rngs(0))
    with jax.enable_x64(True):
        x = jnp.asarray([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
        start, _ = _start(module.body[0], x, SGD)
    np.testing.assert_array_equal(start.w, module.body[0].kernel[...])
    np.testing.assert_array_equal(start.c, np.zeros(2))
    np.testing.assert_allclose(start.b, np.log([0.5 / 3.5, 1.5 / 2.5, 3.5 / 0.5]), rtol=ROUNDING)


def small(widths=(12, 6), **options):
    return DBN((8, 8, 1), classes=2, widths=widths, rngs=nnx.Rngs(0), **options)


@pytest.fixture(scope="module")
def trained():
    module = small(penultimate=3, dtype="float64")
    others = [np.asarray(layer.kernel[...]) for layer in (module.body[2], module.head)]
    return module, others, pretrain(module, DIGITS, SGD, epochs=3, batch=50, seed=1)


def test_hidden_layers_are_the_conditional_means_of_the_rbms(trained):
    module, others, found = trained
    with jax.enable_x64(True):
        hidden = module(jnp.asarray(DIGITS.x[:7]))[1]
    h = DIGITS.x[:7]
    for rbm, name in zip(found.rbms, ("hidden_1", "hidden_2"), strict=True):
        h = 1 / (1 + np.exp(-(h @ rbm.w + rbm.c)))
        np.testing.assert_allclose(hidden[name], h, rtol=LONG_SUM)
    assert list(hidden) == ["hidden_1", "hidden_2", "penultimate"]
    assert all(isinstance(array, np.ndarray) for rbm in found.rbms for array in rbm)
    # What is no RBM is left alone.
    for layer, kernel in zip((module.body[2], module.head), others, strict=True):
        np.testing.assert_array_equal(layer.kernel[...], kernel)


def test_the_reconstruction_error_by_hand(trained):
    _, _, found = trained
    x = DIGITS.x
    for rbm, error in zip(found.rbms, found.reconstruction[:, -1], strict=True):
        h = 1 / (1 + np.exp(-(x @ rbm.w + rbm.c)))
        again = 1 / (1 + np.exp(-(h @ rbm.w.T + rbm.b)))
        assert error == pytest.approx(((x - again) ** 2).mean(), rel=LONG_SUM)
        x = h


def test_greedy_and_without_labels(trained):
    """The first layer is as it is in a shallower network, whatever the labels."""
    _, _, found = trained
    other = sc.Problem(DIGITS.x, DIGITS.y[::-1])
    alone = pretrain(small((12,), dtype="float64"), other, SGD, epochs=3, batch=50, seed=1)
    jax.tree.map(np.testing.assert_array_equal, alone.rbms[0], found.rbms[0])


def test_seeds_decide_the_draws(trained):
    _, _, found = trained
    options = {"epochs": 3, "batch": 50}
    for seed in (1, 2):
        module = small((12,), dtype="float64")
        again = pretrain(module, DIGITS, SGD, seed=seed, **options).rbms[0]
        assert np.array_equal(again.w, found.rbms[0].w) == (seed == 1)


def test_fine_tuning_goes_on_from_there(trained):
    module = nnx.clone(trained[0])
    found = train(module, DIGITS, optax.adam(1e-2), epochs=30, batch=51)
    assert found.log_loss[-1] < found.log_loss[0] - 1
    assert found.final.accuracy > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": sc.Problem(2 * DIGITS.x, DIGITS.y)}, r"pixels must be in \[0, 1\]"),
        ({"problem": sc.Problem(DIGITS.x - 0.1, DIGITS.y)}, r"pixels must be in \[0, 1\]"),
        ({"problem": HALVES}, "rows of 64 pixels, got 4"),
        ({"batch": 358}, "batch=358, but there are 357 rows"),
        ({"k": 0}, "k must be an integer of at least 1"),
        ({"epochs": 0}, "epochs must be an integer of at least 1"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_what_cannot_be_pretrained(change, message):
    options = {"problem": DIGITS, "epochs": 1} | change
    with pytest.raises(sc.DataError, match=message):
        pretrain(small(), optimizer=SGD, **options)


def test_only_dbns_are_pretrained():
    # Below the type checker of the tests, as a user without it would call.
    with pytest.raises(sc.DataError, match="expected a DBN, got a MLP"):
        inspect.unwrap(_check_fit)(MLP((64, 2), rngs=nnx.Rngs(0)), DIGITS, SGD, None)


def test_weights_that_are_not_finite_are_said():
    module = small((12,), dtype="float64")
    with jax.enable_x64(True):
        module.body[0].kernel[...] = module.body[0].kernel[...].at[0, 0].set(np.inf)
    before = np.asarray(module.body[0].kernel[...])
    with pytest.raises(sc.DivergedError, match="layer 1 diverged in epoch 1: lower"):
        pretrain(module, DIGITS, SGD, epochs=2, batch=50)
    np.testing.assert_array_equal(module.body[0].kernel[...], before)
