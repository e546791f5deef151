"""Deep linear networks: the law from layer to layer, its error model, and runs that do not obey."""

from dataclasses import replace

import numpy as np
import pytest

from svmconv.theory import wang2025
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.wang2025 import Setting, Small, Trained, outputs, train
from tests.tolerances import ROUNDING

DOCUMENT = Setting(3, 10, 50, 6, 0.3, 100.0)
QUICK = Setting(2, 10, 20, 4, 0.2, 30.0)
ANY = "the power 1 / (L + 1)"
"""A control."""
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
    mean = np.exp(np.log(train(DOCUMENT, 0).ratios).mean())
    assert mean == pytest.approx(0.280, abs=1e-3)


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
    ratios = Trained(QUICK, x, start, start).ratios
    np.testing.assert_allclose(ratios, 1.0, rtol=10 * ROUNDING)


NONE = Small(np.ones(2), np.ones(2))
"""Small directions that are not small."""


def test_small_directions_by_hand():
    """W_1 = eps diag(1, 1, .5, .1), rows e_1 .. e_4, classes of two: both have within part 1/2."""
    w = 0.2 * np.diag([1.0, 1.0, 0.5, 0.1])
    s = Setting(2, 2, 4, 2, 0.2, 1.0)
    small = Trained(s, np.eye(4), [w, w[:2]], [w, w[:2]]).small
    np.testing.assert_allclose(small.sizes, [0.25, 0.01], rtol=ROUNDING)
    np.testing.assert_allclose(small.within, [0.5, 0.5], rtol=ROUNDING)


@pytest.mark.parametrize("layers", [2, 3, 8])
@pytest.mark.parametrize("eps", [1e-4, 1e-2])
def test_the_bars_are_what_small_directions_take_as_eps_vanishes(layers, eps):
    s, squares = Setting(2, 20, 60, layers, eps, 1.0), np.array([0.5, 0.8])
    kept = 38.0 - 2.0 + (squares[:, None] ** np.arange(layers)).sum(axis=0)
    bars = s.bars(Small(squares, np.ones(2)), 0.0, 0.0)
    limit = 1.0 - kept[1:] / kept[:-1]
    np.testing.assert_allclose(bars, limit, atol=4 * s.rho ** (1.0 if layers > 2 else 0.5))


def test_the_bars_grow_with_what_is_not_fitted_or_not_conserved():
    base = QUICK.bars(NONE, 0.0, 0.0)
    np.testing.assert_allclose(QUICK.bars(NONE, 0.0, 0.01), base + 0.01 * QUICK.layers)
    assert (base < QUICK.bars(NONE, 0.01, 0.0)).all()
    assert (QUICK.bars(NONE, 0.01, 0.0) < QUICK.bars(NONE, 0.1, 0.0)).all()
    assert (QUICK.bars(NONE, 2.0, 0.0) == np.inf).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_bars_cover_other_starts_and_sizes(seed):
    wide = Setting(2, 4, 60, 3, 0.1, 30.0)
    others = (replace(QUICK, eps=0.1, n=5, d=10), replace(QUICK, k=4, d=60), DOCUMENT, wide)
    for s in (QUICK, *others):
        found = train(s, seed)
        assert (np.abs(found.ratios / s.rho - 1.0) <= found.bars).all()


def test_it_is_n_and_not_n_plus_one():
    """Where all directions are of rows n + 1 fits as well; where few are, n alone does."""
    few, all_ = Setting(2, 10, 100, 3, 0.05, 30.0), Setting(2, 20, 40, 4, 0.1, 100.0)
    for s, alike in ((few, False), (all_, True)):
        found, one_more = train(s, 0), replace(s, n=s.n + 1).rho
        assert (np.abs(found.ratios / s.rho - 1.0) <= found.bars).all()
        assert (np.abs(found.ratios / one_more - 1.0) <= found.bars).all() == alike


@pytest.mark.parametrize("at", [1, 2, 3])
def test_one_hidden_layer_of_noise_is_contradicted(at, monkeypatch):
    def noisy(weights, x):
        found = outputs(weights, x)
        noise = np.random.default_rng(0).standard_normal(found[at].shape)
        found[at] = noise * np.linalg.norm(found[at]) / np.linalg.norm(noise)
        return found

    s = Setting(2, 20, 40, 4, 0.1, 100.0)
    runs = [train(s, seed) for seed in range(wang2025.SEEDS)]
    monkeypatch.setattr(wang2025, "train", lambda _, seed: runs[seed])
    assert verdict(wang2025.layer_wise(s, ANY)) == "holds"
    monkeypatch.setattr(wang2025, "outputs", noisy)
    assert verdict(wang2025.layer_wise(s, ANY)) == "contradicted"


@pytest.mark.parametrize("at", [0, 1])
def test_hidden_weights_of_noise_do_not_hold(at, monkeypatch):
    right = wang2025.train

    def wrong(s, seed):
        found = right(s, seed)
        weights = list(found.weights)
        weights[at] = s.eps * np.random.default_rng(0).standard_normal(weights[at].shape)
        return replace(found, weights=weights)

    monkeypatch.setattr(wang2025, "train", wrong)
    assert verdict(wang2025.layer_wise(Setting(2, 20, 40, 4, 0.1, 100.0), ANY)) != "holds"


def other(change, monkeypatch):
    right = wang2025.train
    monkeypatch.setattr(
        wang2025, "train", lambda s, seed: replace(right(replace(s, **change), seed), setting=s)
    )


@pytest.mark.parametrize("change", [{"eps": 0.11}, {"eps": 0.09}])
def test_another_start_is_contradicted(change, monkeypatch):
    other(change, monkeypatch)
    s = Setting(2, 20, 40, 4, 0.1, 100.0)
    assert verdict(wang2025.layer_wise(s, ANY)) == "contradicted"


def test_a_layer_that_keeps_another_size_is_contradicted(monkeypatch):
    right = wang2025.train

    def wrong(s, seed):
        found = right(s, seed)
        first = found.weights[0] * 1.00001
        return replace(found, weights=[first, *found.weights[1:]], start=found.start)

    monkeypatch.setattr(wang2025, "train", wrong)
    monkeypatch.setattr(wang2025.Trained, "unbalanced", 1e-6)
    s = Setting(2, 20, 40, 4, 0.1, 100.0)
    assert verdict(wang2025.layer_wise(s, ANY)) == "contradicted"


def test_a_network_that_was_not_trained_does_not_hold(monkeypatch):
    monkeypatch.setattr(wang2025, "TIME", 1e-3)
    s = Setting(2, 20, 40, 4, 0.1, 100.0)
    assert verdict(wang2025.layer_wise(s, ANY)) != "holds"


def test_a_start_that_is_not_orthogonal_does_not_hold(monkeypatch):
    right = np.linalg.qr

    def gaussian(a):
        q, r = right(a)
        return (a / np.sqrt(len(a)), r) if a.shape[0] == a.shape[1] else (q, r)

    monkeypatch.setattr(np.linalg, "qr", gaussian)
    s = Setting(2, 20, 41, 4, 0.1, 100.0)
    assert verdict(wang2025.layer_wise(s, ANY)) != "holds"
