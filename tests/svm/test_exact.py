"""Certificates against optima in rational arithmetic: random integer rows, every K and bias.

The exact optimum is solved from the KKT conditions on the support that max_margin names, and then
proven on all rows, in fractions: nothing of it rests on float64 or on the package.
"""

import math
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svmconv as sc
from svmconv.problem import Bias
from svmconv.svm.certificate import certify
from svmconv.svm.direction import direction_bound

BIASES: tuple[Bias, ...] = ("none", "augmented", "free")


def pairs(problem):
    """Every constraint as (row, coefficients over classes): e_y - e_k, or the sign."""
    if problem.binary:
        return [(n, (2 * int(y) - 1,)) for n, y in enumerate(problem.index)]
    k = problem.n_classes
    return [
        (n, tuple(int(j == y) - int(j == rival) for j in range(k)))
        for n, y in enumerate(problem.index)
        for rival in range(k)
        if rival != y
    ]


def solved(matrix, right):
    """The solution of a square system of fractions, by Gauss and Jordan; 0 at free unknowns."""
    rows = [[*row, r] for row, r in zip(matrix, right, strict=True)]
    columns = []
    for j in range(len(right)):
        i = len(columns)
        pivot = next((m for m in range(i, len(rows)) if rows[m][j]), None)
        if pivot is None:
            continue
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][j] for v in rows[i]]
        for m, row in enumerate(rows):
            if m != i and row[j]:
                rows[m] = [a - row[j] * b for a, b in zip(row, rows[i], strict=True)]
        columns.append(j)
    found = [Fraction(0)] * len(right)
    for i, j in enumerate(columns):
        found[j] = rows[i][-1]
    return found


class Exact:
    """The optimum of a problem with integer rows: duals, classes x features weights, margin^2."""

    def __init__(self, problem, bias, c, support):
        x = [[Fraction(int(v)) for v in row] for row in problem.x]
        every = pairs(problem)
        kernel = [
            [sum(p * q for p, q in zip(s, t, strict=True))
             * (sum(p * q for p, q in zip(x[n], x[m], strict=True)) + c * (bias == "augmented"))
             for m, t in every]
            for n, s in every
        ]  # fmt: skip
        free = len(every[0][1]) if bias == "free" else 0
        edge = [[Fraction(v) for v in s[:free]] for _, s in every]
        block = [[kernel[i][j] for j in support] + edge[i] for i in support]
        block += [[edge[i][q] for i in support] + [Fraction(0)] * free for q in range(free)]
        ones = [Fraction(1)] * len(support) + [Fraction(0)] * free
        answer = solved(block, ones)
        self.alpha = dict(zip(support, answer, strict=False))
        u = answer[len(support) :]
        margins = [
            sum(kernel[i][j] * a for j, a in self.alpha.items())
            + sum(p * q for p, q in zip(edge[i], u, strict=True))
            for i in range(len(every))
        ]
        # the KKT conditions: this IS the optimum
        assert all(a >= 0 for a in self.alpha.values())
        assert min(margins) == 1
        assert all(margins[i] == 1 for i, a in self.alpha.items() if a)
        for q in range(free):
            assert sum(edge[i][q] * a for i, a in self.alpha.items()) == 0
        self.squared = 1 / sum(self.alpha.values())
        self.weights = [
            [sum(a * every[i][1][k] * column for i, a in self.alpha.items()
                 for column in [([*x[every[i][0]], Fraction(1)])[j]])
             for j in range(problem.d + 1)]
            for k in range(len(every[0][1]))
        ]  # fmt: skip


def integers(seed, classes, bias):
    """A separable problem of small integer rows, far from symmetric."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1 if bias != "none" and classes == 2 else 2, 5))
    centres = rng.integers(-40, 41, (classes, d))
    y = np.arange(3 * classes) % classes
    x = centres[y] + rng.integers(-4, 5, (len(y), d))
    return sc.Problem(x * int(rng.choice([1, 3, 1000])), y)


@cache
def optimum(seed, classes, bias, c=4.0):
    """(problem, answer, exact answer), or None where the rows are not separable."""
    problem = integers(seed, classes, bias)
    try:
        svm = sc.max_margin(problem, bias=bias, bias_scale=c)
    except sc.NotSeparableError:
        return None
    flat = svm.alpha.ravel() if problem.binary else svm.alpha[~problem.own]
    support = np.flatnonzero(flat).tolist()
    return problem, svm, Exact(problem, bias, Fraction(c), support)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("classes", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_the_certificate_encloses_the_exact_margin(classes, bias):
    separable = 0
    for seed in range(12):
        found = optimum(seed, classes, bias)
        if found is None:
            continue
        separable += 1
        _, svm, exact = found
        lower, upper = Fraction(svm.certificate.lower), Fraction(svm.certificate.upper)
        assert lower > 0
        assert lower**2 <= exact.squared <= upper**2
        assert svm.certificate.relative_gap <= 1e-12
        assert svm.margin == pytest.approx(math.sqrt(exact.squared), rel=1e-12)
    assert separable >= 6


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("classes", [2, 3])
@given(seed=st.integers(0, 400), size=st.sampled_from([1e-14, 1e-9, 1e-4, 1.0]))
@settings(max_examples=25)
def test_nothing_one_may_claim_moves_the_bounds_past_it(classes, bias, seed, size):
    """Any weights, any duals: lopsided, sparse, of sizes that differ by 1e8."""
    found = optimum(seed % 12, classes, bias)
    if found is None:
        return
    problem, svm, exact = found
    rng = np.random.default_rng(seed)
    w = svm.w * (1 + size * rng.standard_normal(svm.w.shape))
    b = svm.b * (1 + size * rng.standard_normal(np.shape(svm.b)))
    b = float(b) if problem.binary else b
    alpha = svm.alpha * (1 + size * rng.standard_normal(svm.alpha.shape))
    alpha += size * rng.random(svm.alpha.shape) * 10.0 ** rng.integers(-8, 1, svm.alpha.shape)
    alpha *= rng.random(svm.alpha.shape) < rng.choice([0.3, 1.0])
    alpha = np.abs(alpha)
    if not problem.binary:
        alpha[problem.own] = 0.0
    bounds = certify(problem, w, b, alpha, bias=bias, bias_scale=4.0)
    assert bounds.lower < 0 or Fraction(bounds.lower) ** 2 <= exact.squared
    assert bounds.upper == math.inf or exact.squared <= Fraction(bounds.upper) ** 2


@pytest.mark.parametrize("bias", ["none", "augmented"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("size", [0.0, 1e-13, 1e-9, 1e-5])
def test_no_direction_is_certified_below_its_true_angle(classes, bias, size):
    closed = 0
    for seed in range(12):
        found = optimum(seed, classes, bias)
        if found is None:
            continue
        problem, svm, exact = found
        rng = np.random.default_rng(seed)
        v = svm.w_aug * (1 + size * rng.standard_normal(svm.w_aug.shape))
        bound = direction_bound(problem, v, svm.alpha, bias=bias, bias_scale=4.0)
        closed += bound < math.pi
        best = [row[:-1] + [2 * row[-1]] * (bias == "augmented") for row in exact.weights]
        best = [value for row in best for value in row]
        given_ = [Fraction(value) for value in v.ravel().tolist()]
        dot, ours, theirs = (
            sum(p * q for p, q in zip(s, t, strict=True))
            for s, t in ((given_, best), (given_, given_), (best, best))
        )
        assert dot > 0
        squared_sine = 1 - dot**2 / (ours * theirs)
        assert bound == math.pi or squared_sine <= Fraction(math.sin(bound)) ** 2 * (1 + 8 * 2**-52)
    assert closed >= 3 or size == 1e-5


def test_the_oracle_refuses_a_wrong_support():
    # negative control: a support that is not the SVM's fails its own KKT conditions
    problem = sc.Problem([[3, 1], [1, 3], [-2, -1], [-1, -4]], [1, 1, 0, 0])
    assert Exact(problem, "none", Fraction(1), [1, 2]).squared == 5
    for wrong in pairwise([0, 1, 3]):
        with pytest.raises(AssertionError):
            Exact(problem, "none", Fraction(1), list(wrong))
