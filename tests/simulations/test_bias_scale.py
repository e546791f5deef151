"""The price of the bias: from one SVM to the other, and the figure draws it."""

import numpy as np
import pytest

from figures.bias_scale import bias_scale as figure
from simulations import bias_scale as study
from svmconv.results import save
from svmconv.theory import problems


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "PROBLEMS", {"shifted": problems.shifted})
        return study.run(study.Config(scales=(1e-2, 1e2), log_t=100.0, steps=100))


def test_a_free_bias_is_the_classical_svm_and_a_dear_one_is_not(found):
    exact = found.sel(by="exact", problem="shifted")
    assert float(exact.angle_w[1]) < 1e-6 < 0.1 < float(exact.angle_w[0])
    np.testing.assert_allclose(exact.bias[1], found.free_bias.sel(problem="shifted"), rtol=1e-6)
    assert 0 < float(exact.margin[0]) < 1
    assert float(exact.margin[1]) == pytest.approx(1.0, abs=1e-9)


def test_no_margin_exceeds_the_classical_one_and_the_flow_comes_nearer(found):
    assert float(found.margin.max()) <= 1 + 1e-9
    off = np.abs(found.margin - found.margin.sel(by="exact"))
    assert (off.sel(by="late") < off.sel(by="early")).all()
    assert (off.sel(by="late") < 0.02).all()


def test_half_the_limit_is_half_of_8_over_the_curvature():
    problem = problems.shifted()
    rows = np.column_stack([problem.x, np.full(problem.n, 2.0)])
    expected = 4 / np.linalg.eigvalsh(rows.T @ rows / problem.n)[-1]
    assert study.half_limit(problem, 4.0) == pytest.approx(expected)


def test_the_figure_draws_the_result(found, tmp_path):
    save(found, tmp_path / "bias_scale-smoke.nc")
    angle, bias, margin = figure(tmp_path).axes
    for ax, name in ((angle, "angle_w"), (bias, "bias"), (margin, "margin")):
        for line, by in zip(ax.lines, study.BY, strict=False):
            np.testing.assert_array_equal(line.get_ydata(), found[name].sel(by=by)[0])
