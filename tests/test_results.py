"""Results on disk: what is written comes back, nothing is overwritten, nothing half-written."""

import hashlib
import json
import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError

import h5py
import numpy as np
import pytest
import xarray as xr

import svmconv as sc
from svmconv import results


def result():
    return xr.Dataset(
        {
            "w": (("log1p_t", "class"), np.arange(6.0).reshape(2, 3)),
            "norm": ("log1p_t", [0.0, 1.0]),
        },
        {"log1p_t": [0.0, 0.1], "class": ["cat", "dog", "emu"], "step": ("log1p_t", [0, 1])},
        {"rate": 0.1, "optimizer": "GD(rate=0.1)"},
    )


def test_round_trip(tmp_path):
    path = results.save(result(), tmp_path / "run.nc", {"rate": 0.1, "seed": 0})
    loaded = results.load(path)
    xr.testing.assert_equal(loaded, result())
    assert loaded.w.dtype == np.float64
    assert loaded.attrs.items() >= result().attrs.items()
    assert loaded.attrs["svmconv_schema"] == results.SCHEMA
    assert json.loads(loaded.attrs["provenance"])["config"] == {"rate": 0.1, "seed": 0}


def test_saving_leaves_the_dataset_alone(tmp_path):
    dataset = result()
    results.save(dataset, tmp_path / "run.nc")
    xr.testing.assert_identical(dataset, result())


def test_a_trajectory_continues_from_its_file(tmp_path):
    problem = sc.data.planted(n=20, d=3, n_support=3, spanning=True)
    named = sc.Problem(problem.x, np.where(problem.y > 0, "yes", "no"))
    method = sc.optimizers.HeavyBall(0.1)
    first = sc.descend(named, method, 10)
    loaded = results.load(results.save(first, tmp_path / "run.nc"))
    xr.testing.assert_identical(
        sc.descend(named, method, 40, resume=loaded), sc.descend(named, method, 40, resume=first)
    )


def test_equal_runs_give_equal_files(tmp_path):
    one = results.save(result(), tmp_path / "one.nc", {"a": 1, "b": 2})
    two = results.save(result(), tmp_path / "two.nc", {"b": 2, "a": 1})
    assert one.read_bytes() == two.read_bytes()
    other = results.save(result(), tmp_path / "other.nc", {"a": 1, "b": 3})
    assert one.read_bytes() != other.read_bytes()


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "run.nc"
    path.write_text("precious")
    with pytest.raises(sc.DataError, match=r"run.nc exists: choose another name or remove it"):
        results.save(result(), path)
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["run.nc"]


@pytest.mark.parametrize(
    ("failure", "seen"),
    [(OSError("disk full"), sc.DataError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=repr,
)
def test_nothing_half_written_is_left(tmp_path, monkeypatch, failure, seen):
    def fail(*_):
        assert os.listdir(tmp_path)  # written, but not yet under its name
        raise failure

    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(seen):
        results.save(result(), tmp_path / "run.nc")
    assert os.listdir(tmp_path) == []


def test_folders_that_cannot_take_the_file(tmp_path, monkeypatch):
    with pytest.raises(sc.DataError, match="nowhere is not a folder: create it first"):
        results.save(result(), tmp_path / "nowhere" / "run.nc")
    with pytest.raises(sc.DataError, match="exists"):
        results.save(result(), tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(sc.DataError, match="cannot be written: choose another folder"):
        results.save(result(), tmp_path / "run.nc")


def test_the_file_is_readable_by_others(tmp_path):
    assert results.save(result(), tmp_path / "run.nc").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not NetCDF at all", "not a NetCDF result of svmconv"),
        (b"", "not a NetCDF result of svmconv"),
        (None, "no such file"),
    ],
    ids=["text", "empty", "missing"],
)
def test_unreadable_files(tmp_path, content, message):
    path = tmp_path / "run.nc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(sc.DataError, match=message):
        results.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_file(tmp_path, share):
    path = results.save(result(), tmp_path / "run.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(sc.DataError, match="not a NetCDF result of svmconv"):
        results.load(path)


def test_folder_is_not_a_result(tmp_path):
    with pytest.raises(sc.DataError, match="not a NetCDF result of svmconv"):
        results.load(tmp_path)


@pytest.mark.parametrize("schema", [None, "one", 1.5], ids=str)
def test_foreign_file(tmp_path, schema):
    foreign = result() if schema is None else result().assign_attrs(svmconv_schema=schema)
    foreign.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with pytest.raises(sc.DataError, match="a NetCDF file, but not written by svmconv"):
        results.load(tmp_path / "run.nc")


def test_plain_hdf5_is_foreign(tmp_path):
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["a"] = [1.0, 2.0]
    with pytest.raises(sc.DataError, match="not written by svmconv"):
        results.load(tmp_path / "run.h5")


def test_newer_schema_is_refused(tmp_path):
    newer = result().assign_attrs(svmconv_schema=results.SCHEMA + 1)
    newer.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with pytest.raises(sc.DataError, match=r"schema 2 is newer .* \(1\): upgrade svmconv"):
        results.load(tmp_path / "run.nc")


def test_run_id_is_the_hash_of_the_canonical_configuration():
    canonical = '{"rate":0.1,"seeds":[0,1]}'
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    assert results.run_id({"rate": 0.1, "seeds": [0, 1]}) == expected
    assert results.run_id({"seeds": [0, 1], "rate": 0.1}) == expected
    assert results.run_id({"seeds": [1, 0], "rate": 0.1}) != expected


def test_provenance_names_versions_and_revision_only(monkeypatch):
    found = results.provenance()
    assert set(found) == {"versions", "git", "source"}
    assert found["versions"]["numpy"] == np.__version__

    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(results, "version", missing)
    assert results.provenance()["versions"]["jax"] == "not installed"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_revision_is_that_of_the_code_alone(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    source, data = tmp_path / "results.py", tmp_path / "data.nc"
    source.write_text("a = 1")
    data.write_text("1")
    monkeypatch.setattr(results, "__file__", str(source))
    git("init")
    assert results.provenance()["git"] == "unknown"  # a package inside somebody else's repository
    git("add", ".")
    git("commit", "-m", "all")
    revision = results.provenance()["git"]
    assert len(revision) == 12
    data.unlink()
    assert results.provenance()["git"] == revision
    source.write_text("a = 2")
    assert results.provenance()["git"] == f"{revision}-dirty"
