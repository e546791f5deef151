"""Deep linear networks: the law from layer to layer, its error model, and runs that do not obey."""

from dataclasses import replace

import numpy as np
import pytest

from svmconv.theory import wang2025
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.wang2025 import Setting, Trained, train
from tests.tolerances import ROUNDING

DOCUMENT = Setting(3, 10, 50, 6, 0.3, 100.0)
QUICK = Setting(2, 10, 20, 4, 0.2, 30.0)
CASES = [case for claim in wang2025.CLAIMS for case in claim.cases]


@pytest.mark.parametrize("case", CASES)
def test_every_case_holds_and_refutes_its_control(case):
    found = CaseVerdict(case.measure(), case.expected)
    assert found.verdict == "holds"
    assert found.as_expected


def verdict(measurement):
    return CaseVerdict(measurement, "holds").verdict


@pytest.fixture(scope="module")
def quick():
    return train(QUICK, 0)


def test_the_ratio_as_written_down():
    assert DOCUMENT.rho == pytest.approx(0.2846, abs=1e-4)
    assert train(DOCUMENT, 0).mean_ratio == pytest.approx(0.280, abs=1e-3)


@pytest.mark.parametrize("s", [DOCUMENT, QUICK])
def test_orthonormal_rows_start_where_the_document_says(s):
    x = np.linalg.qr(np.random.default_rng(0).standard_normal((s.d, s.k * s.n)))[0]
    expected = (s.n - 1) * s.k / (s.k - 1)
    assert wang2025.within_by_between(x, s.k) == pytest.approx(expected, rel=10 * ROUNDING)


def test_spread_within_by_spread_between_by_hand():
    """Two classes about (0, 0) and (4, 0), each of two rows one to either side."""
    features = np.array([[0.0, 0.0, 4.0, 4.0], [1.0, -1.0, 1.0, -1.0]])
    assert wang2025.within_by_between(features, 2) == pytest.approx(1.0 / 4.0)


def test_the_flow_fits_conserves_and_keeps_what_theory_says(quick):
    assert quick.unfitted < 1e-4
    assert quick.unbalanced < 1e-4
    k, d = QUICK.k, QUICK.d
    for w in quick.weights[:-1]:
        sizes = np.linalg.svd(w, compute_uv=False)
        np.testing.assert_allclose(sizes[k : d - k], QUICK.eps, rtol=1e-4)
        assert (sizes[:k] > 1.2 * QUICK.eps).all()
        assert (sizes[d - k :] < QUICK.eps * (1 + 1e-4)).all()


def test_a_layer_that_does_nothing_keeps_c():
    x = np.linalg.qr(np.random.default_rng(0).standard_normal((QUICK.d, 20)))[0]
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((QUICK.d, QUICK.d)))[0]
    start = [QUICK.eps * turn] * 3 + [QUICK.eps * turn[:2]]
    assert Trained(QUICK, x, start, start).mean_ratio == pytest.approx(1.0, rel=10 * ROUNDING)


@pytest.mark.parametrize("layers", [2, 3, 8])
@pytest.mark.parametrize("eps", [1e-4, 1e-2])
def test_the_bar_is_that_of_the_directions_within_classes_as_eps_vanishes(layers, eps):
    s = Setting(3, 20, 60, layers, eps, 1.0)
    limit = 1.0 - (1.0 - 1.0 / 19.0) ** (1.0 / (layers - 1))
    assert s.bar(0.0, 0.0) == pytest.approx(limit, abs=4 * s.rho ** (1.0 if layers > 2 else 0.5))


def test_the_bar_grows_with_what_is_not_fitted_or_not_conserved():
    base = QUICK.bar(0.0, 0.0)
    assert QUICK.bar(0.0, 0.01) == pytest.approx(base + 0.01)
    assert base < QUICK.bar(0.01, 0.0) < QUICK.bar(0.1, 0.0)
    assert QUICK.bar(2.0, 0.0) == np.inf


@pytest.mark.parametrize("seed", range(3))
def test_the_bar_covers_other_starts_and_sizes(seed):
    for s in (QUICK, replace(QUICK, eps=0.1, n=5, d=10), replace(QUICK, k=4, d=40)):
        found = train(s, seed)
        off = abs(found.mean_ratio / s.rho - 1.0)
        assert off <= s.bar(found.unfitted, found.unbalanced)


def other(change, monkeypatch):
    right = wang2025.train
    monkeypatch.setattr(
        wang2025, "train", lambda s, seed: replace(right(replace(s, **change), seed), setting=s)
    )


@pytest.mark.parametrize("change", [{"eps": 0.11}, {"eps": 0.09}])
def test_another_start_is_contradicted(change, monkeypatch):
    other(change, monkeypatch)
    s = Setting(2, 20, 40, 4, 0.1, 100.0)
    assert verdict(wang2025.layer_wise(s, "no power 1 / L")) == "contradicted"


def test_a_layer_that_keeps_another_size_is_contradicted(monkeypatch):
    right = wang2025.train

    def wrong(s, seed):
        found = right(s, seed)
        first = found.weights[0] * 1.00001
        return replace(found, weights=[first, *found.weights[1:]], start=found.start)

    monkeypatch.setattr(wang2025, "train", wrong)
    monkeypatch.setattr(wang2025.Trained, "unbalanced", 1e-6)
    s = Setting(2, 20, 40, 4, 0.1, 100.0)
    assert verdict(wang2025.layer_wise(s, "no power 1 / L")) == "contradicted"


def test_a_network_that_was_not_trained_does_not_hold(monkeypatch):
    monkeypatch.setattr(wang2025, "TIME", 1e-3)
    s = Setting(2, 20, 40, 4, 0.1, 100.0)
    assert verdict(wang2025.layer_wise(s, "no power 1 / L")) != "holds"


def test_a_start_that_is_not_orthogonal_does_not_hold(monkeypatch):
    right = np.linalg.qr

    def gaussian(a):
        q, r = right(a)
        return (a / np.sqrt(len(a)), r) if a.shape[0] == a.shape[1] else (q, r)

    monkeypatch.setattr(np.linalg, "qr", gaussian)
    s = replace(QUICK, d=22)
    assert verdict(wang2025.layer_wise(s, "no power 1 / L")) != "holds"
