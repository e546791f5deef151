"""Zero duals: ln ln t beside a constant, as derived, and the figure draws it."""

import numpy as np
import pytest

from figures.degenerate import degenerate as figure
from simulations.degenerate import PRESETS, rows, run, second
from svmconv import max_margin
from svmconv.results import save
from svmconv.theory.constants import constants


@pytest.fixture(scope="module")
def found():
    return run(PRESETS["smoke"])


def test_only_delta_zero_is_degenerate():
    for delta in (0.0, 0.01):
        problem = rows(delta)
        svm = max_margin(problem)
        np.testing.assert_allclose(svm.w, [1.0, 0.0], atol=1e-12)
        assert constants(problem, svm).degenerate == (delta == 0.0)


def test_the_angle_times_the_logarithm_grows_only_where_the_dual_is_zero(found):
    scaled = found.angle * found.log1p_t
    late = scaled.sel(log1p_t=slice(2e3, None))
    degenerate, neighbour = (late.sel(delta=delta).to_numpy() for delta in (0.0, 0.01))
    passed = float(np.log(late.log1p_t[-1] / late.log1p_t[0]))
    assert degenerate[-1] - degenerate[0] == pytest.approx(passed, rel=1e-2)
    assert abs(neighbour[-1] - neighbour[0]) < 1e-2 * passed


def test_the_leading_order_is_met(found):
    late = found.sel(log1p_t=slice(1e3, None))
    np.testing.assert_allclose(late.angle, late.angle_forecast, rtol=1e-2)


def test_second_tends_to_the_logarithm_as_delta_vanishes():
    s = np.array([10.0, 100.0])
    np.testing.assert_allclose(second(s, 1e-9), second(s, 0.0), rtol=1e-6)


def test_the_figure_draws_the_result(found, tmp_path):
    save(found, tmp_path / "degenerate-smoke.nc")
    left, right = figure(tmp_path).axes
    drawn = found.sel(delta=0.0, log1p_t=slice(np.log(2.0), None))
    np.testing.assert_array_equal(left.lines[0].get_ydata(), drawn.angle)
    np.testing.assert_array_equal(right.lines[0].get_ydata(), drawn.angle * drawn.log1p_t)
