"""The rules for whole networks, fed with made-up runs: right ones, and wrong ones to be refuted."""

import numpy as np
import pytest
import xarray as xr

import svmconv as sc
from svmconv.theory import joint, li2018_joint, lyu2020
from svmconv.theory.claim import CaseVerdict
from svmconv.training.evaluate import Evaluation
from svmconv.training.late import LatePhase

DEPTH_REACHED = np.geomspace(2.0, 400.0, 45)
PROBLEM = sc.data.half_spaces(n=60, d=3)
X = np.zeros((1, 3))


def run_with(depth, angle, norm=None, gap=None, cone=None, initial=0.9):
    """A network whose last layer has this angle to its SVM at every record."""
    over = np.ones_like(DEPTH_REACHED)
    angle = angle * over
    columns = {
        "norm": DEPTH_REACHED ** (1 / depth) if norm is None else norm,
        "angle": angle,
        "margin_gap": 1 - np.cos(angle) if gap is None else gap * over,
        "floor": 1e-15 * over,
    }
    records = xr.Dataset(
        {name: (("step", "against"), values[:, None]) for name, values in columns.items()},
        {"against": ["none"]},
    ).assign(
        log_loss=("step", -DEPTH_REACHED),
        cone=("step", np.sin(angle) if cone is None else cone * over),
        angle_initial=("step", initial * over),
        cone_initial=("step", np.sin(initial) * over),
    )
    none = np.zeros(1)
    phase = LatePhase(np.zeros(1, int), none, none, none, none, 0, "", Evaluation(0.0, 1.0, X))
    return joint.Joint(depth, PROBLEM, records, phase)


def verdict(claim, run, monkeypatch):
    monkeypatch.setattr(joint, "joint", lambda depth, classes: run)
    return CaseVerdict(claim(run.depth, (3, 8)), "holds")


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("claim", [li2018_joint.direction, lyu2020.kkt])
def test_a_share_that_falls_as_w_grows_holds_and_its_control_is_refuted(claim, depth, monkeypatch):
    run = run_with(depth, 0.3 * DEPTH_REACHED ** (-1 / depth))
    found = verdict(claim, run, monkeypatch)
    assert found.verdict == "holds"
    assert found.as_expected


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("claim", [li2018_joint.direction, lyu2020.kkt])
@pytest.mark.parametrize("end", [0.001, 0.02, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("power", [-0.1, 0.0, 0.05, 0.2])
def test_a_share_that_stays_or_falls_too_slowly_is_contradicted(
    claim, depth, end, power, monkeypatch
):
    run = run_with(depth, end * (DEPTH_REACHED / DEPTH_REACHED[-1]) ** power)
    assert verdict(claim, run, monkeypatch).verdict == "contradicted"


def test_a_margin_beyond_the_best_is_contradicted(monkeypatch):
    run = run_with(2, 0.3 * DEPTH_REACHED**-0.5, gap=-0.001)
    assert verdict(li2018_joint.direction, run, monkeypatch).verdict == "contradicted"


def test_layers_that_grow_like_a_network_of_another_depth_are_contradicted(monkeypatch):
    run = run_with(2, 0.3 * DEPTH_REACHED**-0.5, norm=DEPTH_REACHED ** (1 / 3))
    assert verdict(li2018_joint.direction, run, monkeypatch).verdict == "contradicted"


def test_the_control_is_not_refuted_where_the_initial_features_do_as_well(monkeypatch):
    run = run_with(2, 0.3 * DEPTH_REACHED**-0.5, initial=0.3 * DEPTH_REACHED**-0.5)
    found = verdict(li2018_joint.direction, run, monkeypatch)
    assert found.verdict == "holds"
    assert not found.as_expected


def test_distance_from_a_cone_by_hand():
    from_cone = joint._from_cone
    rows = np.array([[1.0, 0.0], [3.0, 3.0]])
    assert from_cone(np.array([2.0, 1.0]), rows) == pytest.approx(0.0, abs=1e-15)
    assert from_cone(np.array([0.0, 5.0]), rows) == pytest.approx(np.sqrt(0.5))  # 45 degrees off
    assert from_cone(np.array([-1.0, 0.0]), rows[:1]) == pytest.approx(1.0)  # opposite: nothing
