import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy.optimize import linprog

import svmconv as sc
from svmconv.losses import log_loss
from svmconv.models import MLP
from svmconv.training import features, fit
from svmconv.training.fit import logit_margins

ADAM = optax.adam(1e-2)
TWO_POINTS = sc.Problem([[-1.0], [1.0]], [0, 1])


def linear(start, dtype="float64"):
    """A linear model of kernel `start` (d, K) without bias."""
    with jax.enable_x64(True):
        module = MLP(np.shape(start), dtype=dtype, rngs=nnx.Rngs(0))
        module.head.kernel[...] = jnp.asarray(start, dtype)
    return module


def value_and_grad(loss, logits):
    return jax.jit(jax.value_and_grad(loss))(logits)


def margin_form(logits, own):
    return log_loss(logit_margins(logits, own), "logistic")


def optax_form(logits, index):
    return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(index))


def test_margin_form_is_the_cross_entropy_where_both_are_exact():
    logits = np.random.default_rng(0).standard_normal((50, 4))
    index = np.arange(50) % 4
    with jax.enable_x64(True):
        own = jnp.asarray(index[:, None] == np.arange(4))
        z = jnp.asarray(logits)
        ours, slope = value_and_grad(lambda z: jnp.exp(margin_form(z, own)), z)
        theirs, their_slope = value_and_grad(lambda z: optax_form(z, index).mean(), z)
        np.testing.assert_allclose(float(ours), float(theirs), rtol=1e-14)
        np.testing.assert_allclose(np.asarray(slope), np.asarray(their_slope), atol=1e-16)


@pytest.mark.parametrize("gap", [40.0, 100.0, 700.0])
def test_margin_form_keeps_the_gradient_where_optax_loses_it(gap):
    """One row, logits (gap, 0, 0): l = 2 e^-gap and dl/dz = (-2, 1, 1) e^-gap."""
    with jax.enable_x64(True):
        z = jnp.asarray([[gap, 0.0, 0.0]])
        own = jnp.asarray([[True, False, False]])
        value, slope = value_and_grad(lambda z: margin_form(z, own), z)
        theirs, their_slope = value_and_grad(lambda z: optax_form(z, np.zeros(1, int)).sum(), z)
        assert float(value) == pytest.approx(np.log(2) - gap, rel=1e-15)
        np.testing.assert_allclose(np.asarray(slope), [[-1.0, 0.5, 0.5]], rtol=1e-14)
        assert float(theirs) == 0.0
        assert float(their_slope[0, 0]) == 0.0  # the own logit stands still ...
        assert float(their_slope[0, 1]) > 0.0  # ... while its rivals move: a wrong direction


def test_gradient_descent_by_hand():
    """Rows +-1, kernel (-w, w): the loss is ln(1 + e^-2w), its slope in w's logit 1/(1 + e^2w)."""
    module = linear([[0.0, 0.0]])
    found = fit(module, TWO_POINTS, optax.sgd(0.5), 3)
    w = [0.0]
    for _ in range(3):
        w.append(w[-1] + 0.5 / (1 + np.exp(2 * w[-1])))
    np.testing.assert_allclose(found.log_loss, np.log(np.log1p(np.exp(-2 * np.array(w)))))
    weight, bias = sc.last_layer(module)
    np.testing.assert_allclose(weight, [[-w[-1]], [w[-1]]], rtol=1e-14)
    np.testing.assert_allclose(bias, 0.0, atol=1e-16)
    assert jnp.zeros(1).dtype == jnp.float32  # the global setting is as it was


def test_descent_goes_on_beyond_the_reach_of_optax_cross_entropy():
    """Gap 40 is where logsumexp(z) - z_y becomes 0; steps on L with a large rate still move."""
    found = fit(linear([[-20.0, 20.0]]), TWO_POINTS, optax.sgd(np.exp(40.0)), 1)
    np.testing.assert_allclose(found.log_loss, [-40.0, -42.0], rtol=1e-12)


def test_small_steps_never_raise_the_loss():
    problem = sc.data.half_spaces(n=100, d=5)
    found = fit(linear(np.zeros((5, 2))), problem, optax.sgd(0.1), 500)
    assert found.log_loss.shape == (501,)
    assert found.log_loss.dtype == np.float64
    assert found.log_loss[0] == pytest.approx(np.log(np.log(2)), rel=1e-14)
    assert (np.diff(found.log_loss) < 0).all()


def test_zero_steps_only_measure():
    module = linear([[0.0, 0.0]])
    found = fit(module, TWO_POINTS, optax.adam(0.1), 0)
    assert found.log_loss.shape == (1,)
    assert found.accuracy == 0.0  # ties are not right answers
    assert not sc.last_layer(module)[0].any()


def test_accuracy_counts_rows():
    problem = sc.Problem([[-1.0], [-2.0], [1.0], [-3.0]], [0, 0, 1, 1])  # the last one is hopeless
    assert fit(linear([[0.0, 0.0]]), problem, optax.sgd(0.1), 5).accuracy == 0.75


def separable(problem):
    """Whether a linear program finds weights with an intercept and every pair margin >= 1."""
    x = np.column_stack([problem.x, np.ones(problem.n)])
    row, rival = np.nonzero(~problem.own)
    e = np.eye(problem.n_classes)
    z = np.einsum("pk,pd->pkd", e[problem.index[row]] - e[rival], x[row]).reshape(len(row), -1)
    found = linprog(np.zeros(z.shape[1]), A_ub=-z, b_ub=-np.ones(len(z)), bounds=(None, None))
    return found.status == 0


def test_separable_can_say_no():
    assert not separable(sc.data.disc(n=100))


def cross_entropy(module, last):
    """The textbook form, from features and last layer; loses 5 of 16 digits at a loss of 1e-5."""
    weight, bias = sc.last_layer(module)
    logits = last.x @ weight.T + bias
    own = logits[np.arange(last.n), last.index]
    return np.mean(np.logaddexp.reduce(logits, axis=1) - own)


@pytest.mark.parametrize(
    "classes",
    [(3, 8), *(pytest.param(c, marks=pytest.mark.slow) for c in ((4, 9), (1, 7), (3, 5, 8)))],
)
def test_digits_reach_separable_features_without_collapse(classes):
    problem = sc.data.digits(classes)
    module = MLP((64, 32, 8, len(classes)), rngs=nnx.Rngs(0))
    found = fit(module, problem, ADAM, 300)
    last = features(module, problem)
    assert found.accuracy == 1.0
    assert found.log_loss[-1] < -8.0
    assert found.log_loss[-1] == pytest.approx(np.log(cross_entropy(module, last)), rel=1e-10)
    assert last.x.shape == (problem.n, 8)
    assert last.x.dtype == np.float64
    np.testing.assert_array_equal(last.y, problem.y)
    assert separable(last)
    for k in range(len(classes)):
        rows = last.x[last.index == k]
        assert np.linalg.matrix_rank(rows - rows.mean(axis=0)) == 8


def test_the_same_seed_trains_the_same_network():
    def run(seed):
        module = MLP((64, 32, 8, 2), rngs=nnx.Rngs(seed))
        problem = sc.data.digits((4, 9))
        return fit(module, problem, ADAM, 300).log_loss, features(module, problem).id

    (history, found), (again, refound), (other, _) = run(0), run(0), run(1)
    np.testing.assert_array_equal(history, again)
    assert found == refound
    assert (history != other).all()


def test_float32_networks_keep_a_float64_record():
    module = linear([[0.0, 0.0]], "float32")
    found = fit(module, TWO_POINTS, optax.sgd(0.5), 3)
    assert found.log_loss.dtype == np.float64
    assert sc.last_layer(module)[0].dtype == np.float32
    assert features(module, TWO_POINTS).x.dtype == np.float64


class Centred(nnx.Module):
    """Subtracts the batch mean in training and a running mean, halfway renewed, in evaluation."""

    def __init__(self):
        self.use_running_average = False
        with jax.enable_x64(True):
            self.mean = nnx.BatchStat(jnp.zeros(1))
            self.head = linear([[-1.0, 1.0]]).head

    def set_view(self, use_running_average=None, **_):
        if use_running_average is not None:
            self.use_running_average = use_running_average

    def __call__(self, x):
        mean = self.mean[...]
        if not self.use_running_average:
            mean = x.mean(axis=0)
            self.mean[...] = (self.mean[...] + mean) / 2
        h = x - mean[None]
        return self.head(h), {"penultimate": h}


def test_running_statistics_are_trained_and_features_use_them():
    problem = sc.Problem([[1.0], [2.0], [6.0]], [0, 1, 1])  # mean 3
    module = Centred()
    fit(module, problem, optax.sgd(0.0), 2)
    np.testing.assert_array_equal(np.asarray(module.mean[...]), [2.25])  # 3/2, then (3/2 + 3)/2
    np.testing.assert_array_equal(features(module, problem).x, problem.x - 2.25)


def test_features_leave_the_module_as_it_was():
    module = Centred()
    features(module, TWO_POINTS)
    assert module.use_running_average is False
    np.testing.assert_array_equal(np.asarray(module.mean[...]), [0.0])


def test_wrong_number_of_outputs():
    with pytest.raises(sc.DataError, match="its last layer needs 3 outputs"):
        fit(linear(np.zeros((64, 2))), sc.data.digits((3, 5, 8)), optax.sgd(0.1), 1)


def test_divergence_is_an_error():
    with pytest.raises(sc.DivergedError, match="diverged at step 1: lower"):
        fit(linear([[1.0, 0.0]]), TWO_POINTS, optax.sgd(np.nan), 5)
