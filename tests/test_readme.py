"""The README's example of hidden layers runs as it stands and prints what its comments say."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
SECTION = README.read_text(encoding="utf-8").partition("## Hidden layers")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def names():
    (code,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    found = {}
    exec(code, found)
    return found


def test_every_layer_is_tracked(names, capsys):
    records = names["tracker"].dataset
    assert records.layer.values.tolist() == ["hidden_1", "hidden_2", "penultimate"]
    assert (records.means_ls_0.isel(step=-1) > records.means_ls_0.isel(step=0)).all()
    sc, zeros, ones = (names[name] for name in ("sc", "zeros", "ones"))
    found = sc.measures.linear_separability(zeros, ones)
    assert (found.value, found.candidate) == (1.0, "svm")


def test_every_measure_it_names_is_there(names):
    table = SECTION.partition("| in `sc.measures`")[2].partition("\n\n")[0]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = re.findall(r"`(\w+)", " ".join(first))
    assert len(told) > 15
    missing = [name for name in told if not hasattr(names["sc"].measures, name)]
    assert not missing
