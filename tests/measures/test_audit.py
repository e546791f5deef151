"""Last layers that are the exact SVM, nearly are, or cannot be audited."""

import json

import numpy as np
import pytest

import svmconv as sc
from svmconv.measures.audit import audit as audit_function
from svmconv.svm.certificate import check_infeasible

EPS = np.finfo(float).eps
BLOBS = sc.data.blobs(n=40)  # needs an intercept; its two SVMs differ
THREE = sc.data.multiclass_blobs(n=60)
PROBLEMS = {"two": BLOBS, "three": THREE}
# The certificate leaves up to 1e-7 rad unproved; the weights themselves are right to rounding,
# amplified by the size of the rows in units of the margin (up to 20 here).
ROUNDING = 1e-12


@pytest.mark.parametrize("factor", [1e-8, 1.0, 3.0, 1e8])
@pytest.mark.parametrize("kind", ["augmented", "free"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_exact_svm_has_no_gaps(name, kind, factor):
    problem = PROBLEMS[name]
    svm = sc.max_margin(problem, bias=kind)
    report = sc.audit(problem.x, problem.y, factor * svm.w, factor * np.asarray(svm.b))
    row = report.gaps.sel(against=kind)
    assert float(row.angle) < ROUNDING
    assert abs(float(row.margin_gap)) < ROUNDING
    assert np.abs(row.bias_gap).max() < 100 * ROUNDING  # |b| / |w| is about 50 for the three
    assert report.errors == 0
    other = report.gaps.sel(against="free" if kind == "augmented" else "augmented")
    assert float(other.angle) > 1e-4  # control: the two SVMs are told apart
    assert float(other.margin_gap) > 1e-6


def test_without_a_bias_there_is_one_svm():
    problem = sc.data.planted(n=30, d=4, n_support=3)
    assert problem.truth is not None
    report = sc.audit(problem.x, problem.y, problem.truth.w)
    assert list(report.svms) == ["none"]
    assert float(report.gaps.sel(against="none").angle) < ROUNDING
    assert report.support_overlap == 1.0


def test_two_rows_of_weights_are_read_in_the_order_of_the_labels():
    """PyTorch's order (K, d): the second row scores classes[1]."""
    svm = sc.max_margin(BLOBS, bias="augmented")
    common = np.array([5.0, -3.0])
    weight, bias = np.stack([common, common + svm.w]), np.array([2.0, 2.0 + float(svm.b)])
    report = sc.audit(BLOBS.x, BLOBS.y, weight, bias)
    assert float(report.gaps.sel(against="augmented").angle) < ROUNDING
    assert report.errors == 0
    swapped = sc.audit(BLOBS.x, BLOBS.y, weight[::-1], bias[::-1])
    assert swapped.errors == BLOBS.n
    assert float(swapped.gaps.sel(against="augmented").angle) == pytest.approx(np.pi, abs=1e-7)


def test_one_row_may_be_flat_or_not_and_its_bias_a_number():
    svm = sc.max_margin(BLOBS, bias="augmented")
    flat = sc.audit(BLOBS.x, BLOBS.y, svm.w, float(svm.b))
    row = sc.audit(BLOBS.x, BLOBS.y, svm.w[None].tolist(), [float(svm.b)])
    assert flat.gaps.equals(row.gaps)


class Tensor:
    """Reads as torch's tensors do that know a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


@pytest.mark.parametrize("place", range(4))
def test_what_numpy_cannot_read_is_named_with_a_way_out(place):
    given = [BLOBS.x, BLOBS.y, np.ones((1, 2)), 0.0]
    given[place] = Tensor()
    with pytest.raises(
        sc.DataError, match=r"(x|y|weight|bias) cannot .*detach\(\).cpu\(\).float\(\).numpy"
    ):
        sc.audit(*given)


def test_bfloat16_is_read_as_the_numbers_it_holds():
    import jax.numpy as jnp

    svm = sc.max_margin(BLOBS, bias="augmented")
    narrow = [jnp.asarray(given, jnp.bfloat16) for given in (BLOBS.x, svm.w, svm.b)]
    wide = [np.asarray(array, np.float64) for array in narrow]
    reports = [sc.audit(x, BLOBS.y, w, b) for x, w, b in (narrow, wide)]
    assert reports[0].gaps.angle.equals(reports[1].gaps.angle)
    assert 0 < float(reports[0].gaps.angle[0]) < 0.1


def test_a_flax_layer_arrives_in_the_same_order():
    from flax import nnx

    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    assert sc.last_layer(layer)[0].shape == (3, 2)
    svm = sc.max_margin(THREE, bias="augmented")
    layer.kernel[...] = svm.w.T.astype(np.float32)
    assert layer.bias is not None
    layer.bias[...] = np.asarray(svm.b, dtype=np.float32)
    report = sc.audit(THREE.x, THREE.y, *sc.last_layer(layer))
    assert float(report.gaps.sel(against="augmented").angle) < 1e-6  # float32 weights


def test_loss_margin_and_overlap_against_plain_numpy():
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((3, 2)), rng.standard_normal(3)
    report = sc.audit(THREE.x, THREE.y, weight, bias)
    scores = THREE.x @ weight.T + bias
    own = scores[np.arange(THREE.n), THREE.index]
    lead = own[:, None] - scores
    lead[THREE.own] = np.inf
    losses = np.log1p(np.exp(-lead).sum(axis=1))
    np.testing.assert_allclose(report.gaps.log_loss, np.log(losses.mean()), rtol=1e-12)
    assert report.errors == (lead.min(axis=1) <= 0).sum() > 0
    svm = report.svms["augmented"]
    hardest = np.argsort(-losses)[: len(svm.support)]
    assert report.support_overlap == pytest.approx(np.isin(hardest, svm.support).mean())
    centred = weight - weight.mean(axis=0), bias - bias.mean()
    length = np.sqrt((centred[0] ** 2).sum() + (centred[1] ** 2).sum())
    assert float(report.gaps.sel(against="augmented").norm) == pytest.approx(length, rel=1e-14)
    expected = 1 - lead.min() / length / svm.margin
    assert float(report.gaps.sel(against="augmented").margin_gap) == pytest.approx(expected)


def test_misclassified_rows_and_ties_are_counted():
    x, y = [[1.0, 0], [2.0, 0], [0.0, 1], [-1.0, 0], [-1.0, 1]], [1, 1, 1, -1, -1]
    # w = (1, 0): rows 0, 1, 3, 4 right, row 2 has margin zero
    assert sc.audit(x, y, [1.0, 0.0], 0.0).errors == 1
    assert sc.audit(x, y, [-1.0, 0.0], 0.0).errors == 5
    assert sc.audit(x, y, [1.0, 0.0], 0.5).errors == 0
    assert sc.audit(x, y, [1.0, 0.0], -1.5).errors == 2


def test_a_layer_too_good_for_exp_still_has_a_loss():
    """Margins of 1e6: the mean loss is e^-1000000, its log an ordinary number."""
    x, y = [[1.0], [-1.0]], [1, -1]
    report = sc.audit(x, y, [1e6])
    assert float(report.gaps.log_loss[0]) == pytest.approx(-1e6, rel=1e-15)


@pytest.mark.parametrize(
    ("weight", "bias", "sentence"),
    [
        (np.ones((2, 3)), np.zeros(3), "transposed, pass weight.T"),
        (np.ones((3, 5)), np.zeros(3), r"weight must have shape \(3, 2\) .*got \(3, 5\)$"),
        (np.ones((1, 2)), 0.0, r"weight must have shape \(3, 2\)"),
        (np.ones(2), 0.0, r"weight must have shape \(3, 2\)"),
        (np.ones((3, 2)), np.zeros(2), r"bias must have shape \(3,\)"),
        (np.ones((3, 2)), 0.0, r"bias must have shape \(3,\)"),
        (np.full((3, 2), np.nan), np.zeros(3), "NaN or infinite"),
        (np.ones((3, 2)), [0.0, np.inf, 0.0], "NaN or infinite"),
        (np.zeros((3, 2)), np.ones(3), "zero, or the same for all"),
        (np.full((3, 2), 0.1), np.zeros(3), "no direction"),
        ([["a", "b"]] * 3, np.zeros(3), "weight must be an array of numbers"),
        ([[1.0, 2.0], [1.0]], np.zeros(3), "weight must be an array of numbers"),
        (np.ones((3, 2)) * 1j, np.zeros(3), "weight is complex"),
        (np.ones((1, 3, 2)), np.zeros(3), "weight must have shape"),
    ],
)
def test_what_cannot_be_audited_ends_in_a_sentence(weight, bias, sentence):
    with pytest.raises(sc.DataError, match=sentence):
        sc.audit(THREE.x, THREE.y, weight, bias)


def test_two_equal_rows_have_no_direction():
    with pytest.raises(sc.DataError, match="no direction"):
        sc.audit(BLOBS.x, BLOBS.y, np.ones((2, 2)), np.zeros(2))


@pytest.mark.parametrize(
    ("x", "y", "weight", "bias"),
    [
        ([[0.0], [1.0], [2.0]], [0, 1, 0], [1.0], 0.0),
        ([[1.0, 0], [2.0, 0]], [0, 1], [1.0, 0.0], None),
        ([[0.0, 0], [2, 0], [1, 0], [0, 5], [9, 9]], [0, 0, 1, 2, 1], np.eye(3, 2), np.zeros(3)),
    ],
)
def test_features_that_no_layer_separates_are_reported_with_the_proof(x, y, weight, bias):
    report = sc.audit(x, y, weight, bias)
    assert not report.separable
    assert report.svms == {}
    proof = report.conflict
    kind = "none" if bias is None else "free"
    again = check_infeasible(report.problem, proof.rows, proof.weights, proof.rivals, bias=kind)
    assert again <= proof.residual < 1e-12
    assert np.isnan(report.gaps.angle).all()
    assert np.isnan(report.support_overlap)
    assert report.errors > 0
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["separable"] is False
    assert told["against"] == told["certificates"] == {}
    assert told["conflict"]["rows"] == proof.rows.tolist()
    assert sum(told["conflict"]["weights"]) == pytest.approx(1.0)
    assert told["support_overlap"] is None
    text = str(report)
    assert f"a convex combination of {len(np.unique(proof.rows))} signed rows is zero" in text
    assert "no exact SVM, no gap to it" in text
    assert ("separable with an intercept" in text) == (bias is None)
    assert "nan" not in text


def test_features_that_a_layer_separates_have_no_conflict():
    report = sc.audit(BLOBS.x, BLOBS.y, np.ones(2), 0.0)
    assert (report.separable, report.conflict) == (True, None)
    assert report.to_dict()["separable"] is True
    assert "not separable" not in str(report)
    assert "dimensions" not in str(report)
    assert "collapsed" not in str(report)


def test_a_collapsed_class_is_named():
    """Class 3 at the origin of a relu plane; class 8 a cloud, then one point on a line."""
    x = np.where(BLOBS.y[:, None] == 1, np.abs(BLOBS.x) + 1.0, 0.0).astype(np.float32)
    y = np.where(BLOBS.y == 1, 8, 3)
    report = sc.audit(x, y, [1.0, 1.0], -1.0)
    assert "all 20 rows of class 3 are exactly 0, where no unit is on" in str(report)
    assert "class 8" not in str(report)
    assert "no verdict on training" in str(report)
    assert report.to_dict()["collapsed"] is True
    assert report.to_dict()["spread"][0] == 0.0
    assert report.collapse.collapsed.tolist() == [True, False]
    x[y == 8] = 2.0
    text = str(sc.audit(x, y, [1.0, 1.0], -1.0))
    assert "the features fill 1 of 2 dimensions" in text
    assert "all 20 rows of class 8 are one point" in text


def test_features_on_one_point():
    report = sc.audit(np.full((4, 2), 3.0), [0, 1, 0, 1], [1.0, 0.0], 0.0)
    assert not report.separable
    assert "all features are one point" in str(report)


def test_what_cannot_be_certified_stays_an_error(monkeypatch):
    def max_margin(problem, bias):
        raise sc.CertificateError("too close", lower=0.0, upper=1.0)

    monkeypatch.setattr("svmconv.measures.last_layer.max_margin", max_margin)
    with pytest.raises(sc.CertificateError, match="too close"):
        sc.audit(BLOBS.x, BLOBS.y, np.ones(2), 0.0)


def test_the_record_is_that_of_last_layer_gaps():
    w, b = np.array([1.0, 2.0]), 0.5
    record = sc.audit(BLOBS.x, BLOBS.y, w, b).record
    assert record.identical(sc.measures.last_layer_gaps(BLOBS.x, BLOBS.y, w, b))


def test_a_square_weight_the_wrong_way_round_warns():
    """The layer says class 0 where x0 > .95 x0 + x1; its transpose where x0 + .95 x1 > x1."""
    x, y = np.array([[1.0, 0.0], [1.0, -0.1], [0.2, 1.0], [0.1, 1.0]]), [0, 0, 1, 1]
    weight = np.array([[1.0, 0.0], [0.95, 1.0]])
    assert sc.audit(x, y, weight, np.zeros(2)).errors == 0
    with pytest.warns(UserWarning, match="misclassifies 2 rows but its transpose none"):
        report = sc.audit(x, y, weight.T, np.zeros(2))
    assert "pass weight.T" in report.warnings[0]
    assert "pass weight.T" in str(report)
    assert report.errors == 2


@pytest.mark.parametrize("kind", ["right", "wrong both ways"])
def test_a_square_weight_does_not_warn_otherwise(kind):
    """Warnings are errors in these tests."""
    weight = np.eye(3) if kind == "right" else np.eye(3)[[1, 2, 0]]
    report = sc.audit(np.eye(3), [0, 1, 2], weight, np.zeros(3))
    assert report.warnings == ()
    assert (report.errors == 0) == (kind == "right")


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_report_is_strict_json_and_readable(name):
    problem = PROBLEMS[name]
    svm = sc.max_margin(problem, bias="free")
    report = sc.audit(problem.x, problem.y, svm.w, np.asarray(svm.b))
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["problem"]["n"] == problem.n
    assert set(told["against"]) == set(told["certificates"]) == {"augmented", "free"}
    assert told["against"]["free"]["angle"] == float(report.gaps.sel(against="free").angle)
    assert told["against"]["augmented"]["angle_w"] > 0
    assert told["certificates"]["free"]["lower"] <= svm.margin
    text = str(report)
    assert "0 misclassified" in text
    assert "bias 'augmented'" in text
    assert "bias 'free'" in text
    assert not any(word in text for word in ("nan", "array(", "xarray"))


def test_string_labels_survive_json():
    report = sc.audit([[1.0, 0], [-1.0, 0]], ["yes", "no"], [1.0, 0.0])
    assert json.loads(json.dumps(report.to_dict()))["problem"]["classes"] == ["no", "yes"]


def test_the_public_name_is_this_function():
    assert sc.audit is audit_function


def test_a_square_layer_whose_transpose_has_no_direction():
    x, y = [[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0], [-2.0, -1.5]], [1, 1, 0, 0]
    found = sc.audit(x, y, [[1.0, 1.0], [-1.0, -1.0]])
    assert (found.errors, found.warnings) == (4, ())


def test_copies_of_a_support_vector_count_as_one():
    x, y = np.array([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0], [-3.0, -5.0]]), [1, 1, 0, 0]
    w = sc.max_margin(sc.Problem(x, y)).w
    assert sc.audit(x, y, w).support_overlap == 1.0
