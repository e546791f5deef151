"""Segments, what they should count before training, and the figure of a tiny result."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures.linear_regions import linear_regions as draw
from simulations import command, linear_regions
from svmconv.errors import DataError
from svmconv.geometry import angle
from svmconv.problem import Problem
from svmconv.results import load

TINY = linear_regions.Config(
    networks=((32,), (16, 16)), seeds=2, segments=8, rows=200, epochs=4, records=2
)


@pytest.fixture(scope="module")
def tiny():
    return linear_regions.run(TINY)


def test_segments_are_of_their_kind():
    problem = TINY.problem()
    found = linear_regions.segments(problem, 20, seed=0)
    assert [len(of) for of in found.values()] == [20, 20, 20]
    label = {tuple(x): y for x, y in zip(problem.x, problem.y, strict=True)}
    for kind, same in (("same class", True), ("different classes", False)):
        assert all((label[tuple(a)] == label[tuple(b)]) == same for a, b in found[kind])
        assert all((a != b).any() for a, b in found[kind])
    assert all(np.pi - angle(a, b) < 1e-3 for a, b in found["line"])
    between = np.array(found["different classes"])
    np.testing.assert_allclose(
        np.array(found["line"]).mean(axis=1), between.mean(axis=1), atol=1e-9
    )


def test_a_seed_decides_the_segments():
    first, again, other = (linear_regions.segments(TINY.problem(), 5, s)["line"] for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.array(first) != np.array(other)).any()


def test_equal_rows_make_no_segment():
    problem = Problem([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 3.0]], [0, 0, 1, 1])
    found = linear_regions.segments(problem, 3, seed=0)
    assert all((a != b).any() for of in found.values() for a, b in of)


def test_one_hidden_layer_has_a_region_more_than_units_on_every_line(tiny):
    """A line crosses the hyperplane of every unit once, before training and after."""
    lines = tiny.sel(network="32", kind="line")
    np.testing.assert_array_equal(lines.regions, 33.0)
    np.testing.assert_array_equal(lines.by_segment, 0.0)


def untrained(module, *given, **options):
    """Stages that end at the first."""
    return iter([(0, module), (1, module)])


def test_counts_before_training_are_as_expected_and_not_as_for_a_whole_line(monkeypatch):
    """Over many networks: the formula is about their mean. Four standard errors of 40 means."""
    monkeypatch.setattr(linear_regions, "stages", untrained)
    config = linear_regions.Config(
        networks=((64,),), seeds=40, segments=10, rows=500, epochs=1, records=1
    )
    found = linear_regions.run(config).isel(network=0, epoch=0)
    for kind in ("same class", "different classes"):
        count, expected = found.regions.sel(kind=kind), found.expected.sel(kind=kind)
        error = float((count - expected).std("seed", ddof=1)) / np.sqrt(config.seeds)
        assert abs(float((count - expected).mean())) < 4 * error
        assert float(count.mean()) + 10 * error < 65


def test_training_changes_the_counts(tiny):
    start, end = (tiny.sel(network="16-16").isel(epoch=e) for e in (0, -1))
    assert (start.regions != end.regions).any()
    assert (end.log_loss < start.log_loss).all()
    assert tiny.units.to_numpy().tolist() == [32, 32]
    assert (tiny.regions >= 1.0).all()


def test_the_command_writes_what_the_figure_draws(tiny, tmp_path, capsys):
    argv = ["--out", str(tmp_path)]
    args = ("linear_regions", {"smoke": TINY}, lambda _: tiny, "Doc.", argv)
    assert command.main(*args, summary=linear_regions.summary) == 0
    said = capsys.readouterr().out
    assert "32 (32 units), line: 33 [33, 33] regions expected before training, 33 [33, 33]" in said
    saved = load(tmp_path / "linear_regions-smoke.nc")
    np.testing.assert_array_equal(saved.regions, tiny.regions)
    config = json.loads(saved.attrs["provenance"])["config"]
    assert config == json.loads(json.dumps(asdict(TINY)))
    assert isinstance(draw(tmp_path), Figure)


def test_a_missing_result_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"linear_regions-smoke\.nc: no such file"):
        draw(tmp_path)
