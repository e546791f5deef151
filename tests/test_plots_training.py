"""Planes beside each other, and gaps of a network in training."""

import numpy as np
import pytest
import xarray as xr

from svmconv import data, plots
from svmconv.errors import DataError
from svmconv.problem import Problem
from svmconv.svm.solve import max_margin

ROWS = data.half_spaces(n=20, d=2)
SVM = max_margin(ROWS)
POINT = Problem(np.where(ROWS.index[:, None] == 0, 0.0, 1.0 + np.abs(ROWS.x)), ROWS.y)


def curve(k=2):
    """Six records: the first two not separable, the last one collapsed; -log_loss is .1, 1, ..."""
    away = np.array([0.1, 0.1, 1.0, 10.0, 100.0, 1000.0])
    gap = ("step", "against"), np.stack([1 / away, away], axis=1)
    each = np.stack([gap[1], -3 * gap[1], gap[1]], axis=2)
    return xr.Dataset(
        {
            "log_loss": ("step", -away),
            "angle": gap,
            "angle_w": gap,
            "svm_margin": (gap[0], np.full((6, 2), 0.5)),
            "margin_gap": gap,
            "bias_gap": (gap[0], -gap[1]) if k == 2 else ((*gap[0], "class"), each),
            "separable": ("step", np.arange(6) >= 2),
            "collapsed": ("step", np.arange(6) == 5),
            "late": ("step", np.arange(6) >= 3),
        },
        {"against": ["augmented", "free"], "step": np.arange(6)},
    )


@pytest.mark.parametrize(("k", "bias"), [(2, 2.0), (3, 6.0)])
def test_gaps_of_separable_records_against_the_loss(k, bias):
    angle, angle_w, margin, offset = plots.training({"run": curve(k)}).axes
    for ax, size in ((angle, 1.0), (angle_w, 1.0), (margin, 1.0), (offset, bias)):
        line, marks, ring = ax.lines
        np.testing.assert_array_equal(line.get_xdata(), [1, 10, 100, 1000])
        np.testing.assert_allclose(line.get_ydata(), size / np.asarray(line.get_xdata()))
        np.testing.assert_array_equal(marks.get_xdata(), [1, 10, 100])  # not the collapsed one
        np.testing.assert_array_equal(ring.get_xdata(), [10])  # where the late phase begins


def test_the_other_svm_is_chosen_by_name():
    line = plots.training({"run": curve()}, against="free").axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), line.get_xdata())


def test_only_records_of_lower_loss_are_connected():
    bumpy = curve().isel(step=[2, 4, 3, 5])
    line, marks, _ = plots.training({"run": bumpy}).axes[0].lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 100, 1000])
    np.testing.assert_array_equal(marks.get_xdata(), [1, 100, 10])


def test_a_run_that_was_never_separable_is_named_as_such():
    never = curve().isel(step=slice(0, 2))
    words = [t.get_text() for t in plots.training({"a": curve(), "b": never}).legends[0].texts]
    assert words[:2] == ["a", "b: never separable"]


def test_runs_that_were_never_separable_are_refused():
    with pytest.raises(DataError, match="nothing to draw"):
        plots.training({"run": curve().isel(step=slice(0, 2))})


def test_panels_stand_in_rows_and_columns_under_one_legend():
    rows = [[plots.Panel(ROWS, SVM, title="a"), plots.Panel(ROWS)]] * 2
    figure = plots.planes(rows, "both")
    assert len(figure.axes) == 4
    assert "margin" in figure.axes[0].get_title()
    assert figure.axes[1].get_title().endswith("not separable: no exact SVM")
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["class -1", "class 1", "support vector", "exact SVM", "its margins"]


def test_a_class_that_became_a_point_is_marked():
    exact = max_margin(POINT, bias="augmented")
    (ax,) = plots.planes([[plots.Panel(POINT, exact)]]).axes
    count = int((POINT.index == 0).sum())
    assert [text.get_text() for text in ax.texts] == [f"class -1: all {count} rows"]
    assert not plots.planes([[plots.Panel(ROWS, SVM)]]).axes[0].texts


def test_panels_refuse_what_does_not_fit():
    with pytest.raises(DataError, match="another problem"):
        plots.planes([[plots.Panel(POINT, SVM)]])
    with pytest.raises(DataError, match="equally long"):
        plots.planes([[plots.Panel(ROWS)], []])
    with pytest.raises(DataError, match="two features"):
        plots.planes([[plots.Panel(data.half_spaces(n=20, d=3))]])
