import numpy as np
import pytest

import svmconv as sc
from simulations import frozen, images
from svmconv.measures.last_layer import last_layer_gaps
from svmconv.results import load
from tests.simulations.test_images import LEAKY, approaching, files

PROBLEM = sc.data.half_spaces(n=40, d=2, seed=1)


@pytest.fixture
def folder(tmp_path):
    images.write(approaching(LEAKY), tmp_path, {})
    return tmp_path


@pytest.mark.slow
def test_every_constant_is_as_forecast_and_a_wrong_forecast_is_not():
    found = frozen.from_zero(PROBLEM)
    assert set(found.verdict.values) == {"holds"}
    assert {"angle", "L tau", "dual error"} <= set(found.quantity.values)
    off = np.abs(found.measured - found.predicted)
    assert (off <= found.error).all()
    assert (found.error < 1e-5).all()
    loss = found.sel(quantity="L tau")  # 1 / margin^2, by the exact SVM alone
    assert float(loss.measured) == pytest.approx(
        1 / sc.max_margin(PROBLEM, bias="augmented").margin ** 2, rel=1e-6
    )


def test_new_weights_reach_the_loss_and_are_measured_there():
    found = frozen.from_new_weights(PROBLEM, log_loss=-20.0)
    assert -25.0 < float(found.log_loss) <= -20.0
    again = last_layer_gaps(PROBLEM.x, PROBLEM.y, found.w.values, found.b.values)
    assert again.drop_vars(["w", "b"], errors="ignore").equals(
        found.drop_vars(["w", "b", "log_loss"])
    )
    logits = PROBLEM.x @ found.w.values.T + found.b.values
    margins = PROBLEM.signs * (logits[:, 1] - logits[:, 0])
    log_loss = np.log(np.log1p(np.exp(-margins)).mean())
    assert log_loss == pytest.approx(float(found.log_loss), rel=1e-9)


@pytest.mark.slow
def test_both_stages_of_a_run_are_followed(folder, capsys):
    assert frozen.main([str(folder)]) == 0
    found = load(folder / "frozen.nc")
    assert list(found.stage.values) == ["trained", "late"]
    assert set(found.verdict.values.ravel()) == {"holds"}
    assert len(capsys.readouterr().out.splitlines()) == 2
    before = files(folder)
    assert frozen.main([str(folder)]) == 2
    assert "exists" in capsys.readouterr().err
    assert files(folder) == before


def test_a_folder_without_a_run_is_one_sentence(tmp_path, capsys):
    assert frozen.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'curves.nc'}: no such file\n"


def test_a_run_that_nothing_separates_is_one_sentence(folder, capsys):
    for stage in images.STAGES:
        (folder / f"{stage}.svm.npz").unlink()
    assert frozen.main([str(folder)]) == 2
    assert "no features of this run were separable" in capsys.readouterr().err
    assert not (folder / "frozen.nc").exists()
