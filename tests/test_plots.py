import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from svmconv import data, plots
from svmconv.errors import DataError
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin
from tests import fakes

LN10 = np.log(10.0)


def axes(figure):
    return np.array(figure.axes).reshape(-1, 2)


def legend(grid):
    return [text.get_text() for text in grid[0, 0].figure.legends[0].get_texts()]


def test_panels_are_the_variables_there_are():
    both = {"full": fakes.curve(), "bare": fakes.curve()[["angle", "log_loss", "floor"]]}
    assert len(axes(plots.convergence(both))) == 3
    assert len(axes(plots.convergence({"bare": both["bare"]}))) == 1
    loss = fakes.curve().assign(loss_constant=np.abs(fakes.curve().residual))
    assert len(axes(plots.convergence({"loss": loss}))) == 4


def test_curves_are_drawn_where_the_numbers_say():
    curve = fakes.curve()
    against_t, against_loss = axes(plots.convergence({"run": curve}))[0]
    shown = curve.isel(log1p_t=curve.log1p_t.to_numpy() >= np.log(2.0))
    measured, _, forecast = against_t.lines
    np.testing.assert_array_equal(measured.get_xdata(), shown.log1p_t)
    np.testing.assert_array_equal(measured.get_ydata(), shown.angle)
    np.testing.assert_array_equal(forecast.get_ydata(), shown.angle_forecast)
    assert forecast.get_linestyle() == "--"
    np.testing.assert_array_equal(
        against_loss.lines[0].get_xdata(), -curve.log_loss[curve.log_loss <= -np.log(2.0)]
    )


@pytest.mark.parametrize(("log_t", "sign"), [(13.8, 1), (690.0, 1), (1e6, 1), (1e6, -1)])
def test_ticks_are_powers_of_ten_at_the_right_place(log_t, sign):
    figure = plots.convergence({"run": fakes.curve(log_t)})
    ax = figure.axes[-2 if sign > 0 else -1]
    low, high = ax.get_xlim()
    ticks = [t for t in ax.get_xticks() if low <= t <= high]
    labels = ax.xaxis.get_major_formatter().format_ticks(ticks)
    assert 2 <= len(ticks) <= 6
    for tick, label in zip(ticks, labels, strict=True):
        exponent = float(label.removeprefix("$10^{").removesuffix("}$"))
        assert exponent == pytest.approx(sign * tick / LN10, rel=1e-5)


def test_floor_is_shaded_on_the_angle_only_and_noted_when_far_below():
    near = axes(plots.convergence({"run": fakes.curve(floor=1e-5)}))
    assert [len(ax.collections) for ax in near[:, 0]] == [1, 0, 0]
    assert near[0, 0].get_ylim()[0] < 1e-5
    assert "below the certified floor" in legend(near)
    two = axes(plots.convergence({name: fakes.curve(floor=1e-5) for name in "ab"}))
    assert "below the certified floor, each in its curve's colour" in legend(two)
    far = axes(plots.convergence({"run": fakes.curve(floor=1e-15)}))
    assert "below the certified floor" not in legend(far)
    assert not far[0, 0].collections
    assert "1e-15" in far[0, 0].texts[0].get_text()
    assert far[0, 0].get_ylim()[0] > 1e-8


def test_a_forecast_that_goes_on_for_ever_does_not_set_the_limits():
    ax = axes(plots.convergence({"run": fakes.curve()}))[2, 0]
    assert ax.get_ylim()[0] > 1e-17


def test_nan_zero_and_negative_values_are_left_out():
    curve = fakes.curve()
    curve["margin_gap"][30:33] = [np.nan, 0.0, -1e-17]
    figure = plots.convergence({"run": curve})
    drawn = axes(figure)[1, 0].lines[0].get_ydata()
    assert (drawn > 0).all()
    assert len(drawn) == len(axes(figure)[0, 0].lines[0].get_ydata()) - 3


def test_nothing_to_draw_is_a_sentence():
    with pytest.raises(DataError, match="nothing to draw"):
        plots.convergence({"run": fakes.curve()[["log_loss"]]})
    with pytest.raises(DataError, match="nothing to draw"):
        plots.convergence({})


def test_legend_is_outside_every_panel(tmp_path):
    names = [f"planted(n=1000, d=20, n_support=12, seed={k})" + 9 * ", and more" for k in range(11)]
    figure = plots.convergence({name: fakes.curve() for name in names}, "title")
    figure.savefig(tmp_path / "a.png")
    box = figure.legends[0].get_window_extent()
    assert not any(box.overlaps(ax.get_window_extent()) for ax in figure.axes)
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= 0


def test_no_two_of_eleven_curves_look_alike():
    lines = plots.convergence({f"run {n}": fakes.curve() for n in range(11)}).legends[0].get_lines()
    looks = {(str(one.get_color()), str(one.get_marker())) for one in lines}
    assert len(looks) == 12  # and the forecast's
    assert len({one.get_linestyle() for one in lines[:8]}) == 2


def test_axes_name_the_norm_and_the_clock():
    other = fakes.curve()[["margin_gap", "log_loss"]].assign_attrs(geometry="linf", time="1/L")
    grid = axes(plots.convergence({"run": other}))
    assert (grid[0, 0].get_ylabel(), grid[0, 0].get_xlabel()) == ("relative linf margin gap", "1/L")
    l2 = fakes.curve().assign_attrs(geometry="l2")
    grid = axes(plots.convergence({"run": l2, "other": other}))
    assert grid[0, 0].get_ylabel() == "angle to the exact l2, linf SVM [rad]"
    assert (
        axes(plots.convergence({"run": fakes.curve()}))[1, 0].get_ylabel() == "relative margin gap"
    )
    assert grid[2, 0].get_xlabel() == "total step length t  (axis: logarithm of ln t)"


def test_global_settings_stay_as_they_were(tmp_path):
    before = dict(mpl.rcParams)
    plots.convergence({"run": fakes.curve()}).savefig(tmp_path / "a.png")
    assert dict(mpl.rcParams) == before


TRIANGLE = Problem(
    [[0.0, 2.0], [0.0, 3.0], [2.0, -1.0], [3.0, -1.0], [-2.0, -1.0], [-3.0, -1.0]],
    ["a", "a", "b", "b", "c", "c"],
)


def segments(ax, style):
    """Points of the contours drawn in one line style, (m, 2)."""
    found = [
        path.vertices
        for contour in ax.collections
        if contour.get_linestyle()[0] == style
        for path in contour.get_paths()
    ]
    return np.concatenate(found)


@given(st.integers(0, 50))
@settings(max_examples=10)
def test_svm_boundary_is_where_the_svm_is_zero(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(12, 2))
    direction = rng.normal(size=2)
    side = np.where(x @ direction > 0, 1.0, -1.0)
    if abs(side.sum()) == len(x):
        return
    problem = Problem(x + 0.5 * side[:, None] * direction, side.astype(int))
    svm = max_margin(problem, bias="free")
    ax = plots.plane(problem, svm).axes[0]
    solid = segments(ax, (0.0, None))
    scale = np.abs(problem.x @ svm.w + svm.b).max()
    # a score linear in the plane is interpolated exactly on the grid, up to rounding
    np.testing.assert_allclose(solid @ svm.w + svm.b, 0.0, atol=1e-9 * scale)
    rings = next(line for line in ax.lines if line.get_label() == "support vector")
    np.testing.assert_array_equal(np.column_stack(rings.get_data()), problem.x[svm.support])


def test_three_classes_are_separated_where_their_scores_tie():
    svm = max_margin(TRIANGLE)
    ax = plots.plane(TRIANGLE, svm).axes[0]
    scores = np.sort(segments(ax, (0.0, None)) @ svm.w.T + svm.b, axis=1)
    # linear pieces: exact but in the grid cells where two boundaries meet
    assert np.quantile(scores[:, 2] - scores[:, 1], 0.95) < 1e-9


def test_network_boundary_is_that_of_its_logits():
    problem = Problem([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    svm = max_margin(problem, bias="free")
    one_logit = plots.grid(problem, lambda p: p[:, 0] - 0.25)
    two_logits = plots.grid(problem, lambda p: np.column_stack([0.25 - p[:, 0], p[:, 0] - 0.25]))
    assert one_logit.dims == ("x2", "x1", "class")
    for logits in (one_logit, two_logits, one_logit.transpose("class", "x1", "x2")):
        ax = plots.plane(problem, svm, logits).axes[0]
        dashes = ax.collections[-1]
        points = np.concatenate([path.vertices for path in dashes.get_paths()])
        np.testing.assert_allclose(points[:, 0], 0.25, atol=1e-12)


def test_a_boundary_outside_the_picture_is_no_error(tmp_path):
    problem = Problem([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    svm = max_margin(problem, bias="free")
    away = plots.grid(problem, lambda p: p[:, 0] + 100.0)
    plots.plane(problem, svm, away).savefig(tmp_path / "a.png")
    assert len(plots.plane(problem, svm, away).axes[0].collections) == len(
        plots.plane(problem, svm).axes[0].collections
    )


def test_wrong_problem_and_wrong_dimension_are_refused():
    problem = data.blobs(n=20, seed=1)
    other = Problem([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    with pytest.raises(DataError, match="another problem"):
        plots.plane(problem, max_margin(other, bias="free"))
    cube = Problem(np.eye(3), [0, 1, 1])
    with pytest.raises(DataError, match="two features"):
        plots.plane(cube, max_margin(cube, bias="free"))
    with pytest.raises(DataError, match="two features"):
        plots.grid(cube, lambda p: p[:, 0])


def test_a_grid_survives_saving(tmp_path):
    from svmconv.results import load, save

    problem = Problem([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    logits = plots.grid(problem, lambda p: p[:, 0] - 0.25)
    save(logits.to_dataset(), tmp_path / "logits.nc")
    xr.testing.assert_equal(load(tmp_path / "logits.nc")["logits"], logits)


def test_figures_are_drawn_from_saved_results(tmp_path, capsys):
    from figures import __main__ as command
    from svmconv.results import save

    assert command.main(str(tmp_path), str(tmp_path / "out")) == 1
    assert "run a simulation first" in capsys.readouterr().err
    problem = Problem([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    for name in ("convergence", "plane"):
        (tmp_path / name).mkdir()
    save(fakes.curve(), tmp_path / "convergence" / "flow.nc")
    np.savez(tmp_path / "plane" / "problem.npz", x=problem.x, y=problem.y)
    max_margin(problem, bias="free").save(tmp_path / "plane" / "svm.npz")
    assert command.main(str(tmp_path), str(tmp_path / "out")) == 0
    assert {p.stem for p in (tmp_path / "out").iterdir()} == {"convergence", "plane"}
