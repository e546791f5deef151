"""Grids: counted and cut without being listed, checked before anything runs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import svmconv as sc
from svmconv.optimizers import GD, DualAcceleration, NormalizedGD
from svmconv.results import run_id
from svmconv.sweep import clock, plan
from svmconv.sweep.grid import Grid

EXAMPLE = Grid(
    data=("half_spaces",), n=(100, 1000), d=(2, 10), margin=(0.1, 0.3),
    optimizer=("gd", "normalized-gd", "heavy-ball"), rate=(0.01, 0.1, 1.0), seeds=32, steps=10**6,
)  # fmt: skip


def runs_of(grid):
    """Every run's configuration, in the order of the file."""
    return [
        choice.config(method, grid)
        for part in plan.parts(grid)
        for choice in part.choices(grid)
        for method in grid.methods
    ]


def test_every_combination_once():
    configs = runs_of(EXAMPLE)
    assert EXAMPLE.size == len(configs) == 2 * 2 * 2 * 3 * 3 * 32
    assert len({run_id(config) for config in configs}) == len(configs)
    assert {(c["n"], c["d"], c["margin"], c["rate"]) for c in configs} == {
        (n, d, margin, rate)
        for n in (100, 1000) for d in (2, 10) for margin in (0.1, 0.3) for rate in (0.01, 0.1, 1.0)
    }  # fmt: skip
    assert all(("momentum" in c) == (c["optimizer"] == "heavy-ball") for c in configs)


def test_parts_are_in_order_and_whole():
    found = list(plan.parts(EXAMPLE))
    assert [part.number for part in found] == list(range(plan.count(EXAMPLE)))
    ends = [part.runs(EXAMPLE) for part in found]
    assert [end.start for end in ends] == [0, *(end.stop for end in ends[:-1])]
    assert ends[-1].stop == EXAMPLE.size
    assert all(part.count <= part.width for part in found)


def test_a_run_id_is_the_hash_of_all_that_decides_about_the_run():
    grid = Grid(n=20, d=2, optimizer="gd", rate=1, steps=10)
    (config,) = runs_of(grid)
    assert config == {
        "data": "half_spaces", "n": 20, "d": 2, "margin": 0.3, "seed": 0, "bias": "none",
        "bias_scale": 1.0, "loss": "logistic", "optimizer": "gd", "rate": 1.0, "steps": 10,
    }  # fmt: skip
    choice = grid.shapes[0].choice(0)
    assert choice.run_id(grid.methods[0], grid) == run_id(config)
    same = Grid(n=(20.0,), d=2, optimizer=("gd",), rate=1.0, steps=10.0, seeds=1)
    assert runs_of(same) == [config]
    assert same == grid


def test_a_choice_is_the_data_set_it_names():
    grid = Grid(data="planted", n=30, d=4, n_support=3, theta=(1.5, 2.0), log_t=10.0, seeds=2)
    problem = grid.shapes[0].choice(3).problem()
    assert problem.id == sc.data.planted(n=30, d=4, n_support=3, theta=2.0, seed=1).id


def test_a_grid_of_10_12_runs_is_counted_at_once():
    grid = Grid(seeds=10**12, log_t=1e6)
    assert grid.size == 10**12
    assert plan.count(grid) >= 10**8
    assert plan.told(grid).startswith("1,000,000,000,000 runs, about ")
    assert "years" in plan.told(grid)
    assert next(plan.parts(grid)).first == 0


def test_grids_travel():
    grid = pickle.loads(pickle.dumps(EXAMPLE))
    assert grid == EXAMPLE
    assert grid.size == EXAMPLE.size


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data": "half_space", "log_t": 1.0}, "did you mean 'half_spaces'"),
        ({"optimizer": "heavyball", "steps": 10}, "did you mean 'heavy-ball'"),
        ({"optimizer": "qqq", "steps": 10}, "choose one of gd, heavy-ball"),
        ({"optimizer": "gd"}, "give steps .* or log_t"),
        ({"steps": 10}, "steps needs an optimizer"),
        ({"log_t": 1.0, "optimizer": "gd"}, "takes none"),
        ({"log_t": 1.0, "steps": 10, "optimizer": "gd"}, "one of them"),
        ({"log_t": float("inf")}, "finite"),
        ({"log_t": 1.0, "rate": 0.1}, "rate is no parameter of the gradient flow"),
        ({"log_t": 1.0, "std": 0.1}, "std is no parameter of half_spaces"),
        ({"steps": 10, "optimizer": "gd", "momentum": 0.5}, "momentum is no parameter of gd"),
        ({"steps": 10, "optimizer": "gd", "rate": -1.0}, "rate must be a positive number"),
        ({"steps": 10, "optimizer": "gd", "rate": "x"}, "rate must be a real number"),
        ({"steps": 1.5, "optimizer": "gd"}, "steps must be a whole number"),
        ({"steps": 10, "optimizer": "heavy-ball", "rate": 1e308}, "longer than any number"),
        ({"steps": 0, "optimizer": "gd"}, "steps must be an integer of at least 1"),
        ({"data": (), "log_t": 1.0}, "empty"),
        ({"bias": (), "log_t": 1.0}, "empty"),
        ({"bias": "free", "log_t": 1.0}, 'no descent reaches bias="free"'),
        ({"bias_scale": 2.0, "log_t": 1.0}, "give both or neither"),
        ({"seeds": 0, "log_t": 1.0}, "seeds must be an integer of at least 1"),
        ({"n": 10.5, "log_t": 1.0}, "n must be a whole number"),
        ({"data": "planted", "spanning": 1, "log_t": 1.0}, "spanning must be True or False"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(fields, message):
    with pytest.raises(sc.DataError, match=message):
        Grid(**fields)


@pytest.mark.parametrize(
    "method", [GD(0.3), NormalizedGD(0.5, power=0.5), DualAcceleration(0.1)], ids=repr
)
def test_recordings_are_the_last_steps_before_the_times_of_the_axis(method):
    steps = 300
    times = np.log1p(np.geomspace(0.01, 2 * method.elapsed(steps), 50))
    found = clock.stops(method, steps, times)
    elapsed = np.array([method.elapsed(k) for k in range(steps + 1)])
    last = np.array([np.flatnonzero(elapsed <= t * (1 + 1e-12)).max() for t in np.expm1(times)])
    fresh = found >= 0
    np.testing.assert_array_equal(found[fresh], last[fresh])
    assert (np.diff(found[fresh]) > 0).all()
    before_the_end = np.expm1(times) <= elapsed[-1]
    assert set(found[fresh]) == set(last[before_the_end]) - {0}
    assert not before_the_end.all()


def test_the_axis_ends_with_the_last_step_of_the_longest_method():
    grid = Grid(optimizer=("gd", "dual-acceleration"), rate=(0.1, 0.7), steps=1000)
    times = clock.axis(grid)
    ends = [clock.stops(method, 1000, times).max() for method in grid.methods]
    assert ends[-1] == 1000
    assert max(ends[:-1]) < 1000  # the others end between two points
    np.testing.assert_allclose(np.expm1(times[[0, -1]]), [0.1, 0.7 * 1000 * 1003 / 4])
    assert clock.axis(Grid(optimizer="gd", steps=1)).size == 1


def test_equal_numbers_are_equal_runs():
    def ids(**fields):
        grid = Grid(**fields)
        return [
            s.choice(0).run_id(m, grid) for s in grid.shapes for m in grid.methods
        ], grid.config()

    assert ids(log_t=1000) == ids(log_t=1000.0) == ids(log_t=np.int64(1000))
    descent = {"optimizer": "normalized-gd", "steps": 10}
    assert ids(power=0.0, **descent) == ids(power=-0.0, **descent) == ids(power=0, **descent)


@pytest.mark.parametrize("value", [np.nan, np.inf, True, "1"])
def test_no_number_is_no_log_t_and_no_margin(value):
    for fields in ({"log_t": value}, {"log_t": 1.0, "margin": value}):
        with pytest.raises(sc.DataError, match=r"(log_t|margin) must be a (real|finite) number"):
            Grid(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": 0}, "n must be an integer of at least 1"),
        ({"d": (2, -4)}, "d must be an integer of at least 1"),
        ({"seeds": 1e25}, "seeds must be at most 1e"),
        ({"n": 10**400}, "n must be a"),
        ({"steps": 1e10, "optimizer": "normalized-gd", "power": 0.5}, "ask for 1e.08 at most"),
    ],
)
def test_numbers_beyond_all_use_are_one_sentence(fields, message):
    with pytest.raises(sc.DataError, match=message):
        Grid(**{"optimizer": "gd", "steps": 10, **fields})


def test_a_flow_has_an_end():
    with pytest.raises(sc.DataError, match="log_t must be at most"):
        Grid(log_t=1e300)
