"""Which rows are rehearsed, and a tiny network on embedded digits that forgets."""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from figures.forgetting import forgetting as draw
from simulations import command, forgetting
from svmconv import data
from svmconv.errors import DataError
from svmconv.problem import Problem
from svmconv.results import load
from svmconv.svm.solve import max_margin


@dataclass(frozen=True, kw_only=True)
class Tiny(forgetting.Config):
    shape = (8, 8, 1)

    def problem(self, pair, split):
        whole = data.digits(pair)
        rows = slice(0, 200) if split == "train" else slice(200, None)
        return Problem(whole.x[rows], whole.index[rows], f"{whole.name} {split}")


TINY = Tiny(seeds=2, widths=(8,), penultimate=4, rate=0.05, epochs=8, budgets=(4, 64))
SEEN = data.half_spaces(n=200, d=3)


def measured():
    """What `run` returns, of accuracies made up."""
    rng = np.random.default_rng(0)
    accuracy = {
        name: (("seed", "budget", "choice")[:dims], rng.uniform(0.5, 1.0, (5, 3, 2)[:dims]))
        for name, dims in {
            "old_before": 1, "old_without": 1, "new_without": 1, "old": 3, "new": 3
        }.items()
    }  # fmt: skip
    m = ("seed", "budget"), np.stack([[s, 4, 64] for s in (2, 3, 2, 5, 4)])
    budgets = {"budget": [forgetting.SUPPORT, "4", "64"], "choice": list(forgetting.CHOICES)}
    return xr.Dataset(accuracy | {"m": m}, {"seed": np.arange(5)} | budgets)


def test_closest_rows_are_those_of_smallest_margin_in_each_class():
    svm = max_margin(SEEN, bias="augmented")
    margins = SEEN.signs * (SEEN.x @ svm.w + svm.b)
    rows = forgetting.closest(svm, SEEN, 20)
    assert len(np.unique(rows)) == 20
    for k in (0, 1):
        own = np.flatnonzero(SEEN.index == k)
        chosen = np.intersect1d(rows, own)
        assert len(chosen) == 10
        assert margins[chosen].max() <= margins[np.setdiff1d(own, chosen)].min()


def test_memories_are_the_support_set_the_closest_rows_and_as_many_at_random():
    kept = forgetting.memories(SEEN, (4, 20), seed=0)
    support = max_margin(SEEN, bias="augmented").support
    np.testing.assert_array_equal(kept["support vectors"][0], support)
    assert [len(rows) for rows, _ in kept.values()] == [len(support), 4, 20]
    for chosen, drawn in kept.values():
        assert len(np.unique(drawn)) == len(drawn) == len(chosen)
        np.testing.assert_array_equal(
            np.bincount(SEEN.index[drawn], minlength=2),
            np.bincount(SEEN.index[chosen], minlength=2),
        )


def test_a_seed_decides_which_rows_are_drawn():
    (first, again, other) = (forgetting.memories(SEEN, (20,), s)["20"] for s in (0, 0, 1))
    np.testing.assert_array_equal(first[1], again[1])
    assert set(first[1]) != set(other[1])
    np.testing.assert_array_equal(first[0], other[0])


def test_both_tasks_weigh_alike_and_every_kept_row_does():
    new = Problem(np.arange(14.0)[:, None], [0, 1] * 7)
    old = Problem(-1.0 - np.arange(6.0)[:, None], [0, 1, 1, 0, 0, 1])
    joined = forgetting.rehearsing(new, old, np.array([1, 3, 4]))
    np.testing.assert_array_equal(joined.x[:14], new.x)
    np.testing.assert_array_equal(joined.y[:14], new.y)
    kept, counts = np.unique(joined.x[14:], return_counts=True)
    np.testing.assert_array_equal(kept, [-5.0, -4.0, -2.0])
    assert sorted(counts) == [4, 5, 5]
    np.testing.assert_array_equal(joined.y[14:], old.y[(-1 - joined.x[14:, 0]).astype(int)])


def test_without_kept_rows_the_new_task_is_seen_twice():
    new = Problem(np.arange(4.0)[:, None], [0, 1, 0, 1])
    joined = forgetting.rehearsing(new, SEEN, np.zeros(0, np.int64))
    np.testing.assert_array_equal(joined.x, np.concatenate([new.x, new.x]))
    np.testing.assert_array_equal(joined.y, np.concatenate([new.y, new.y]))


@pytest.mark.slow
def test_a_tiny_network_forgets_and_rehearsal_helps():
    found = forgetting.run(TINY)
    assert (found.old_before > 0.95).all()
    assert (found.old_without < found.old_before - 0.1).all()
    assert (found.old.sel(budget="64") > found.old_without + 0.05).all()
    assert ((found.new > 0.5) & (found.new <= 1.0)).all()
    np.testing.assert_array_equal(found.m.sel(budget=["4", "64"]), [[4, 64]] * 2)
    assert (found.m.sel(budget="support vectors") <= TINY.penultimate + 1).all()


def test_the_command_writes_once_and_the_figure_reads_it(tmp_path, capsys):
    found = measured()

    def once_more():
        argv = ["--out", str(tmp_path)]
        return command.main("forgetting", {"smoke": TINY}, lambda _: found, "Doc.", argv)

    target = tmp_path / "forgetting-smoke.nc"
    assert once_more() == 0
    written = target.read_bytes()
    saved = load(target)
    np.testing.assert_array_equal(saved.old, found.old)
    config = json.loads(saved.attrs["provenance"])["config"]
    assert config == json.loads(json.dumps(asdict(TINY)))
    assert isinstance(draw(tmp_path), Figure)
    assert once_more() == 2
    assert "exists" in capsys.readouterr().err
    assert target.read_bytes() == written


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [(DataError("out of digits"), 2, "out of digits"), (KeyboardInterrupt(), 130, "interrupted: ")],
)
def test_a_run_that_fails_leaves_nothing_behind(error, code, words, tmp_path, capsys):
    def fail(config):
        raise error

    argv = ["--out", str(tmp_path / "new")]
    assert command.main("forgetting", {"smoke": TINY}, fail, "Doc.", argv) == code
    said = capsys.readouterr().err
    assert said.startswith(words)
    assert said.count("\n") == 1
    assert list((tmp_path / "new").iterdir()) == []


def test_a_missing_result_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"forgetting-smoke\.nc: no such file"):
        draw(tmp_path)


@pytest.mark.parametrize("preset", forgetting.PRESETS.values(), ids=forgetting.PRESETS)
def test_presets_keep_as_many_rows_of_each_class(preset):
    assert all(m % 2 == 0 for m in preset.budgets)
    assert preset.seeds >= 5
