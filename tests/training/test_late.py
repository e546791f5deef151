import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import svmconv as sc
from svmconv.training.evaluate import evaluate
from svmconv.training.interrupted import Interrupted
from svmconv.training.late import late_phase
from svmconv.training.log_descent import PATIENCE, LogDescent, _shortest
from svmconv.training.network import opened
from tests.training.networks import Convolutional, Dense, arrays, linear, same

DIGITS = sc.data.digits((3, 8))
TWO_POINTS = sc.Problem([[-1.0], [1.0]], [0, 1])


def descent(module, problem, size, momentum=0.0):
    return LogDescent(opened(module, problem, training=False), problem, momentum, size)


def log_loss_and_slope(module, problem, size):
    with jax.enable_x64(True):
        d = descent(module, problem, size)
        log_loss, slope = d.log_loss_and_slope(d.params)
        return float(log_loss), [np.asarray(g) for g in slope]


@pytest.mark.slow
def test_gathering_chunks_is_the_full_batch():
    module = Dense(64, 4, 2)
    whole, slope = log_loss_and_slope(module, DIGITS, DIGITS.n)
    parts, slopes = log_loss_and_slope(module, DIGITS, 50)
    assert parts == pytest.approx(whole, rel=1e-13)
    for a, b in zip(slopes, slope, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12 * np.abs(b).max())


def test_convolutions_are_gathered_outside_the_device_loop_to_the_same_sum():
    module = Convolutional("float64")
    with jax.enable_x64(True):
        assert not descent(module, DIGITS, 100).on_device
        assert descent(Dense(64, 4, 2), DIGITS, 50).on_device
    log_loss, _ = log_loss_and_slope(module, DIGITS, 100)
    assert log_loss == pytest.approx(evaluate(module, DIGITS).log_loss, rel=1e-13)


@pytest.mark.parametrize("scale", [1.0, 6.0, 30.0])
def test_slope_is_that_of_the_loss_over_the_loss(scale):
    """While L is a float64: here from e^-0.4 to e^-220 on a separable set."""
    module = Dense(5, 2)
    problem = sc.data.half_spaces(n=40, d=5)
    w = scale * 10 * sc.max_margin(problem).w
    with jax.enable_x64(True):
        kernel = jnp.asarray(np.column_stack([-w, w]) / 20)
        module.layers[0].kernel[...] = kernel

        def loss(kernel):
            z = jnp.asarray(problem.x) @ kernel
            sign = jnp.asarray(problem.signs)
            return jax.nn.softplus(-sign * (z[:, 1] - z[:, 0])).mean()

        value, grad = jax.value_and_grad(loss)(kernel)
    log_loss, (slope,) = log_loss_and_slope(module, problem, 16)
    assert log_loss == pytest.approx(np.log(float(value)), rel=1e-13)
    np.testing.assert_allclose(slope, np.asarray(grad / value), rtol=1e-12, atol=1e-13)


class Kinked(nnx.Module):
    """Logits -+x (p - 10 |q|) / 2: from q != 0 every step down the slope ends at q = 0."""

    def __init__(self):
        with jax.enable_x64(True):
            self.p, self.q = nnx.Param(jnp.ones(())), nnx.Param(jnp.ones(()) / 7)
            self.head = nnx.Linear(1, 2, use_bias=False, param_dtype="float64", rngs=nnx.Rngs(0))
            self.head.kernel[...] = jnp.array([[-0.5, 0.5]])

    def __call__(self, x):
        features = x * (self.p[...] - 10.0 * jnp.abs(self.q[...]))
        return self.head(features), {"penultimate": features}


def test_a_kink_does_not_end_the_descent():
    """log L = -p w as long as q = 0; with the head it falls for ever, along the kink."""
    module = Kinked()
    found = late_phase(module, TWO_POINTS, log_loss=-5.0, steps=2_000, momentum=0.5)
    assert found.stopped == "log_loss"
    assert abs(float(module.q[...])) < 0.02 * float(module.p[...])
    assert (np.diff(found.log_loss) < 0).all()


def test_the_shortest_slope_by_hand():
    leaves = lambda *values: tuple(map(jnp.asarray, values))  # noqa: E731
    with jax.enable_x64(True):
        assert _shortest(leaves([1.0], 1.0), leaves([-1.0], 1.0)) == leaves([0.0], 1.0)
        inside = leaves([1.0], 0.0)
        assert _shortest(inside, leaves([3.0], 0.0)) == inside  # the nearer end
        assert _shortest(inside, inside) == inside


def test_one_step_by_hand():
    """Kernel (-w, w), rows +-1: log L = ln ln(1 + e^-2w); two equal slopes, so dw = rate / 2|g|."""
    module = linear([[0.0, 0.0]])
    found = late_phase(module, TWO_POINTS, steps=1, rate=0.1, momentum=0.0)
    g = 0.5 / np.log(2)  # at w = 0: |d log L / d kernel[k]|
    w = 0.1 / (2 * g)
    np.testing.assert_allclose(arrays(module)[0], [[-w, w]], rtol=1e-14)
    assert found.log_loss[-1] == pytest.approx(np.log(np.log1p(np.exp(-2 * w))), rel=1e-14)
    assert found.rate[-1] == pytest.approx(0.105)
    assert (found.kept, found.stopped) == (1, "steps")


def test_a_step_that_raises_the_loss_is_taken_back_and_the_rate_halved():
    problem = sc.Problem([[1.0], [1.0]], [0, 1])  # the best kernel is zero
    module = linear([[-1.0, 1.0]])
    found = late_phase(module, problem, steps=1, rate=1e3)
    assert (found.kept, found.step[-1], found.rate[-1]) == (0, 1, 500.0)
    np.testing.assert_array_equal(arrays(module)[0], [[-1.0, 1.0]])


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_a_network_goes_on_to_minus_1000_and_log_loss_only_falls(dtype):
    module = Dense(64, 4, 2, dtype=dtype)
    found = late_phase(module, DIGITS, log_loss=-1000.0, steps=20_000)
    assert found.stopped == "log_loss"
    assert (np.diff(found.log_loss) < 0).all()
    assert found.final.log_loss == pytest.approx(found.log_loss[-1], rel=1e-5)
    assert found.final.accuracy == 1.0
    assert {a.dtype for a in arrays(module)} == {np.dtype(dtype)}
    assert all(np.isfinite(a).all() for a in arrays(module))


def angle_to_svm(momentum, log_loss):
    problem = sc.data.planted(n=60, d=3, n_support=3, seed=1)
    module = linear(np.zeros((3, 2)))
    late_phase(module, problem, log_loss=log_loss, momentum=momentum)
    weight, _ = sc.last_layer(module)
    return sc.geometry.angle(weight[1] - weight[0], sc.max_margin(problem).w)


@pytest.mark.parametrize("momentum", [pytest.param(0.0, marks=pytest.mark.slow), 0.99])
def test_a_linear_network_tends_to_the_maximum_margin(momentum):
    """Its angle falls like 1 / |log L|: a hundredth of the way, a hundred times the angle."""
    near, far = angle_to_svm(momentum, -20.0), angle_to_svm(momentum, -2000.0)
    assert far < 5e-3
    assert far < near / 20


def test_control_a_fixed_rate_makes_log_loss_rise():
    """Steps that are never taken back: the curvature of log L grows with the norm."""
    module = Dense(64, 4, 2)
    late_phase(module, DIGITS, steps=300, momentum=0.0)
    with jax.enable_x64(True):
        d = descent(module, DIGITS, DIGITS.n)
        state, seen = d.start(0.1), []
        for _ in range(50):
            log_loss, slope = d.log_loss_and_slope(state.params)
            params = [p - 0.1 * g for p, g in zip(state.params, slope, strict=True)]
            state = state._replace(params=tuple(params))
            seen.append(float(log_loss))
    assert np.diff(seen).max() > 1.0


def test_control_optax_cross_entropy_freezes():
    """At a gap of 40 logsumexp(z) - z_y is 0: nothing is left to descend on."""
    with jax.enable_x64(True):
        z = jnp.asarray([[-20.0, 20.0], [20.0, -20.0]])
        loss = lambda z: optax.softmax_cross_entropy_with_integer_labels(z, jnp.array([1, 0])).sum()  # noqa: E731
        assert float(loss(z)) == 0.0
    module = linear([[-20.0, 20.0]])
    found = late_phase(module, TWO_POINTS, log_loss=-80.0, steps=1000)
    assert found.log_loss[0] == pytest.approx(-40.0)
    assert found.stopped == "log_loss"


@pytest.mark.slow
def test_it_gives_up_where_no_step_lowers_the_loss():
    """Two equal rows of different classes: the origin is the minimum."""
    problem = sc.Problem([[1.0], [1.0]], [0, 1])
    found = late_phase(linear([[0.0, 0.0]]), problem, steps=10**6)
    assert found.stopped == "rounding"
    assert found.step[-1] == PATIENCE
    assert found.log_loss[-1] == pytest.approx(np.log(np.log(2)))


def test_running_statistics_are_frozen_and_the_last_layer_is_trained():
    module = Convolutional("float64")
    mean = np.asarray(module.norm.mean[...])
    kernel = np.asarray(module.head.kernel[...])
    found = late_phase(module, DIGITS, steps=5, chunk=100)
    np.testing.assert_array_equal(np.asarray(module.norm.mean[...]), mean)
    assert not np.array_equal(np.asarray(module.head.kernel[...]), kernel)
    assert found.log_loss[-1] < found.log_loss[0]


def test_a_continuation_ends_where_an_undisturbed_run_does(tmp_path):
    whole, pieces = Dense(64, 4, 2), Dense(64, 4, 2)
    straight = late_phase(whole, DIGITS, steps=300)
    late_phase(pieces, DIGITS, steps=130, checkpoints=tmp_path)
    assert not same(whole, pieces)
    pieces = Dense(64, 4, 2)
    found = late_phase(pieces, DIGITS, steps=300, checkpoints=tmp_path)
    assert same(whole, pieces)
    for name in ("step", "log_loss", "rate", "kept"):
        np.testing.assert_array_equal(getattr(found, name), getattr(straight, name))
    with pytest.raises(sc.DataError, match="another momentum: choose another folder"):
        late_phase(Dense(64, 4, 2), DIGITS, steps=300, momentum=0.5, checkpoints=tmp_path)


def test_the_tracker_sees_falling_losses_and_features_that_fit_the_layer():
    def measure(features, labels, weight, bias):
        logits = features @ weight.T + bias
        own = logits[np.arange(len(labels)), DIGITS.index]
        loss = np.mean(np.logaddexp.reduce(logits, axis=1) - own)
        return {"textbook": np.log(loss)}

    tracker = sc.Tracker(measure)
    late_phase(Dense(64, 4, 2), DIGITS, log_loss=-10.0, tracker=tracker)
    records = tracker.dataset
    assert records.sizes["step"] > 10
    np.testing.assert_allclose(records.textbook, records.log_loss, rtol=1e-6)
    assert (np.diff(records.log_loss) < 0).all()


def test_impossible_requests():
    module = linear([[0.0, 0.0]])
    with pytest.raises(sc.DataError, match="never ends by itself"):
        late_phase(module, TWO_POINTS)
    with pytest.raises(sc.DataError, match="a whole number of steps"):
        late_phase(module, TWO_POINTS, steps=2.5)
    with pytest.raises(sc.DataError, match="a whole number of steps"):
        late_phase(module, TWO_POINTS, steps=np.nan)
    with pytest.raises(sc.DataError, match="tracker must be a Tracker"):
        inspect.unwrap(late_phase)(module, TWO_POINTS, steps=1, tracker="angle")
    assert late_phase(module, TWO_POINTS, log_loss=0.0, steps=1).stopped == "log_loss"
    with pytest.raises(sc.DataError, match="0 <= momentum < 1"):
        late_phase(module, TWO_POINTS, steps=1, momentum=1.0)
    with pytest.raises(sc.DataError, match="needs 3 outputs"):
        late_phase(Dense(64, 2), sc.data.digits((3, 5, 8)), steps=1)
    with pytest.raises(sc.DivergedError, match="not finite before the first step"):
        late_phase(linear([[np.nan, 0.0]]), TWO_POINTS, steps=1)


def test_interrupted(monkeypatch, tmp_path):
    advance, calls = LogDescent.advance, []

    def pressed(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return advance(self, *arguments)

    module, before = Dense(64, 4, 2), arrays(Dense(64, 4, 2))
    with monkeypatch.context() as patch:
        patch.setattr(LogDescent, "advance", pressed)
        with pytest.raises(Interrupted, match="the same call continues from"):
            late_phase(module, DIGITS, steps=10**4, checkpoints=tmp_path)
        assert not np.array_equal(arrays(module)[0], before[0])  # finished blocks are kept
        calls[:] = 3 * [1]
        with pytest.raises(Interrupted, match="name a folder for checkpoints="):
            late_phase(Dense(64, 4, 2), DIGITS, steps=10**4)
    whole, resumed = Dense(64, 4, 2), Dense(64, 4, 2)
    late_phase(whole, DIGITS, steps=200)
    late_phase(resumed, DIGITS, steps=200, checkpoints=tmp_path)
    assert same(whole, resumed)
