"""A place for image files that nothing on this machine or off it adds to."""

import sys

import pytest

from svmconv.data import fetch, images


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty SVMCONV_DATA; no system folder, and pooch as if it were not installed."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("SVMCONV_DATA", str(folder))
    monkeypatch.setattr(fetch, "_SYSTEM", str(tmp_path / "system"))
    monkeypatch.setitem(sys.modules, "pooch", None)
    images._decoded.cache_clear()
    yield folder
    images._decoded.cache_clear()
