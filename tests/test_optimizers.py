"""The named methods: what they refuse, and that each is the update rule it stands for."""

import dataclasses
import inspect
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

import svmconv as sc
from svmconv.optimizers import Optimizer
from svmconv.optimizers.optimizer import Scheduled
from tests.tolerances import ROUNDING

GRADIENTS = np.random.default_rng(0).standard_normal((6, 3))


def path(optimizer):
    """The parameters after each of GRADIENTS, from zero."""
    with jax.enable_x64(True):
        transformation, w = optimizer.build(), np.zeros(3)
        state, found = transformation.init(w), []
        for gradient in GRADIENTS:
            updates, state = transformation.update(gradient, state, w)
            w = np.asarray(optax.apply_updates(w, updates))
            found.append(w)
    return np.array(found)


@pytest.mark.parametrize("method", [sc.optimizers.GD, sc.optimizers.NormalizedGD])
def test_plain_steps(method):
    expected = -0.1 * np.cumsum(GRADIENTS, axis=0)
    np.testing.assert_allclose(path(method(rate=0.1)), expected, atol=ROUNDING)


def test_heavy_ball_steps():
    w, m, expected = np.zeros(3), np.zeros(3), []
    for gradient in GRADIENTS:
        m = 0.9 * m + gradient
        w = w - 0.1 * m
        expected.append(w)
    np.testing.assert_allclose(path(sc.optimizers.HeavyBall(0.1)), expected, atol=ROUNDING)


def test_heavy_ball_without_momentum_is_gradient_descent():
    found = path(sc.optimizers.HeavyBall(0.1, momentum=0.0))
    np.testing.assert_allclose(found, path(sc.optimizers.GD(0.1)), rtol=ROUNDING)


def test_effective_rate():
    assert sc.optimizers.GD(0.1).effective_rate == 0.1
    assert sc.optimizers.NormalizedGD(0.1).effective_rate == 0.1
    assert sc.optimizers.HeavyBall(0.1, 0.75).effective_rate == 0.4


def test_which_methods_receive_the_gradient_of_the_loss_itself():
    plain = {method.__name__ for method in named() if not method.on_log_loss}
    assert plain == {"GD", "SGD", "HeavyBall"}


def named(base=Optimizer):
    """Every public method, however it builds on Optimizer."""
    below = [method for child in base.__subclasses__() for method in named(child)]
    return [*below, *(child for child in base.__subclasses__() if hasattr(METHODS, child.__name__))]


METHODS = sc.optimizers


def test_every_method_is_an_optimizer():
    built = [m for m in vars(METHODS).values() if inspect.isclass(m) and m is not Optimizer]
    assert {m.__name__ for m in named()} == {m.__name__ for m in built}
    assert len(built) == 9


@pytest.mark.parametrize("method", named())
@pytest.mark.parametrize("rate", [0.0, -0.1, np.nan, np.inf])
def test_rate_must_be_positive(method, rate):
    with pytest.raises(sc.DataError, match="rate must be a positive number, got"):
        method(rate)


SCHEDULED = [method for method in named() if issubclass(method, Scheduled)]


@pytest.mark.parametrize("method", SCHEDULED)
@pytest.mark.parametrize("power", [-0.1, 1.1, np.nan, np.inf])
def test_steps_may_shrink_but_neither_grow_nor_add_up_to_a_bound(method, power):
    with pytest.raises(sc.DataError, match=r"power must be in \[0, 1\], got"):
        method(0.1, power)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("Adam", {"b1": 1.0}, r"b1 and b2 must be in \[0, 1\), got 1.0 and 0.999"),
        ("Adam", {"b1": -0.1}, r"b1 and b2 must be in"),
        ("Adam", {"b2": np.nan}, r"b1 and b2 must be in"),
        ("Adam", {"eps": -1e-8}, "eps must be zero or a positive number, got -1e-08"),
        ("Adam", {"eps": np.inf}, "eps must be zero or a positive number"),
        ("Adam", {"eps": np.nan}, "eps must be zero or a positive number"),
        ("SGD", {"batch": 0}, "batch must be an integer of at least 1, got 0"),
        ("SGD", {"batch": True}, "batch must be an integer of at least 1"),
        ("SGD", {"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ("SGD", {"seed": 2**64}, "seed must be below 2\\^63"),
        ("Spectral", {"newton_schulz": 0}, "newton_schulz must be an integer of at least 1, got 0"),
        ("Spectral", {"newton_schulz": -1}, "newton_schulz must be an integer of at least 1"),
    ],
    ids=str,
)
def test_what_a_method_cannot_be(method, arguments, message):
    with pytest.raises(sc.DataError, match=message):
        getattr(sc.optimizers, method)(0.1, **arguments)


WRONG_TYPES = """
import numpy as np
import svmconv as sc

for method, arguments, message in [
    *(("GD", {"rate": r}, "rate must be a real number, got") for r in ["0.1", None, True, [0.1]]),
    ("GD", {"rate": np.array(0.1)}, "rate must be a real number, got"),
    ("GD", {"rate": 1 + 1j}, "rate must be a real number, got"),
    ("Adam", {"rate": 1, "eps": "x"}, "eps must be a real number, got 'x'"),
    ("Adam", {"rate": 1, "b1": None}, "b1 must be a real number, got None"),
    ("HeavyBall", {"rate": 1, "momentum": "a"}, "momentum must be a real number, got 'a'"),
    ("NormalizedGD", {"rate": 1, "power": None}, "power must be a real number, got None"),
    ("SGD", {"rate": 1, "replacement": "no"}, "replacement must be True or False, got 'no'"),
    ("SGD", {"rate": 1, "replacement": None}, "replacement must be True or False, got None"),
]:
    try:
        print("accepted", getattr(sc.optimizers, method)(**arguments))
    except sc.DataError as error:
        assert str(error).startswith(message), error
"""


def test_wrong_types_are_named():
    """In a process of its own: here the type checker of the tests would answer first."""
    command = [sys.executable, "-c", WRONG_TYPES]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.parametrize("power", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("method", SCHEDULED)
def test_time_is_the_total_length_of_scheduled_steps(method, power):
    total = 0.0
    for t in range(30):
        assert method(0.3, power).elapsed(t) == pytest.approx(total, rel=ROUNDING)
        total += 0.3 / (t + 1) ** power


def test_time_of_other_methods():
    assert sc.optimizers.GD(0.1).elapsed(70) == pytest.approx(7.0)
    assert sc.optimizers.SGD(0.1, batch=5).elapsed(70) == pytest.approx(7.0)
    assert sc.optimizers.HeavyBall(0.1, 0.75).elapsed(70) == pytest.approx(28.0)
    each = 0.1 * (1 + np.arange(70) / 2)  # what one row that weighs everything adds
    assert sc.optimizers.DualAcceleration(0.1).elapsed(70) == pytest.approx(each.sum())


def after(method, classes, loss="logistic", steps=1000):
    """|W| after so many steps from a small centred start on rows that stand under every label.

    Zero is the best there is, and everything stays in the rows' span.
    """
    x = np.random.default_rng(0).standard_normal((1, 3)).repeat(classes, axis=0)
    side = np.eye(classes, 1)[:, 0] - 1 / classes
    init = 1e-3 * (x[0] if classes == 2 else np.outer(side, x[0]))
    problem = sc.Problem(x, np.arange(classes))
    return np.linalg.norm(sc.descend(problem, method, steps, loss=loss, init=init).w[-1])


SIZE = float(np.square(np.random.default_rng(0).standard_normal((1, 3))).sum())
"""|x|^2 = sigma_max(X)^2 / N of the rows above."""
LIMITS = [
    (sc.optimizers.GD, 2, "logistic", 8.0),
    (sc.optimizers.GD, 2, "exponential", 2.0),
    # 4 suffices for any labels; where all classes tie the Hessian is I/3 and not I/2
    (sc.optimizers.GD, 3, "logistic", 6.0),
    (sc.optimizers.HeavyBall, 2, "logistic", 1.9 * 8.0),
    (sc.optimizers.HeavyBall, 3, "logistic", 1.9 * 6.0),
]


@pytest.mark.parametrize(("method", "classes", "loss", "limit"), LIMITS, ids=str)
def test_step_limits(method, classes, loss, limit):
    assert after(method(0.98 * limit / SIZE), classes, loss) < 1e-5
    try:
        assert after(method(1.05 * limit / SIZE), classes, loss) > 0.01
    except sc.DivergedError:  # the exponential loss runs away
        assert loss == "exponential"


def test_three_classes_cannot_have_the_steps_of_two():
    """Rows under two labels of three: the third fades, and the Hessian rises to twice 1/4."""
    x = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.01]])
    problem = sc.Problem(x, [0, 1, 2])
    limit = 4.0 * 3 / np.linalg.norm(x, 2) ** 2
    far = np.array([[0.001, 0.0], [-0.001, 0.0], [-20.0, 0.0]])

    def apart(rate):
        w = sc.descend(problem, sc.optimizers.GD(rate), 1000, init=far).w.values[-1]
        return abs(w[0, 0] - w[1, 0])

    assert apart(0.98 * limit) < 1e-5
    assert apart(1.05 * limit) > 0.01


@pytest.mark.parametrize("momentum", [1.0, -0.1, 2.0, np.nan])
def test_momentum_must_be_below_one(momentum):
    with pytest.raises(sc.DataError, match=r"momentum must be in \[0, 1\), got"):
        sc.optimizers.HeavyBall(0.1, momentum)


def test_methods_are_values():
    assert sc.optimizers.GD(0.1) == sc.optimizers.GD(rate=0.1)
    assert sc.optimizers.GD(0.1) != sc.optimizers.NormalizedGD(0.1)
    assert hash(sc.optimizers.HeavyBall(0.1)) == hash(sc.optimizers.HeavyBall(0.1, 0.9))
    assert repr(sc.optimizers.HeavyBall(0.1)) == "HeavyBall(rate=0.1, momentum=0.9)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        sc.optimizers.GD(0.1).rate = 1.0  # pyright: ignore[reportAttributeAccessIssue]
