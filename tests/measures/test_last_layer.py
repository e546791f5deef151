"""One record of a last layer: known by hand, invariances, and what training passes through."""

import numpy as np
import pytest
import xarray as xr

import svmconv as sc
from svmconv.measures import last_layer as module
from svmconv.measures.last_layer import last_layer_gaps

BLOBS = sc.data.blobs(n=40)
THREE = sc.data.multiclass_blobs(n=60)
PROBLEMS = {"two": BLOBS, "three": THREE}
GAPS = ("angle", "direction_gap", "margin_gap", "bias_gap", "floor")
LINE = np.array([[-1.0], [-3.0], [2.0], [5.0]])
SIDES = np.array([0, 0, 1, 1])
ROUNDING = 1e-12  # as in test_audit.py


def layer(problem, seed=0):
    rng = np.random.default_rng(seed)
    k = problem.n_classes
    return rng.standard_normal((k, problem.d)), rng.standard_normal(k)


def test_four_points_on_a_line_by_hand():
    """The gap is [-1, 2]: w* = 2/3, b* = -1/3 for both SVMs. The layer's threshold is at -0.5."""
    found = last_layer_gaps(LINE, SIDES, [2.0], 1.0)
    assert found.separable.item() is True
    assert found.against.values.tolist() == ["augmented", "free"]
    np.testing.assert_allclose(found.svm_margin, [3 / np.sqrt(5), 1.5], rtol=1e-14)
    np.testing.assert_allclose(found.bias_gap, 0.5 + 0.5, rtol=1e-14)
    # margins: 1 at x = -1, 5 at x = 2
    np.testing.assert_allclose(
        found.margin_gap, [1 - 1 / np.sqrt(5) / (3 / np.sqrt(5)), 1 - 0.5 / 1.5], rtol=1e-12
    )
    two_lines = np.arctan2(1, 2) + np.arctan2(1, 2)  # (2, 1) against (2, -1)
    np.testing.assert_allclose(found.angle, [two_lines, 0.0], rtol=1e-14)
    np.testing.assert_allclose(found.norm, [np.sqrt(5), 2.0], rtol=1e-15)
    np.testing.assert_allclose(found.midpoint, 1 / 6, rtol=1e-14)
    assert found.support.values.tolist() == [2, 2]
    # the two highest losses: x = -1 (margin 1), then x = 2 and -3 (5 both): a tie, in row order
    assert found.overlap.values.tolist() == [0.5, 0.5]
    assert (found.conflicting, found.errors, found["rank"]) == (0, 0, 1)
    losses = np.log1p(np.exp(-np.array([1.0, 5.0, 5.0, 11.0])))
    np.testing.assert_allclose(found.layer_log_loss, np.log(losses.mean()), rtol=1e-14)


@pytest.mark.parametrize(
    ("w", "b", "expected"),
    [
        (2.0, -1.0, 0.5),  # halfway between -1 and 2
        (2.0, 2.0, 0.0),  # at -1
        (2.0, -4.0, 1.0),  # at 2
        (2.0, 5.0, -0.5),  # at -2.5, beyond the gap
        (-2.0, 1.0, np.nan),  # along -w the classes overlap
    ],
)
def test_midpoint_by_hand(w, b, expected):
    assert last_layer_gaps(LINE, SIDES, [w], b).midpoint == pytest.approx(expected, nan_ok=True)


def test_midpoint_of_three_classes_is_that_of_the_worst_pair():
    """x = e_k s: pair (i, j) cuts at 1/2 + (b_i - b_j) / (2 margin of b = 0)."""
    x, w, b = 4.0 * np.eye(3), np.eye(3), np.array([0.0, 0.0, 2.0])
    # pairs (0, 2) and (1, 2): the smaller margins are 4 - 2 and 4 + 2
    assert float(last_layer_gaps(x, [0, 1, 2], w, b).midpoint) == pytest.approx(2 / 8)
    assert float(last_layer_gaps(x, [0, 1, 2], w, 0 * b).midpoint) == pytest.approx(0.5)
    assert np.isnan(last_layer_gaps(x, [0, 1, 2], -w, b).midpoint)


@pytest.mark.parametrize("kind", ["augmented", "free"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_exact_svm_has_no_gaps_and_the_other_svm_has(name, kind):
    problem = PROBLEMS[name]
    svm = sc.max_margin(problem, bias=kind)
    # so long that the loss of a row is that of its closest rival
    found = last_layer_gaps(problem.x, problem.y, 1e3 * svm.w, 1e3 * np.asarray(svm.b))
    row = found.sel(against=kind)
    assert row.angle < ROUNDING
    assert abs(row.margin_gap) < ROUNDING
    assert row.overlap == 1.0
    assert row.svm_margin == svm.margin
    assert row.support == len(svm.support)
    assert row.floor == svm.certificate.angle_bound
    assert row.relative_gap == svm.certificate.relative_gap
    other = found.sel(against="free" if kind == "augmented" else "augmented")
    assert other.angle > 1e-4
    if name == "two":  # its support vectors lie on both sides: the threshold is halfway
        assert float(found.midpoint) == pytest.approx(0.5, abs=ROUNDING)


@pytest.mark.parametrize("name", PROBLEMS)
def test_invariances(name):
    problem = PROBLEMS[name]
    x, y, (w, b) = problem.x, problem.y, layer(problem)
    found = last_layer_gaps(x, y, w, b)
    order = np.random.default_rng(1).permutation(problem.n)
    permuted = last_layer_gaps(x[order], y[order], w, b)
    xr.testing.assert_allclose(permuted, found, rtol=1e-6)
    scaled = last_layer_gaps(x, y, 8.0 * w, 8.0 * b)
    for v in ("angle", "angle_w", "margin_gap", "bias_gap", "midpoint", "overlap", "rank"):
        np.testing.assert_allclose(scaled[v], found[v], rtol=1e-12, atol=1e-12, err_msg=v)
    np.testing.assert_allclose(scaled.norm, 8.0 * found.norm, rtol=1e-14)
    common = last_layer_gaps(x, y, w + w[:1], b + 3.0)  # what all classes share cancels
    xr.testing.assert_allclose(common, found, rtol=1e-9, atol=1e-12)
    flipped = last_layer_gaps(x, -y, w[::-1], b[::-1])
    for v in ("angle", "margin_gap", "layer_log_loss", "errors", "overlap", "stationarity"):
        np.testing.assert_allclose(flipped[v], found[v], rtol=1e-6, atol=1e-9, err_msg=v)
    np.testing.assert_allclose(flipped.midpoint, 1.0 - found.midpoint, rtol=1e-9)
    np.testing.assert_allclose(flipped.spread, found.spread[::-1], rtol=1e-12)


def test_units_of_the_features_do_not_matter_to_the_classical_svm():
    w, b = layer(BLOBS)
    found = last_layer_gaps(BLOBS.x, BLOBS.y, w, b)
    scaled = last_layer_gaps(1024.0 * BLOBS.x, BLOBS.y, w / 1024.0, b)
    one, other = (v.sel(against="free") for v in (found, scaled))
    for name in ("angle", "margin_gap", "midpoint", "layer_log_loss", "rank", "spread"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(other.svm_margin, 1024.0 * one.svm_margin, rtol=1e-12)
    away = abs(scaled.angle_w - found.angle_w).sel(against="augmented")
    assert away > 1e-3  # control: the augmented SVM is another one in other units


def test_features_that_nothing_separates_are_a_record_like_any_other():
    """0, 1, 2 labelled a, b, a: half of 0 and half of 2 is 1."""
    found = last_layer_gaps([[0.0], [1.0], [2.0], [5.0]], [0, 1, 0, 1], [1.0], -0.5)
    assert found.separable.item() is False
    assert found.conflicting == 3
    for name in (*GAPS, "overlap", "svm_margin", "relative_gap"):
        assert np.isnan(found[name]).all(), name
    assert found.errors == 1
    assert found.norm.values.tolist() == [np.sqrt(1.25), 1.0]
    assert np.isfinite([found.layer_log_loss, found.stationarity]).all()
    assert np.isnan(found.midpoint)
    assert np.isnan(found.slackness)
    proper = last_layer_gaps([[0.0], [1.0], [2.0], [5.0]], [0, 1, 1, 1], [1.0], -0.5)
    assert set(found) == set(proper)  # control: the same variables, none of them nan
    assert not np.isnan(proper.sel(against="augmented").to_array()).any()
    assert {k: v.dims for k, v in found.items()} == {k: v.dims for k, v in proper.items()}


def test_three_classes_that_nothing_separates():
    x = np.array([[0.0, 0], [2, 0], [1, 0], [0, 5], [9, 9]])
    found = last_layer_gaps(x, [0, 0, 1, 2, 1], np.eye(3, 2), np.zeros(3))
    assert found.separable.item() is False
    assert found.conflicting == 3
    assert found.bias_gap.dims == ("against", "class")
    assert np.isnan(found.bias_gap).all()


def test_without_a_bias_separable_means_through_the_origin():
    x, y = [[1.0], [2.0]], [0, 1]
    assert last_layer_gaps(x, y, [1.0], -1.5).separable.item() is True
    alone = last_layer_gaps(x, y, [1.0])
    assert alone.against.values.tolist() == ["none"]
    assert (alone.separable.item(), alone.conflicting) == (False, 2)


@pytest.mark.parametrize("failing", [("free",), ("augmented", "free")])
def test_what_float64_cannot_certify_does_not_end_a_run(monkeypatch, failing):
    def max_margin(problem, bias):
        if bias in failing:
            raise sc.CertificateError("too close", lower=0.0, upper=1.0)
        return sc.max_margin(problem, bias=bias)

    monkeypatch.setattr(module, "max_margin", max_margin)
    found = last_layer_gaps(LINE, SIDES, [2.0], 1.0)
    assert found.conflicting == 0
    assert found.separable.item() is (failing == ("free",))
    assert np.isnan(found.angle).values.tolist() == [kind in failing for kind in found.against]


def test_a_layer_of_zeros_is_measured_without_a_direction():
    """A last layer that starts at zero."""
    for problem, w in ((BLOBS, np.zeros((2, 2))), (THREE, np.full((3, 2), 0.1))):
        found = last_layer_gaps(problem.x, problem.y, w, np.zeros(len(w)))
        assert np.isnan(found.angle).all()
        assert np.isnan(found.stationarity)
        assert found.norm.values.tolist() == [0.0, 0.0]
        assert float(found.layer_log_loss) == pytest.approx(np.log(np.log(problem.n_classes)))


def test_unusable_input_is_refused():
    with pytest.raises(sc.DataError, match="NaN"):
        last_layer_gaps([[np.nan], [1.0]], [0, 1], [1.0], 0.0)
    with pytest.raises(sc.DataError, match="transposed"):
        last_layer_gaps(np.eye(3)[:, :2], [0, 1, 2], np.zeros((2, 3)), np.zeros(3))
