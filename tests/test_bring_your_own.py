"""Files as PyTorch writes them, audited: float32 in C order, int64 labels, weight (K, d)."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import svmconv as sc
from svmconv.cli import main

SAVE = {
    "npz": lambda arrays: np.savez("layer.npz", **arrays),
    "safetensors": lambda arrays: save_file(arrays, "layer.safetensors"),
}
TWO, THREE = sc.data.blobs(n=60), sc.data.multiclass_blobs(n=60)
formats = pytest.mark.parametrize("ending", SAVE)


@pytest.fixture
def audit(tmp_path, monkeypatch, capsys):
    """Save the arrays, and return what `svmconv audit` prints of them."""
    monkeypatch.chdir(tmp_path)

    def run(arrays, ending="npz"):
        assert all(array.flags.c_contiguous for array in arrays.values())
        SAVE[ending](arrays)
        assert main(["audit", f"layer.{ending}"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run


def saved(problem, weight, bias, labels="int64"):
    """As net[:-1](x), y, nn.Linear's weight and bias arrive."""
    x, w, b = (np.array(v, np.float32, order="C") for v in (problem.x, weight, bias))
    return {"x": x, "y": problem.index.astype(labels), "w": w, "b": b}


def angle(report):
    """In radians, to the SVM that descent on (w, b) reaches; it is printed first."""
    return float(report.split("  angle ")[1].split(" rad")[0])


@formats
def test_three_logits(audit, ending):
    svm = sc.max_margin(THREE, bias="augmented")
    report = audit(saved(THREE, svm.w, svm.b), ending)
    assert "60 rows, 2 features, 3 classes: 0 misclassified" in report
    assert angle(report) < 1e-6  # float32


@formats
def test_two_logits_and_one_are_the_same_layer(audit, ending):
    """nn.CrossEntropyLoss takes two logits and int64, nn.BCEWithLogitsLoss one and float32."""
    svm = sc.max_margin(TWO, bias="augmented")
    w, b = svm.w, np.asarray(svm.b)
    two = audit(saved(TWO, [-w / 2, w / 2], [-b / 2, b / 2]), ending)
    one = audit(saved(TWO, [w], [b], "float32"), ending)
    assert two == one
    assert angle(two) < 1e-6
    turned = audit(saved(TWO, [w / 2, -w / 2], [b / 2, -b / 2]), ending)
    assert "60 misclassified" in turned


@formats
def test_features_that_nothing_separates(audit, ending):
    arrays = saved(TWO, np.eye(2), np.zeros(2))
    arrays["y"][:1] = 1 - arrays["y"][:1]
    report = audit(arrays, ending)
    assert "not separable" in report
    assert "no layer of this shape gets every row right" in report


@formats
def test_a_class_that_relu_sends_to_zero(audit, ending):
    arrays = saved(TWO, np.eye(2), np.zeros(2))
    arrays["x"] = np.where(arrays["y"][:, None] == 1, np.abs(arrays["x"]) + 1, 0).astype(np.float32)
    report = audit(arrays, ending)
    assert "all 30 rows of class 0 are exactly 0, where no unit is on" in report


def test_words_of_the_report_mean_what_a_user_of_pytorch_reads(audit):
    """cross_entropy is never negative, its logarithm is; both SVMs are named by what they are."""
    report = audit(saved(TWO, [[0, 0], [1, 1]], [0, 0]))
    assert "ln of its mean loss" in report
    assert "bias 'augmented', which descent on weight and bias tends to" in report
    assert "bias 'free', the classical one" in report
