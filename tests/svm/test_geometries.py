"""The l1, linf and spectral programs: answers by hand, other solvers, dualities, uniqueness."""

import json
from fractions import Fraction
from functools import cache
from itertools import product

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import svmconv as sc
from svmconv.geometry import centre, dual_norm, norm
from svmconv.svm.certificate import certify
from svmconv.svm.norms import dual_norm_above, norm_bounds
from tests.svm.kkt import coefficients, pair_margins
from tests.tolerances import FIRST_ORDER, LONG_SUM, ROUNDING, SOLVER

OFF_L2 = ("l1", "linf", "spectral")
LINEAR = ("l1", "linf")
FREEDOMS = ("none", "free")


def signed(*rows):
    """A binary problem through the origin with these signed rows, the last one negated."""
    y = np.ones(len(rows), dtype=int)
    y[-1] = 0
    return sc.Problem(np.array(rows, dtype=float) * (2 * y - 1)[:, None], y)


@cache
def clusters(classes, d, per=8, noise=0.2, seed=0):
    """Gaussian clouds around Gaussian centres, the published spectral problem in small."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((classes, d))
    y = np.repeat(np.arange(classes), per)
    return sc.Problem(centres[y] + noise * rng.standard_normal((len(y), d)), y)


PROBLEMS = {
    "two classes": sc.data.half_spaces(n=60, d=5, margin=0.3, seed=1),
    "d > n": sc.data.half_spaces(n=8, d=20, margin=0.3, seed=2),
    "four classes": clusters(4, 6),
    "classes, d > n": clusters(3, 12, per=2),
    "classes on a line": sc.Problem([[-3.0], [-2], [0], [0.5], [3]], [0, 0, 1, 1, 2]),
}
CASES = [
    (name, bias, geometry)
    for name, bias, geometry in product(PROBLEMS, FREEDOMS, OFF_L2)
    if (name, bias) != ("classes on a line", "none")
]


@cache
def answer(problem, bias, geometry):
    return sc.max_margin(problem, bias=bias, geometry=geometry)


def solved(name, bias, geometry):
    return PROBLEMS[name], answer(PROBLEMS[name], bias, geometry)


# by hand


@pytest.mark.parametrize(
    ("geometry", "w", "margin"),
    [
        ("l1", [0, 1 / 4], 4),  # all on the longest entry
        ("linf", [1 / 7, 1 / 7], 7),  # all entries pull
        ("spectral", [3 / 25, 4 / 25], 5),  # one vector: l2
    ],
)
def test_one_row(geometry, w, margin):
    svm = sc.max_margin(signed([3, 4], [3, 4]), geometry=geometry)
    np.testing.assert_allclose(svm.w, w, rtol=ROUNDING, atol=ROUNDING)
    assert svm.margin == pytest.approx(margin, rel=ROUNDING)
    assert svm.alpha.sum() == pytest.approx(1 / margin**2, rel=ROUNDING)
    assert svm.certificate.lower <= margin <= svm.certificate.upper
    assert svm.unique


@pytest.mark.parametrize("geometry", OFF_L2)
def test_one_feature_is_one_norm(geometry):
    # rows -1 | 2, 5 with an intercept: w = 2/3, b = -1/3, as in l2
    svm = sc.max_margin(sc.Problem([[-1.0], [2], [5]], [0, 1, 1]), bias="free", geometry=geometry)
    assert (svm.w[0], svm.b, svm.margin) == pytest.approx((2 / 3, -1 / 3, 1.5), rel=ROUNDING)


@pytest.mark.parametrize("bias", FREEDOMS)
@pytest.mark.parametrize("k", [3, 4])
def test_simplex_of_classes(k, bias):
    # row e_y of class y: feature j asks w_jj >= 1 + w_kj of every k. l1: w = 1, or any shift of
    # the column for K = 2 only. linf: +-1/2. spectral: I - 1/K has K - 1 singular values of 1,
    # and a = 1/K at every pair gives Z^T a = I - 1/K: nuclear norm K - 1 = sum a.
    problem = sc.Problem(np.eye(k), np.arange(k))
    l1, linf, spectral = (sc.max_margin(problem, bias=bias, geometry=g) for g in OFF_L2)
    np.testing.assert_allclose(centre(l1.w), np.eye(k) - 1 / k, atol=ROUNDING)
    np.testing.assert_allclose(linf.w, np.eye(k) - 1 / 2, atol=ROUNDING)
    np.testing.assert_allclose(spectral.w, np.eye(k) - 1 / k, atol=ROUNDING)
    assert (l1.margin, linf.margin, spectral.margin) == pytest.approx((1 / k, 2, 1), rel=LONG_SUM)
    assert (l1.unique, linf.unique, spectral.unique) == (True, True, True)


TURN = np.array([[0.8, 0.6], [-0.6, 0.8]]) @ [[np.cos(1), np.sin(1)], [-np.sin(1), np.cos(1)]]
UNIQUE = [
    # one row (1, 1): |w|_1 = 1 for all w1 + w2 = 1, |w|_inf = 1/2 at (1/2, 1/2) only
    (signed([1, 1], [1, 1]), "l1", False),
    (signed([1, 1], [1, 1]), "linf", True),
    # one row (1, 0): linf leaves w2 anywhere in [-1, 1]
    (signed([1, 0], [1, 0]), "l1", True),
    (signed([1, 0], [1, 0]), "linf", False),
    # w1 + w2 >= 1 and 2 w1 >= 1: l1 leaves [1/2, 1]; 2 w2 >= 1 too: only (1/2, 1/2), at which
    # the optimal duals of the program form a segment
    (signed([1, 1], [2, 0]), "l1", False),
    (signed([1, 1], [0, 2], [2, 0]), "l1", True),
    # w1 >= 1 binds; w1 + w2 >= 1 leaves w2 in [0, 1]; w1 - w2 >= 1 too: only w2 = 0, held by two
    # rows of dual zero
    (signed([1, 0], [1, 1]), "linf", False),
    (signed([1, 0], [1, 1], [1, -1]), "linf", True),
    # rows (1, 0), (-1, 0), (0, s): t = sqrt 2 from the first two classes, and the second column
    # beta (-1, -1, 2) / sqrt 6 needs sqrt 6 / (3 s) <= beta <= t: a point at s = 1 / sqrt 3
    (sc.Problem([[1, 0], [-1, 0], [0, 1.0]], [0, 1, 2]), "spectral", False),
    (sc.Problem([[1, 0], [-1, 0], [0, 0.6]], [0, 1, 2]), "spectral", False),
    # turned by an angle: what is zero above is now rounding
    (sc.Problem(np.array([[1, 0], [-1, 0], [0, 1]]) @ TURN, [0, 1, 2]), "spectral", False),
    (sc.Problem([[1, 0], [-1, 0], [0, 3**-0.5]], [0, 1, 2]), "spectral", True),
]


@pytest.mark.parametrize(("problem", "geometry", "unique"), UNIQUE)
def test_uniqueness_by_hand(problem, geometry, unique):
    svm = sc.max_margin(problem, geometry=geometry)
    assert svm.unique is unique
    assert svm.certificate.relative_gap <= LONG_SUM
    assert np.isnan(svm.certificate.angle_bound)


@pytest.mark.parametrize("weak", [1e-5, 1e-6, 1e-7, 1e-9])
def test_a_tied_row_that_hardly_feels_a_move_does_not_stop_it(weak):
    """By hand: (1, b) with norm 1 has margins 1, 1 + weak b and 1 + 1e-9 - weak b, so that
    every b from 0 to min(1, 1e-9 / weak) is optimal."""
    z = np.array([[1.0, 0.0], [1.0, weak], [1.0 + 1e-9, -weak]])
    signs = np.array([1, -1, 1])
    svm = sc.max_margin(sc.Problem(signs[:, None] * z, signs), geometry="linf")
    assert svm.margin == pytest.approx(1.0, rel=1e-9)
    assert not svm.unique


def test_two_classes_in_the_spectral_norm_are_l2():
    problem = PROBLEMS["two classes"]
    l2, spectral = sc.max_margin(problem), sc.max_margin(problem, geometry="spectral")
    np.testing.assert_array_equal(l2.w, spectral.w)
    assert spectral.geometry == "spectral"
    assert spectral.unique
    assert spectral.certificate == l2.certificate
    assert certify(problem, l2.w, 0.0, l2.alpha, geometry="spectral").upper == l2.certificate.upper


@pytest.mark.parametrize("geometry", OFF_L2)
@pytest.mark.parametrize("bias", FREEDOMS)
def test_what_nothing_separates(geometry, bias):
    with pytest.raises(sc.NotSeparableError) as caught:
        sc.max_margin(
            sc.Problem([[0.0, 1], [2, 1], [1, 1]], [0, 0, 1]), bias=bias, geometry=geometry
        )
    assert caught.value.residual == 0.0


@pytest.mark.parametrize("geometry", OFF_L2)
def test_augmented_is_refused(geometry):
    with pytest.raises(sc.DataError, match="no meaning"):
        sc.max_margin(PROBLEMS["four classes"], bias="augmented", geometry=geometry)
    problem, svm = solved("four classes", "none", geometry)
    with pytest.raises(sc.DataError, match="no meaning"):
        certify(problem, svm.w, svm.b, svm.alpha, bias="augmented", geometry=geometry)


# what every answer obeys


@pytest.mark.parametrize(("name", "bias", "geometry"), CASES)
def test_optimality(name, bias, geometry):
    problem, svm = solved(name, bias, geometry)
    margins = pair_margins(problem, svm.w, svm.b)
    assert margins.min() == pytest.approx(1.0, abs=LONG_SUM)
    assert (svm.alpha >= 0).all()
    spread = coefficients(problem, svm.alpha)
    forces = spread.T @ problem.x
    size = norm(svm.w, geometry)
    # |Z^T alpha|_* = |w|, <Z^T alpha, w> = |w|^2 = sum alpha, and margin 1 where alpha > 0
    assert dual_norm(forces, geometry) == pytest.approx(size, rel=LONG_SUM)
    assert np.sum(forces * svm.w) == pytest.approx(size**2, rel=LONG_SUM)
    assert svm.alpha.sum() == pytest.approx(size**2, rel=LONG_SUM)
    assert svm.alpha.sum() * svm.margin**2 == pytest.approx(1.0, rel=LONG_SUM)
    tight = svm.alpha.reshape(margins.shape) > 0
    np.testing.assert_allclose(margins[tight], 1.0, rtol=LONG_SUM)
    if bias == "free":
        assert np.abs(spread.sum(axis=0)).max() <= LONG_SUM * svm.alpha.sum()
    assert svm.certificate.lower <= svm.margin <= svm.certificate.upper
    assert svm.certificate.relative_gap <= LONG_SUM
    if not problem.binary:
        assert np.sum(svm.b) == pytest.approx(0.0, abs=LONG_SUM * max(1, np.abs(svm.b).max()))
        if geometry == "spectral":
            np.testing.assert_allclose(svm.w.sum(axis=0), 0.0, atol=LONG_SUM * size)


@pytest.mark.parametrize(("name", "bias", "geometry"), CASES)
def test_invariances(name, bias, geometry):
    problem, svm = solved(name, bias, geometry)
    rng = np.random.default_rng(0)
    order, flips = rng.permutation(problem.d), rng.choice([-1.0, 1.0], problem.d)
    turn = np.eye(problem.d)[order] * flips
    if geometry == "spectral":
        turn = np.linalg.qr(rng.standard_normal((problem.d, problem.d)))[0]
    scale = 2.5
    renamed = (problem.index + 1) % problem.n_classes
    moved = sc.max_margin(
        sc.Problem(scale * problem.x @ turn, renamed), bias=bias, geometry=geometry
    )
    assert moved.margin == pytest.approx(scale * svm.margin, rel=LONG_SUM)
    assert moved.unique is svm.unique
    if svm.unique:
        w = scale * moved.w @ turn.T
        w = -w if problem.binary else np.roll(centre(w), -1, axis=0)
        # the conditioning of the active rows, at most 1e4 here
        np.testing.assert_allclose(w, svm.w if problem.binary else centre(svm.w), atol=1e-9)


@pytest.mark.parametrize("geometry", OFF_L2)
def test_features_far_from_the_origin(geometry):
    problem = PROBLEMS["four classes"]
    moved = sc.max_margin(sc.Problem(problem.x + 64.0, problem.y), bias="free", geometry=geometry)
    # features of size 64 carry an error of 64 EPS into margins near 1
    assert moved.margin == pytest.approx(solved("four classes", "free", geometry)[1].margin, 1e-11)
    assert moved.certificate.relative_gap <= 1e-11


@pytest.mark.parametrize("geometry", LINEAR)
def test_many_rows(geometry):
    problem = sc.data.half_spaces(n=5000, d=50, margin=0.3, seed=0)
    svm = sc.max_margin(problem, geometry=geometry)
    assert svm.certificate.relative_gap <= LONG_SUM
    assert svm.unique


@pytest.mark.slow
@pytest.mark.parametrize("bias", FREEDOMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_published_spectral_problem(seed, bias):
    # Fan, Schmidt, Thrampoulidis 2025: 10 classes, d = 25, 50 rows a class, noise .1
    problem = clusters(10, 25, per=50, noise=0.1, seed=seed)
    svm = sc.max_margin(problem, bias=bias, geometry="spectral")
    assert svm.certificate.relative_gap <= LONG_SUM


# other solvers


def rows_of(problem, bias):
    """Every (pair) row over (w, b), built anew."""
    k = problem.n_classes
    found = []
    for x, y in zip(problem.x, problem.index, strict=True):
        for rival in [1 - y] if problem.binary else [j for j in range(k) if j != y]:
            sign = np.zeros(1 if problem.binary else k)
            if problem.binary:
                sign[0] = 2 * y - 1
            else:
                sign[y], sign[rival] = 1.0, -1.0
            found.append(np.append(np.kron(sign, x), sign * (bias == "free")))
    return np.array(found)


def polytope(problem, bias, geometry):
    """Rows and limits over (w, b, t): margins >= 1 and |w| <= t entrywise; which t is the norm."""
    z = rows_of(problem, bias)
    s = problem.d * (1 if problem.binary else problem.n_classes)
    q, t = z.shape[1] - s, s if geometry == "l1" else 1
    reach = np.eye(s) if geometry == "l1" else np.ones((s, 1))
    above = np.hstack([np.eye(s), np.zeros((s, q)), -reach])
    below = np.hstack([-np.eye(s), np.zeros((s, q)), -reach])
    rows = np.vstack([np.hstack([-z, np.zeros((len(z), t))]), above, below])
    size = np.append(np.zeros(s + q), np.ones(t))
    return rows, np.append(-np.ones(len(z)), np.zeros(2 * s)), size, s


def least_norm(problem, bias, geometry):
    rows, limits, size, _ = polytope(problem, bias, geometry)
    return linprog(size, rows, limits, bounds=(None, None), method="highs").fun


def widest(problem, bias, geometry, least):
    """How far the optimal face reaches along any weight less its mean over classes."""
    rows, limits, size, s = polytope(problem, bias, geometry)
    rows, limits = np.vstack([rows, size]), np.append(limits, least * (1 + 1e-9))
    k = s // problem.d
    mean = np.kron(np.ones((k, k)) / k, np.eye(problem.d)) if k > 1 else np.zeros((s, s))
    widths = []
    for one in np.eye(s) - mean:
        goal = np.append(one, np.zeros(rows.shape[1] - s))
        ends = [
            sign * linprog(sign * goal, rows, limits, bounds=(None, None), method="highs").fun
            for sign in (1.0, -1.0)
        ]
        widths.append(ends[1] - ends[0])
    return max(widths)


@pytest.mark.parametrize(("name", "bias", "geometry"), [c for c in CASES if c[2] in LINEAR])
def test_linear_program_on_all_rows(name, bias, geometry):
    problem, svm = solved(name, bias, geometry)
    least = least_norm(problem, bias, geometry)
    assert 1 / svm.margin == pytest.approx(least, rel=SOLVER)


@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 3),
    bias=st.sampled_from(FREEDOMS),
    geometry=st.sampled_from(LINEAR),
)
@example(seed=102, classes=2, bias="free", geometry="linf")  # tied rows that no move changes
@example(seed=159, classes=3, bias="free", geometry="l1")
@settings(max_examples=8)
def test_small_integers_with_their_ties(seed, classes, bias, geometry):
    rng = np.random.default_rng(seed)
    centres = 4 * rng.integers(-2, 3, (classes, 2))
    y = np.arange(3 * classes) % classes
    problem = sc.Problem(centres[y] + rng.integers(-1, 2, (len(y), 2)), y)
    try:
        svm = sc.max_margin(problem, bias=bias, geometry=geometry)
    except sc.NotSeparableError:
        return
    least = least_norm(problem, bias, geometry)
    assert 1 / svm.margin == pytest.approx(least, rel=SOLVER)
    # optima of small integer rows are fractions: the face is a point or wider than 1/1000
    assert svm.unique is bool(widest(problem, bias, geometry, least) < 1e-4 * least)


@pytest.mark.parametrize("bias", FREEDOMS)
@pytest.mark.parametrize("name", ["four classes", "classes, d > n"])
def test_nuclear_norm_over_the_simplex(name, bias):
    # the dual, min |Z^T p|_nuclear over convex combinations p, by a first-order method
    problem, svm = solved(name, bias, "spectral")
    z = rows_of(problem, bias)
    s = problem.n_classes * problem.d
    p = cp.Variable(len(z), nonneg=True)
    forces = cp.reshape(z[:, :s].T @ p, (problem.n_classes, problem.d), order="C")
    limits = [cp.sum(p) == 1.0, z[:, s:].T @ p == 0.0]
    program = cp.Problem(cp.Minimize(cp.normNuc(forces)), limits)
    program.solve(solver=cp.SCS, eps=1e-7, max_iters=20_000)
    assert svm.margin == pytest.approx(program.value, rel=FIRST_ORDER)


# certificates


@pytest.mark.parametrize(("name", "bias", "geometry"), CASES)
def test_wrong_answers_bracket_the_margin_and_show(name, bias, geometry):
    problem, svm = solved(name, bias, geometry)
    if problem.binary and geometry == "spectral":
        return  # l2's own tests
    rng = np.random.default_rng(0)
    w = svm.w * (1 + 1e-4 * rng.standard_normal(svm.w.shape))
    alpha = svm.alpha * (1 + 0.1 * rng.random(svm.alpha.shape))
    worse = certify(problem, w, svm.b, svm.alpha, bias=bias, geometry=geometry)
    heavier = certify(problem, svm.w, svm.b, alpha, bias=bias, geometry=geometry)
    assert worse.relative_gap > 1e-9
    assert heavier.relative_gap > 1e-9 or (svm.alpha > 0).sum() == 1 + (bias == "free")
    for found in (worse, heavier):
        assert found.lower <= svm.certificate.upper
        assert found.upper >= svm.certificate.lower
        assert np.isnan(found.angle_bound)


SIMPLEX = sc.Problem(np.eye(3, dtype=int), [0, 1, 2])
LINE = sc.Problem([[-1], [2], [7]], [0, 1, 1])
KNOWN = [
    (signed([3, 4], [3, 4]), "none", "l1", 4),
    (signed([3, 4], [3, 4]), "none", "linf", 7),
    (LINE, "free", "l1", Fraction(3, 2)),
    (LINE, "free", "linf", Fraction(3, 2)),
    (SIMPLEX, "none", "l1", Fraction(1, 3)),
    (SIMPLEX, "free", "linf", 2),
    (SIMPLEX, "none", "spectral", 1),
    (SIMPLEX, "free", "spectral", 1),
]


@pytest.mark.parametrize(("problem", "bias", "geometry", "margin"), KNOWN)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([0.0, 1e-15, 1e-8, 1.0]))
@settings(max_examples=10)
def test_nothing_one_may_claim_moves_the_bounds_past_it(
    problem, bias, geometry, margin, seed, size
):
    rng = np.random.default_rng(seed)
    svm = answer(problem, bias, geometry)
    w = svm.w * (1 + size * rng.standard_normal(svm.w.shape))
    b = svm.b * (1 + size * rng.standard_normal(np.shape(svm.b)))
    alpha = np.abs(svm.alpha + size * rng.standard_normal(svm.alpha.shape))
    if not problem.binary:
        alpha[problem.own] = 0.0
    b = float(b) if problem.binary else b
    found = certify(problem, w, b, alpha, bias=bias, geometry=geometry)
    assert found.lower <= margin <= found.upper  # float against Fraction: exact


@pytest.mark.parametrize("geometry", LINEAR)
def test_unbalanced_duals_still_bound_the_free_margin(geometry):
    for row in range(3):
        found = certify(
            LINE, np.array([2 / 3]), -1 / 3, np.eye(3)[row], bias="free", geometry=geometry
        )
        assert found.upper >= 1.5


def test_norms_enclose_what_is_known_exactly():
    # a Hadamard matrix: singular values 2, nuclear norm 8; integers, so l1 and linf are exact
    hadamard = np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    known = {"l2": 4.0, "l1": 16.0, "linf": 1.0, "spectral": 2.0}
    duals = {"l2": 4.0, "l1": 1.0, "linf": 16.0, "spectral": 8.0}
    for size in (1e-200, 2.0**-20, 1.0, 2.0**300):
        for geometry, value in known.items():
            below, above = norm_bounds(size * hadamard, geometry)
            assert below <= size * value <= above
            assert above <= below * (1 + LONG_SUM)
            over = dual_norm_above(size * hadamard, np.zeros((4, 4)), geometry)
            assert size * duals[geometry] <= over <= size * duals[geometry] * (1 + LONG_SUM)
    # errors are added as the dual norm of the worst matrix within them, or more
    for geometry in known:
        worst = dual_norm(hadamard + 0.1 * np.sign(hadamard), geometry)
        assert dual_norm_above(hadamard, np.full((4, 4), 0.1), geometry) >= worst


# the edges


@pytest.mark.parametrize("geometry", OFF_L2)
def test_saved_printed_and_as_json(geometry, tmp_path):
    svm = sc.max_margin(UNIQUE[0][0] if geometry == "l1" else SIMPLEX, geometry=geometry)
    loaded = sc.MaxMargin.load(svm.save(tmp_path / "svm.npz"))
    assert loaded.to_dict() == svm.to_dict()
    assert (loaded.unique, loaded.geometry) == (svm.unique, geometry)
    assert np.isnan(loaded.certificate.angle_bound)
    found = json.loads(json.dumps(svm.to_dict(), allow_nan=False))
    assert found["unique"] is svm.unique
    assert found["certificate"]["angle_bound"] is None
    assert f"unique={svm.unique}" in repr(svm)


def test_files_from_before_load_as_unique(tmp_path, monkeypatch):
    svm = sc.max_margin(LINE)
    monkeypatch.setattr("svmconv.svm.result._LATER", {})
    path = svm.save(tmp_path / "old.npz")
    monkeypatch.undo()
    assert sc.MaxMargin.load(path).unique
    assert "unique" not in repr(svm)
