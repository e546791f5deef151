"""MaxMargin is saved, loaded, printed and turned into JSON."""

import json

import numpy as np
import pytest

import svmconv as sc


@pytest.fixture(scope="module", params=[2, 3])
def svm(request):
    problem = sc.data.planted(n=40, d=5, n_support=4, classes=request.param, seed=0)
    return sc.max_margin(problem, bias="augmented", bias_scale=2.0)


def test_save_and_load(svm, tmp_path):
    loaded = sc.MaxMargin.load(svm.save(tmp_path / "svm.npz"))
    for name in ("w", "b", "alpha", "support", "active"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(svm, name))
    assert loaded.to_dict() == svm.to_dict()
    assert loaded.certificate == svm.certificate
    assert isinstance(loaded.b, float) == isinstance(svm.b, float)


def test_nothing_is_overwritten(svm, tmp_path):
    path = tmp_path / "svm.npz"
    path.write_text("precious")
    with pytest.raises(sc.DataError, match="exists"):
        svm.save(path)
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["svm.npz"]


def test_foreign_files_end_in_one_sentence(svm, tmp_path):
    whole = svm.save(tmp_path / "whole.npz").read_bytes()
    bad = {"text.npz": b"hello", "empty.npz": b"", "cut.npz": whole[: len(whole) // 2]}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    np.savez(tmp_path / "pickled.npz", max_margin=np.array([{}], dtype=object))
    np.savez(tmp_path / "bare.npz", max_margin="{}", w=1, b=1, alpha=1, support=1, active=1)
    np.save(tmp_path / "array.npz.npy", np.ones(3))
    names = [*bad, "other.npz", "pickled.npz", "bare.npz", "array.npz.npy", "missing.npz"]
    for name in names:
        with pytest.raises(sc.DataError) as caught:
            sc.MaxMargin.load(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_newer_files_are_refused(svm, tmp_path, monkeypatch):
    monkeypatch.setattr("svmconv.svm.result.SCHEMA", 99)
    path = svm.save(tmp_path / "new.npz")
    monkeypatch.undo()
    with pytest.raises(sc.DataError, match="newer"):
        sc.MaxMargin.load(path)


def test_json_and_repr(svm):
    found = json.loads(json.dumps(svm.to_dict()))
    assert found["margin"] == svm.margin
    assert found["certificate"]["relative_gap"] == svm.certificate.relative_gap
    np.testing.assert_array_equal(found["w"], svm.w)
    assert repr(svm).startswith("MaxMargin(margin=")
    assert "\n" not in repr(svm)


def test_sizes(svm):
    assert (svm.n, svm.d) == (40, 5)
    assert svm.n_classes == (2 if svm.w.ndim == 1 else 3)
    assert svm.w_aug.shape == (*svm.w.shape[:-1], 6)
    assert svm.margin == pytest.approx(1 / np.linalg.norm(svm.w_aug), rel=1e-14)
