"""What the benchmarks report is measured against the certified margin, and a miss is a miss."""

import numpy as np
import pytest

import svmconv as sc
from benchmarks import Line, svm
from benchmarks.__main__ import main

# the margin through the origin is 1, along (1, 0)
PROBLEM = sc.Problem([[1, 1], [1, -1], [-1, 1], [-1, -1]], [1, 1, -1, -1])


@pytest.mark.parametrize(("w", "shortfall"), [([5, 0], 0.0), ([4, 3], 0.8)])
def test_error_of_a_peer_is_its_shortfall_in_margin(w, shortfall):
    # along (.8, .6) the smallest margin is .8 - .6 = .2
    peer = svm.Peer("peer", lambda: (np.array(w, dtype=float), 0.0))
    ours, theirs = svm.compared(PROBLEM, "none", peer)
    assert ours.met
    assert theirs.measured.endswith(f"margin short by {shortfall:.0e}")


def test_a_peer_that_is_fast_or_exact_is_a_miss():
    for w, faster in ((np.array([4.0, 3.0]), 1e9), (np.array([5.0, 0.0]), 1e-9)):
        *_, line = svm.compared(PROBLEM, "none", svm.Peer("peer", lambda w=w: (w, 0.0), faster))
        assert not line.met
        assert "MISSED" in str(line)


def test_ten_classes_are_compared_with_their_own_rivals():
    problem = svm.ten_classes(500, 12)
    solved = sc.max_margin(problem)
    *_, line = svm.compared(problem, "none", svm.Peer("ours", lambda: (7 * solved.w, 0.0)))
    error = float(line.measured.rsplit(" ", 1)[1])
    assert abs(error) < 1e-12


def test_truth_line_is_met_on_a_planted_problem():
    assert svm.truth(sc.data.planted(n=60, d=5, n_support=4)).met


def test_a_line_without_a_target_claims_nothing():
    assert str(Line("what", "1 s")).rstrip().endswith("1 s")


def test_unknown_part_is_refused(capsys):
    assert main("svn") == 2
    assert "choose of svm, flow, start" in capsys.readouterr().err


def test_what_was_not_measured_is_neither_met_nor_missed():
    line = str(Line("beside PyTorch", "not installed: pip install torch", "within 2 times", None))
    assert line.endswith("target within 2 times: not measured")
