"""What makes a problem hard: verdicts follow kappa ln t, and the figure draws them."""

import numpy as np
import pytest

from figures.hardness import EXACT, across, hardness, off_by
from simulations.hardness import PRESETS, Config, problems, run
from svmconv.results import save


@pytest.fixture(scope="module")
def found():
    return run(Config(thetas=(1.1, 3.0)))


def test_undecided_is_where_the_remainder_is_left(found):
    assert found.verdict.values.tolist() == ["undecided", "holds"]
    np.testing.assert_allclose(found.kappa, [0.1, 0.8])
    slow, fast = off_by(found)
    assert fast < 1e-7 < slow < 1.0


def test_a_flow_without_kappa_is_off_by_its_remainder(found):
    """Half an order of magnitude about t^-kappa, in the problem's own time."""
    slow = off_by(found)[0]
    assert abs(np.log(slow) + float((found.kappa * found.log_tau)[0])) < 4.0


def test_only_one_parameter_is_varied():
    named = {(varied, value): p for varied, value, _, p in problems(PRESETS["smoke"])}
    assert len(named) == 5
    assert named["theta", 1.1].n == named["lambda_min", 0.05].n == 100


def test_the_figure_draws_the_result(found, tmp_path):
    save(found, tmp_path / "hardness-smoke.nc")
    gap, miss, every = hardness(tmp_path).axes
    drawn = np.concatenate([line.get_ydata() for line in gap.lines if line.get_marker() != "None"])
    assert sorted(drawn) == sorted(found.gap.values)
    marks = [line for line in miss.lines if line.get_marker() != "None"]
    assert sorted(np.concatenate([m.get_xdata() for m in marks])) == sorted(across(found))
    assert min(np.concatenate([m.get_ydata() for m in marks])) >= EXACT
    assert len(every.lines) == 5  # three words, the law, the tolerance
