"""Losses by hand, against optax where it is exact, and where only the log domain is left."""

from decimal import Decimal, localcontext
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import svmconv as sc
from svmconv import losses
from tests.tolerances import EPS, GRADIENT, ROUNDING

LOSSES = ("logistic", "exponential")
LN2, LN3 = np.log(2.0), np.log(3.0)
X = np.array([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def two_classes(n=12, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return losses.rows_of(sc.Problem(rng.standard_normal((n, d)), np.arange(n) % 2))


def three_classes(n=12, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return losses.rows_of(sc.Problem(rng.standard_normal((n, d)), np.arange(n) % 3))


def cases():
    """(weights, rows) of two and of three classes, weights of order one."""
    rng = np.random.default_rng(1)
    return [
        (jnp.asarray(rng.standard_normal(3)), two_classes()),
        (jnp.asarray(rng.standard_normal((3, 3))), three_classes()),
    ]


def column(*margins):
    """Three rows with these margins in turn: one shape, one compilation."""
    return jnp.asarray(np.resize(np.array(margins, dtype=float), (3, 1)))


def three_rivals(*margins):
    return jnp.asarray(np.tile([np.inf, *margins], (3, 1)))


def test_rows_are_signed_for_two_classes_and_plain_for_three():
    binary = losses.rows_of(sc.Problem(X, [0, 1, 0]), "augmented", 4.0, 2.0)
    assert binary.own is None
    np.testing.assert_array_equal(binary.x, [[-0.5, -1, -1], [1.5, -2, 1], [-2.5, -3, -1]])
    three = losses.rows_of(sc.Problem(X, [2, 0, 1]))
    np.testing.assert_array_equal(three.x, X)
    np.testing.assert_array_equal(three.own, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_pair_margins_by_hand():
    rows = losses.rows_of(sc.Problem(X, [0, 1, 0]))
    np.testing.assert_array_equal(
        losses.pair_margins(jnp.array([1.0, 1.0]), rows), [[-3], [-1], [-11]]
    )
    rows = losses.rows_of(sc.Problem(X[:, :1], [0, 1, 2]))
    # scores of x = 1, 3, 5 under W = (1, 0, -2)
    np.testing.assert_array_equal(
        losses.pair_margins(jnp.array([[1.0], [0.0], [-2.0]]), rows),
        [[np.inf, 1, 3], [-3, np.inf, 6], [-15, -10, np.inf]],
    )


def test_losses_by_hand():
    # softplus(0) = ln 2; softplus(-ln 2) = ln(3/2); softplus(ln 2) = ln 3
    margins = column(0.0, LN2, -LN2)
    logistic = [np.log(LN2), np.log(np.log(1.5)), np.log(LN3)]
    np.testing.assert_allclose(losses.log_row_losses(margins, "logistic"), logistic, rtol=ROUNDING)
    np.testing.assert_allclose(
        losses.log_row_losses(margins, "exponential"), [0, -LN2, LN2], atol=ROUNDING
    )
    # means: (ln 2 + ln 3/2 + ln 3) / 3 and (1 + 1/2 + 2) / 3
    assert losses.log_loss(margins, "logistic") == pytest.approx(np.log(np.log(9.0) / 3))
    assert losses.log_loss(margins, "exponential") == pytest.approx(np.log(3.5 / 3))
    assert losses.smallest_margin(margins) == -LN2


def test_softmax_by_hand():
    # two rivals at pair margin ln 2: loss ln(1 + 1/2 + 1/2) = ln 2
    margins = three_rivals(LN2, LN2)
    assert losses.log_loss(margins, "logistic") == pytest.approx(np.log(LN2), rel=ROUNDING)
    np.testing.assert_allclose(
        losses.log_pair_weights(margins, "logistic")[0],
        [-np.inf, -2 * LN2, -2 * LN2],
        rtol=ROUNDING,
    )
    assert losses.smallest_margin(margins) == LN2


@pytest.mark.parametrize("margin", [40.0, 700.0, 800.0, 1e6, 1e300])
def test_a_loss_of_any_smallness_is_an_ordinary_number(margin):
    """ln ln(1 + e^-m) = -m - e^-m / 2 + ..., so -m to the last bit from m = 40 on."""
    for loss in LOSSES:
        assert losses.log_loss(column(margin), loss) == -margin
    assert losses.log_loss(three_rivals(margin, margin), "logistic") == pytest.approx(
        LN2 - margin, rel=ROUNDING
    )


@pytest.mark.parametrize("margin", [-40.0, -800.0, -1e6, -1e300])
def test_a_loss_of_any_size_is_an_ordinary_number(margin):
    assert losses.log_loss(column(margin), "logistic") == pytest.approx(np.log(-margin))
    assert losses.log_loss(column(margin), "exponential") == -margin


def test_the_two_branches_of_log_softplus_meet():
    m = jnp.asarray(np.linspace(36.0, 38.0, 201))
    expected = -m - jnp.exp(-m) / 2  # next term e^-2m: 1e-32
    np.testing.assert_allclose(
        losses.log_row_losses(m[:, None], "logistic"), expected, rtol=ROUNDING
    )


@given(m=st.floats(-50, 700))
def test_equal_to_optax_where_it_is_exact(m):
    ours = float(jnp.exp(losses.log_loss(column(m), "logistic")))
    assert ours == pytest.approx(
        float(optax.sigmoid_binary_cross_entropy(jnp.asarray(m), jnp.asarray(1.0))), rel=1e-13
    )


def test_softmax_equal_to_optax_where_it_is_exact():
    w, rows = cases()[1]
    labels = jnp.argmax(rows.own, axis=1)
    theirs = jax.jit(optax.softmax_cross_entropy_with_integer_labels)(rows.x @ w.T, labels).mean()
    ours = jnp.exp(losses.log_loss(losses.pair_margins(w, rows), "logistic"))
    assert float(ours) == pytest.approx(float(theirs), rel=ROUNDING)


def test_softmax_of_optax_is_zero_where_ours_is_not():
    """numerics.md 1: logsumexp(z) - z_y loses everything from a logit gap of 36 on."""
    scores = jnp.array([[50.0, 0.0, 0.0]])
    theirs = jax.jit(optax.softmax_cross_entropy_with_integer_labels)
    assert theirs(scores, jnp.array([0]))[0] == 0.0
    rows = losses.Rows(jnp.eye(3)[:1], jnp.array([[True, False, False]]))
    margins = losses.pair_margins(jnp.diag(jnp.array([50.0, 0.0, 0.0])), rows)
    assert losses.log_loss(margins, "logistic") == pytest.approx(LN2 - 50.0, rel=ROUNDING)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("case", [0, 1], ids=["two", "three"])
@pytest.mark.parametrize("stretch", [1.0, 30.0])
def test_gradients_are_those_of_the_loss(case, loss, stretch):
    w, rows = cases()[case]
    w = stretch * w

    def log_loss(w):
        return losses.log_loss(losses.pair_margins(w, rows), loss)

    expected = jax.jit(jax.grad(log_loss))(w)
    size = float(jnp.abs(expected).max())
    np.testing.assert_allclose(
        losses.log_loss_and_grad(w, rows, loss)[1], expected, atol=GRADIENT * size
    )
    expected = jax.jit(jax.grad(lambda w: jnp.exp(log_loss(w))))(w)
    size = float(jnp.abs(expected).max())
    np.testing.assert_allclose(losses.grad_loss(w, rows, loss), expected, atol=GRADIENT * size)


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
@pytest.mark.parametrize("rivals", [1, 3])
def test_pair_weights_are_the_exp_of_their_logs(loss, rivals):
    """To all digits, at margins from -60 to 700."""
    margins = np.linspace(-60.0, 700.0, 24 * rivals).reshape(-1, rivals)
    margins[:, 1:] += np.where(margins[:, 1:] > 300, np.inf, 0.0)  # own classes
    found = losses.pair_weights(jnp.asarray(margins), loss)
    expected = np.exp(losses.log_pair_weights(jnp.asarray(margins), loss))
    np.testing.assert_allclose(found, expected, rtol=GRADIENT)
    assert (np.asarray(found)[np.isfinite(margins)] > 0).all()


def test_grad_log_loss_does_not_underflow():
    """At margins (1000, 1001) only the ratio e of the two rows counts."""
    rows = losses.Rows(jnp.eye(2), None)
    w = jnp.array([1000.0, 1001.0])
    softmax = np.array([np.e, 1.0]) / (np.e + 1.0)
    for loss in LOSSES:
        np.testing.assert_allclose(
            losses.log_loss_and_grad(w, rows, loss)[1], -softmax, rtol=GRADIENT
        )
        np.testing.assert_array_equal(losses.grad_loss(w, rows, loss), [0.0, 0.0])


@pytest.mark.parametrize("case", [0, 1], ids=["two", "three"])
@given(seed=st.integers(0, 1000))
def test_combine_is_the_adjoint_of_pair_margins(case, seed):
    w, rows = cases()[case]
    margins = losses.pair_margins(w, rows)
    a = jnp.asarray(np.random.default_rng(seed).standard_normal(margins.shape))
    if rows.own is not None:
        a = jnp.where(rows.own, 0.0, a)
        margins = jnp.where(rows.own, 0.0, margins)
    assert float(jnp.vdot(losses.combine(a, rows), w)) == pytest.approx(
        float(jnp.vdot(a, margins)), abs=1e-12
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_softmax_of_two_classes_is_the_logistic_loss_of_the_difference(loss):
    rng = np.random.default_rng(2)
    x, index = rng.standard_normal((12, 3)), np.arange(12) % 2
    binary = losses.rows_of(sc.Problem(x, index))
    pairs = losses.Rows(jnp.asarray(x), jnp.asarray(index[:, None] == np.arange(2)))
    w = jnp.asarray(rng.standard_normal((2, 3)))
    one_logit, two_logits = w[1] - w[0], w
    assert float(losses.log_loss(losses.pair_margins(one_logit, binary), loss)) == pytest.approx(
        float(losses.log_loss(losses.pair_margins(two_logits, pairs), loss))
    )
    gradient = losses.log_loss_and_grad(one_logit, binary, loss)[1]
    np.testing.assert_allclose(
        losses.log_loss_and_grad(two_logits, pairs, loss)[1],
        np.array([-gradient, gradient]),
        atol=1e-14,
    )


@given(shift=arrays(np.float64, 3, elements=st.floats(-100, 100, allow_subnormal=False)))
def test_a_common_shift_of_all_classes_changes_nothing(shift):
    w, rows = cases()[1]
    margins = losses.pair_margins(w, rows)
    moved = losses.pair_margins(w + jnp.asarray(shift)[None], rows)
    np.testing.assert_allclose(moved, margins, atol=1e-11)  # scores of size 1e3 cancel
    gradient = losses.log_loss_and_grad(w, rows, "logistic")[1]
    np.testing.assert_allclose(gradient.sum(axis=0), 0.0, atol=ROUNDING)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_a_mean_over_rows(loss):
    w, rows = cases()[0]
    twice = losses.Rows(jnp.concatenate([rows.x, rows.x]), None)
    once = partial(losses.log_loss, loss=loss)
    assert float(once(losses.pair_margins(w, twice))) == pytest.approx(
        float(once(losses.pair_margins(w, rows))), rel=1e-13
    )
    np.testing.assert_allclose(
        losses.grad_loss(w, twice, loss), losses.grad_loss(w, rows, loss), rtol=1e-12
    )


def test_exp_is_exact_to_two_units_of_the_last_place():
    """Beside decimal arithmetic; 0 where e^x is subnormal, as XLA has it."""
    x = np.concatenate([np.linspace(-708.0, 700.0, 999), np.linspace(-1, 1, 99), [-1e-300, 0.0]])
    with jax.enable_x64(True):
        found = np.asarray(losses._exp(jnp.asarray(x)))
        assert not np.asarray(losses._exp(jnp.array([-709.0, -1e300, -np.inf]))).any()
    with localcontext() as context:
        context.prec = 40
        exact = [Decimal(v).exp() for v in x]
        worst = max(abs(Decimal(a) / b - 1) for a, b in zip(found, exact, strict=True))
    assert worst <= 2 * EPS


def test_log1p_over_its_argument_is_exact():
    y = np.concatenate([np.logspace(-300, 0, 99), np.linspace(0.0, 1.0, 99)[1:]])
    with jax.enable_x64(True):
        found = np.asarray(losses._log1p_ratio(jnp.asarray(y)))
        assert float(losses._log1p_ratio(jnp.zeros(1))[0]) == 1.0
    with localcontext() as context:
        context.prec = 400
        exact = [(1 + Decimal(v)).ln() / Decimal(v) for v in y]
        worst = max(abs(Decimal(a) / b - 1) for a, b in zip(found, exact, strict=True))
    assert worst <= 2 * EPS


@pytest.mark.parametrize(("n", "d"), [(1, 3), (100, 6), (997, 4)])
@pytest.mark.parametrize("loss", LOSSES)
def test_rows_in_tiles_have_the_same_losses_and_gradients(n, d, loss):
    rng = np.random.default_rng(n)
    x, w = rng.standard_normal((n, d)), jnp.asarray(rng.standard_normal(d))
    rows = losses.Rows(jnp.asarray(x), None)
    tiles = losses.tiled(rows)
    assert tiles.x.shape[2] % 8 == 0
    assert tiles.mean_over == n

    @jax.jit
    def both(w):
        return losses.pair_margins(w, tiles), *(
            (losses.grad_loss(w, some, loss), losses.log_loss_and_grad(w, some, loss))
            for some in (tiles, rows)
        )

    margins, found, expected = both(w)
    np.testing.assert_allclose(margins[:n, 0], x @ w, rtol=0, atol=ROUNDING)
    assert not np.asarray(margins[n:]).any()
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=GRADIENT)
    for size in (1.0, 1e3):  # where L is of order one, and where it is e^-1000 or e^1000
        _, (_, found), (_, expected) = both(size * w)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=GRADIENT, atol=GRADIENT)


def test_rows_of_classes_are_not_tiled():
    rows = three_classes()
    assert losses.tiled(rows) is rows
