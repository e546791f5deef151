"""The power study and Adam's hand-over: what is drawn is wrong when it says so, and is written."""

import numpy as np
import pytest
import xarray as xr

from figures.adam_hand_over import adam_hand_over
from figures.power import power as figure
from simulations import adam_hand_over as hand_over
from simulations import command, power
from svmconv.results import load

FOUND = xr.Dataset(
    {
        "kind": ("hypothesis", ["flow", "flow", "wrong rate", "wrong rate"]),
        "right": ("hypothesis", [True, True, False, False]),
        "off_by": ("hypothesis", [0.0, 0.0, 0.5, 0.1]),
        "problem": ("hypothesis", list("abcd")),
        "verdict": ("hypothesis", ["holds", "undecided", "contradicted", "holds"]),
        "miss": ("hypothesis", [0.0, 2.0, 1e6, 0.5]),
    }
)


def test_counts_name_what_must_not_be():
    right, wrong = power.counts(FOUND).splitlines()
    assert "2 right hypotheses: holds 1, undecided 1, contradicted 0" in right
    assert "2 wrong hypotheses: holds 1, undecided 0, contradicted 1 (holds must be 0)" in wrong


def test_the_command_writes_what_the_figure_draws(tmp_path, capsys):
    argv = ["--out", str(tmp_path)]
    args = ("power", {"smoke": power.Config(each=1)}, lambda _: FOUND, "Doc.", argv)
    assert command.main(*args, summary=power.counts) == 0
    assert "holds must be 0" in capsys.readouterr().out
    (ax,) = figure(tmp_path).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["flow (2)", "wrong rate (2)"]


def test_amounts_are_neither_nothing_nor_everything():
    rng = np.random.default_rng(0)
    sizes = np.array([power.amount(rng) for _ in range(200)])
    assert (np.abs(sizes) >= power.SMALLEST).all()
    assert (np.abs(sizes) <= 1.0).all()
    assert set(np.sign(sizes)) == {-1.0, 1.0}


def test_one_descent_of_each_kind_comes_out():
    """The families without flows, which take a compilation each."""
    right, wrong = power.descents(0)
    assert right.right
    assert right.verdict == "holds"
    assert not wrong.right
    assert wrong.verdict == "contradicted"
    assert wrong.miss > 1e3 > right.miss


@pytest.mark.slow
def test_no_right_hypothesis_is_contradicted_and_no_wrong_one_holds():
    found = power.run(power.Config(each=2))
    right, verdict = found.right.to_numpy(), found.verdict.to_numpy()
    assert right.sum() == 10
    assert "contradicted" not in verdict[right]
    assert "holds" not in verdict[~right]
    assert (found.off_by.to_numpy()[~right] >= power.SMALLEST).all()


def test_adam_turns_at_eps(tmp_path):
    config = hand_over.Config(steps=20_000, eps=(1e-2, 0.0))
    assert command.main(
        "adam_hand_over", {"smoke": config}, hand_over.run, "Doc.", ["--out", str(tmp_path)]
    ) == 0  # fmt: skip
    found = load(tmp_path / "adam_hand_over-smoke.nc")
    turning, staying = found.angle_linf.sel(eps=1e-2), found.angle_linf.sel(eps=0.0)
    assert float(turning[-1]) > 2 * float(turning.min())
    assert float(staying[-1]) == float(staying.min())
    assert float(found.angle_l2.sel(eps=1e-2)[-1]) < 0.6 * float(found.between)
    assert len(adam_hand_over(tmp_path).axes) == 2
