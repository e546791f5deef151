"""Every optimizer beside its forecast, and the figure draws both."""

import numpy as np
import pytest

from figures.rates_by_optimizer import PANELS
from figures.rates_by_optimizer import rates_by_optimizer as figure
from simulations import rates_by_optimizer as study
from svmconv.results import save

SEVEN = "the seven rows of docs/theory.md"


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "PROBLEMS", {SEVEN: study.PROBLEMS[SEVEN]})
        return study.run(study.PRESETS["smoke"])


def ends(found, name):
    """Gap and forecast of the last record of an optimizer."""
    one = found.sel(optimizer=name, problem=SEVEN).dropna("record", subset=["margin_gap"])
    return float(one.margin_gap[-1]), float(one.margin_gap_forecast[-1])


def test_methods_with_an_l2_bias_end_where_they_are_forecast(found):
    for name, off in {
        "gradient flow": 1e-6,
        "gradient descent": 0.05,
        "heavy ball": 0.05,
        "SGD, batch 1": 0.05,
        "normalized GD": 0.01,
        "normalized GD, 1/sqrt t": 0.1,
        "dual acceleration": 0.01,
    }.items():
        gap, forecast = ends(found, name)
        assert gap == pytest.approx(forecast, rel=off), name


def test_off_l2_there_is_no_forecast_and_the_margin_converges_all_the_same(found):
    for name in ("sign descent (l_inf)", "coordinate descent (l_1)", "Adam, eps = 0 (l_inf)"):
        gap, forecast = ends(found, name)
        assert np.isnan(forecast)
        assert 0 <= gap < 0.05, name


def test_every_optimizer_is_in_one_panel(found):
    assert sorted(n for names in PANELS.values() for n in names) == sorted(found.optimizer.values)


def test_the_figure_draws_the_result(found, tmp_path):
    save(found, tmp_path / "rates_by_optimizer-smoke.nc")
    _, on_log_loss, _ = figure(tmp_path).axes
    one = found.sel(optimizer="normalized GD, 1/sqrt t", problem=SEVEN)
    measured, forecast = on_log_loss.lines[:2]
    kept = np.isfinite(one.margin_gap.values)
    np.testing.assert_array_equal(measured.get_ydata(), one.margin_gap.values[kept])
    np.testing.assert_array_equal(measured.get_xdata(), one.step.values[kept])
    assert set(forecast.get_ydata()) <= set(one.margin_gap_forecast.values)
