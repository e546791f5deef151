"""Bad input ends in one sentence, odd input works, and a trajectory is labelled as promised."""

import numpy as np
import optax
import pytest
import xarray as xr

import svmconv as sc
from svmconv.dynamics import recording
from svmconv.optimizers import GD
from tests.dynamics.references import small, small_three_classes

BOTH = [
    lambda problem, **options: sc.gradient_flow(problem, 1.0, **options),
    lambda problem, **options: sc.descend(problem, GD(0.1), 3, **options),
]
both = pytest.mark.parametrize("run", BOTH, ids=["flow", "descend"])


@both
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": "free"}, 'no descent reaches bias="free".*"augmented"'),
        ({"bias": "both"}, "unknown bias 'both': choose one of none, augmented, free"),
        ({"loss": "hinge"}, "unknown loss 'hinge': choose one of logistic, exponential"),
        ({"bias_scale": 0.0}, "bias_scale must be a positive number"),
        ({"init": np.zeros(3)}, r"init must have shape \(4,\).* got \(3,\)"),
        ({"init": np.zeros((2, 4))}, r"init must have shape \(4,\)"),
        ({"init": [1.0, np.nan, 0.0, 0.0]}, "init has NaN or infinite"),
        ({"init": "zero"}, "init must hold real numbers"),
        ({"init": [[1.0], [2.0, 3.0]]}, "init must hold real numbers"),
        ({"init": (np.zeros(4), 1.0)}, 'init has a bias: ask for bias="augmented"'),
    ],
    ids=str,
)
def test_unusable_options(run, options, message):
    with pytest.raises(sc.DataError, match=message):
        run(small(), **options)


@both
def test_exponential_loss_is_for_two_classes(run):
    with pytest.raises(sc.DataError, match='for two classes: use "logistic"'):
        run(small_three_classes(), loss="exponential")


@pytest.mark.parametrize("log_t", [np.nan, np.inf, -np.inf])
def test_log_t_must_be_finite(log_t):
    with pytest.raises(sc.DataError, match="log_t must be a finite number"):
        sc.gradient_flow(small(), log_t)


@pytest.mark.parametrize("rtol", [0.0, -1e-8, np.nan, 1.0])
def test_rtol_must_be_a_fraction(rtol):
    with pytest.raises(sc.DataError, match="rtol must be between 0 and 1"):
        sc.gradient_flow(small(), 1.0, rtol=rtol)


def test_unknown_frame():
    with pytest.raises(sc.DataError, match="unknown frame 'moving': choose one of co-moving"):
        sc.gradient_flow(small(), 1.0, frame="moving")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("steps", [0, -1, 1.5, np.inf, np.nan])
def test_steps_must_be_a_whole_number(steps):
    with pytest.raises(sc.DataError, match="steps must be a whole number of at least 1, got"):
        sc.descend(small(), GD(0.1), steps)


def test_steps_may_be_written_as_a_float():
    one, other = sc.descend(small(), GD(0.1), 1e2), sc.descend(small(), GD(0.1), 100)
    xr.testing.assert_identical(one, other)


def test_the_co_moving_frame_needs_a_separator():
    problem = sc.Problem([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 1])
    with pytest.raises(sc.NotSeparableError) as caught:
        sc.gradient_flow(problem, 1.0)
    z = problem.signs[:, None] * problem.x
    np.testing.assert_allclose(caught.value.weights @ z[caught.value.rows], 0.0, atol=1e-12)


def test_separable_with_an_intercept_only_names_the_option():
    problem = sc.Problem([[1.0], [2.0]], ["low", "high"])
    with pytest.raises(sc.NotSeparableError, match='bias="augmented"'):
        sc.gradient_flow(problem, 1.0)
    flow = sc.gradient_flow(problem, 1e3, bias="augmented")
    assert float(flow.margin[-1]) > 0


def test_an_integrator_that_gives_up_says_where(monkeypatch):
    monkeypatch.setattr("svmconv.dynamics.flow._integrate", lambda *_: (np.zeros((8, 4)), False))
    with pytest.raises(sc.SvmconvError, match=r"the flow stopped between ln\(1 \+ t\) = 0 and"):
        sc.gradient_flow(small(), 1e3)


@both
def test_labels_of_two_classes(run):
    problem = small()
    found = run(problem)
    assert dict(found.w.sizes) == {"log1p_t": found.sizes["log1p_t"], "feature": 4}
    for name in ("b", "margin", "log_loss", "norm"):
        assert found[name].dims == ("log1p_t",)
    assert not found.b.values.any()
    assert found.log1p_t[0] == 0.0
    assert (np.diff(found.log1p_t) > 0).all()
    assert found.attrs["problem_id"] == problem.id
    assert (found.attrs["bias"], found.attrs["bias_scale"]) == ("none", 1.0)
    assert all(v.dtype == np.float64 for v in found.data_vars.values())
    assert all(isinstance(v.data, np.ndarray) for v in found.variables.values())


def test_labels_of_three_classes():
    plain = small_three_classes()
    problem = sc.Problem(plain.x, np.array(["cat", "dog", "emu"])[plain.index])
    found = sc.descend(problem, GD(0.1), 3)
    assert found.w.dims == ("log1p_t", "class", "feature")
    assert found.b.dims == ("log1p_t", "class")
    assert found["class"].values.tolist() == ["cat", "dog", "emu"]


def test_attributes_say_which_run():
    assert sc.gradient_flow(small(), 1.0).attrs.items() >= {
        "method": "flow", "rate": 1.0, "loss": "logistic", "frame": "co-moving", "rtol": 1e-8
    }.items()  # fmt: skip
    assert sc.descend(small(), sc.optimizers.HeavyBall(0.1, 0.5), 1).attrs.items() >= {
        "method": "HeavyBall", "rate": 0.2, "optimizer": "HeavyBall(rate=0.1, momentum=0.5)"
    }.items()  # fmt: skip
    custom = sc.descend(small(), optax.adam(0.1), 1).attrs
    assert (custom["method"], custom["optimizer"], custom["rate"]) == ("custom",) * 3


def test_stacked_is_the_space_the_optimizer_sees():
    problem = sc.data.half_spaces(n=40, d=3)
    run = sc.descend(problem, GD(0.1), 5, bias="augmented", bias_scale=4.0)
    found = recording.stacked(run)
    np.testing.assert_array_equal(found[:, :3], run.w)
    np.testing.assert_array_equal(found[:, 3], run.b / 2.0)
    np.testing.assert_allclose(run.norm, np.linalg.norm(found, axis=1), rtol=1e-15)
    plain = sc.descend(problem, GD(0.1), 5)
    np.testing.assert_array_equal(recording.stacked(plain), plain.w)


@pytest.mark.parametrize("end", [1, 2, 7, 1000, 10**12])
def test_steps_are_recorded_from_the_first_to_the_last(end):
    steps = recording.log_spaced_steps(end)
    assert steps[0] == 1
    assert steps[-1] == end
    assert (np.diff(steps) > 0).all()
    assert len(steps) <= recording.POINTS


@pytest.mark.parametrize("end", [1e-9, 0.5, 30.0, 1e6])
def test_times_are_recorded_up_to_the_end(end):
    times = recording.log_spaced_times(end)
    assert times[-1] == end
    assert 0 < times[0] <= 0.01
    assert (np.diff(times) > 0).all()


@both
def test_calls_leave_their_input_alone(run):
    init = np.array([1.0, 2.0, 3.0, 4.0])
    found = run(small(), init=init)
    np.testing.assert_array_equal(init, [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(found.w[0], init)


def test_progress_is_silent_off_screen(capfd):
    sc.descend(small(), GD(0.1), 5)
    assert capfd.readouterr() == ("", "")
