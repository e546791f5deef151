import numpy as np
import pytest

import svmconv as sc

SETS = [
    sc.data.half_spaces,
    sc.data.blobs,
    sc.data.multiclass_blobs,
    sc.data.sectors,
    sc.data.moons,
    sc.data.half_plane,
    sc.data.disc,
]
PUBLISHED = SETS[1:]


@pytest.mark.parametrize("draw", SETS, ids=lambda f: f.__name__)
def test_seed_decides_the_rows_and_the_name_tells_it(draw):
    assert draw().id == draw(seed=0).id != draw(seed=1).id
    assert draw(n=40, seed=1).name.startswith(f"{draw.__name__}(n=40")
    assert draw(n=40, seed=1).name.endswith("seed=1)")


@pytest.mark.parametrize("draw", PUBLISHED, ids=lambda f: f.__name__)
def test_published_sets_have_5000_points_in_the_plane(draw):
    problem = draw()
    assert (problem.n, problem.d) == (5000, 2)
    expected = [0, 1, 2] if draw is sc.data.multiclass_blobs else [-1, 1]
    assert problem.classes.tolist() == expected


@pytest.mark.parametrize("draw", SETS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("bad", [{"n": 1}, {"seed": -1}], ids=str)
def test_bad_counts(draw, bad):
    with pytest.raises(sc.DataError, match="must be an integer of at least"):
        draw(**bad)


@pytest.mark.parametrize("d", [1, 2, 10])
def test_half_spaces_have_their_margin(d):
    problem = sc.data.half_spaces(n=400, d=d, margin=0.3)
    # Least squares on the labels is not the planted direction, so rebuild it from its draw.
    w = np.random.default_rng(0).standard_normal(d)
    w /= np.linalg.norm(w)
    margins = problem.signs * (problem.x @ w)
    assert margins.min() >= 0.3 * (1 - 1e-14)
    assert margins.min() < 0.33
    unpushed = problem.x - 0.3 * problem.signs[:, None] * w
    assert unpushed.std() == pytest.approx(1.0, abs=4 / np.sqrt(800 * d))  # four standard errors


@pytest.mark.parametrize("seed", range(20))
def test_half_spaces_always_have_both_classes(seed):
    assert sc.data.half_spaces(n=2, d=3, seed=seed).binary


def within(values, expected, std, n):
    """Five standard errors: seeds are fixed, so this either holds or the set is wrong."""
    np.testing.assert_allclose(values, expected, atol=5 * std / np.sqrt(n))


def test_blobs_have_their_centres_and_spread():
    problem = sc.data.blobs()
    for label, centre in [(-1, 0.2), (1, 0.8)]:
        rows = problem.x[problem.y == label]
        assert len(rows) == 2500
        within(rows.mean(axis=0), centre, 0.1, 2500)
        within(rows.std(axis=0), 0.1, 0.1, 2500)


def test_multiclass_blobs_have_their_centres_and_spread():
    problem = sc.data.multiclass_blobs()
    for label, centre in enumerate([(10, 10), (45, 75), (80, 10)]):
        rows = problem.x[problem.y == label]
        assert len(rows) in (1666, 1667)
        within(rows.mean(axis=0), centre, 5.0, len(rows))
        within(rows.std(axis=0), 5.0, 5.0, len(rows))


@pytest.mark.parametrize(
    ("inner", "outer", "separable"),
    [
        ((0.1, 0.2), (0.283, 0.4), True),
        ((0.1, 200.0), (300.0, 400.0), True),
        ((0.1, 0.2), (0.25, 0.4), False),
    ],
)
def test_sectors(inner, outer, separable):
    problem = sc.data.sectors(inner=inner, outer=outer)
    radius = np.linalg.norm(problem.x, axis=1)
    assert (problem.x >= 0).all()
    for label, (low, high), count in [(-1, inner, 1250), (1, outer, 3750)]:
        r = radius[problem.y == label]
        assert len(r) == count
        assert low <= r.min() < r.max() <= high
        within(np.mean(r**2), (low**2 + high**2) / 2, high**2 - low**2, count)  # uniform in area
    total = problem.x.sum(axis=1)
    gap = total[problem.y == 1].min() - total[problem.y == -1].max()
    assert (gap > 0) == separable  # x1 + x2 = c is the separator the radii allow


def test_moons_are_two_half_circles():
    problem = sc.data.moons(noise=0.0)
    upper, lower = problem.x[problem.y == -1], problem.x[problem.y == 1]
    np.testing.assert_allclose(np.linalg.norm(upper, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(lower - [1.0, 0.5], axis=1), 1.0, rtol=1e-14)
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0.5
    assert len(upper) == len(lower) == 2500
    noise = sc.data.moons().x - problem.x
    within(noise.std(), 0.1, 0.1, noise.size)


def test_half_plane_leaves_out_the_margin():
    problem = sc.data.half_plane()
    distance = problem.signs * (problem.x.sum(axis=1) - 1) / np.sqrt(2)
    assert 0.1 <= distance.min() < 0.101
    assert problem.x.min() >= 0
    assert problem.x.max() <= 1


def test_disc_leaves_out_the_ring():
    problem = sc.data.disc(margin=0.05)
    radius = np.linalg.norm(problem.x - 0.5, axis=1)
    inside, outside = radius[problem.y == -1], radius[problem.y == 1]
    assert 0.149 < inside.max() <= 0.15
    assert 0.25 <= outside.min() < 0.251
    assert len(inside) == len(outside) == 2500


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: sc.data.half_spaces(margin=-1.0), "margin"),
        (lambda: sc.data.half_spaces(d=0), "d must be"),
        (lambda: sc.data.blobs(centres=[(0, 0), (1, 1), (2, 2)]), "multiclass_blobs"),
        (lambda: sc.data.multiclass_blobs(centres=[(0, 0)]), "centres"),
        (lambda: sc.data.blobs(std=0.0), "std"),
        (lambda: sc.data.sectors(inner=(0.1, 0.3), outer=(0.2, 0.4)), "radii must increase"),
        (lambda: sc.data.moons(noise=-0.1), "noise"),
        (lambda: sc.data.half_plane(margin=0.8), "give one below"),
        (lambda: sc.data.disc(margin=0.2), "give one below"),
        (lambda: sc.data.disc(radius=0.0), "radius"),
    ],
)
def test_impossible_arguments(call, word):
    with pytest.raises(sc.DataError, match=word):
        call()
