"""Pictures beside their provenance: results, commands; equal files for equal results."""

import hashlib
import json
from pathlib import Path

import pytest

from figures import FIGURES
from figures import __main__ as command
from figures.provenance import made_by
from svmconv.results import save
from tests import fakes

ROOT = Path(__file__).parents[1]
DRAWN = ROOT / "docs" / "figures"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "results"
    (folder / "convergence").mkdir(parents=True)
    save(fakes.curve(), folder / "convergence" / "flow.nc", {"seed": 7})
    return folder


@pytest.fixture(scope="module")
def drawn(results):
    assert command.main(str(results), str(results.parent / "drawn")) == 0
    return results.parent / "drawn"


def test_a_figure_says_where_it_comes_from(results, drawn):
    found = json.loads((drawn / "convergence.json").read_text())
    assert found["figure"] == "convergence"
    ((name, one),) = found["results"].items()
    assert name == "convergence/flow.nc"
    assert one["sha256"] == hashlib.sha256((results / name).read_bytes()).hexdigest()
    assert one["provenance"]["config"] == {"seed": 7}
    assert one["made_by"] == "python -m simulations.last_layer --preset smoke"


def test_equal_results_give_equal_files(results, drawn, tmp_path):
    assert command.main(str(results), str(tmp_path)) == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".pdf", ".json"}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (drawn / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("power-paper.nc", "python -m simulations.power --preset paper"),
        ("li2018_simulated-paper-adam.nc", "simulations.li2018_simulated --preset paper-adam"),
        ("mnist_mlp-cpu/run/curves.nc", "python -m simulations.mnist_mlp --preset cpu"),
        ("mnist_mlp-cpu/run/frozen.nc", "python -m simulations.frozen mnist_mlp-cpu/run"),
        ("plane/svm.npz", "python -m simulations.last_layer --preset smoke"),
    ],
)
def test_commands_are_told_from_places(file, expected):
    assert made_by(Path(file)).endswith(expected)


@pytest.mark.skipif(not DRAWN.exists(), reason="pictures are not in the source archive")
def test_every_picture_that_is_kept_names_results_that_are_kept():
    kept = sorted(DRAWN.glob("*.json"))
    assert {path.stem for path in kept} == {path.stem for path in DRAWN.glob("*.png")}
    assert {path.stem for path in kept} == {path.stem for path in DRAWN.glob("*.pdf")}
    assert {path.stem for path in kept} <= set(FIGURES)
    for path in kept:
        for name, one in json.loads(path.read_text())["results"].items():
            data = (ROOT / "results" / name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == one["sha256"], (path.name, name)


def test_no_picture_that_is_kept_is_large():
    assert all(path.stat().st_size < 300_000 for path in DRAWN.glob("*.pdf"))
