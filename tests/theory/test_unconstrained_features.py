"""Free features, with weight decay and without: closed forms, certificates, and tampered runs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from svmconv.theory import ji2022, zhu2021
from svmconv.theory.claim import CaseVerdict
from svmconv.theory.ji2022 import Classes
from svmconv.theory.ji2022_descent import descend
from svmconv.theory.zhu2021 import Found, Setting
from tests.tolerances import EPS, LONG_SUM, ROUNDING

PAPER = Setting(4, 5, 6, 5e-3, 5e-4)
SMALL = Setting(3, 4, 3, 2e-2, 1e-2)
BRACKET = 1e-7
"""A minimum found by values alone: the root of rounding, relative."""
CASES = [case for module in (zhu2021, ji2022) for claim in module.CLAIMS for case in claim.cases]


@pytest.mark.parametrize("case", CASES)
def test_every_case_holds_and_refutes_its_control(case):
    found = CaseVerdict(case.measure(), case.expected)
    assert found.verdict == "holds"
    assert found.as_expected


def verdict(measurement):
    return CaseVerdict(measurement, "holds").verdict


# --- with decay ----------------------------------------------------------------------------------


def test_objective_and_length_as_written_down():
    assert PAPER.value(PAPER.simplex) == pytest.approx(0.0704232619, abs=1e-10)
    assert PAPER.size(PAPER.simplex) == pytest.approx(2.98800, abs=1e-5)


@pytest.mark.parametrize("s", [PAPER, SMALL, Setting(10, 2, 9, 1e-3, 1e-2)])
def test_the_length_is_the_least_point_of_the_function_of_one_variable(s):
    gain = s.k / (s.k - 1) * np.sqrt(s.l_w / (s.n * s.l_h))
    found = minimize_scalar(
        lambda x: np.log1p((s.k - 1) * np.exp(-gain * x)) + s.k * s.l_w * x, bounds=(0, 30)
    )
    assert s.size(s.simplex) == pytest.approx(found.x, rel=1e-4)
    assert s.value(s.simplex) == pytest.approx(found.fun, rel=BRACKET)


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_the_threshold_is_where_the_length_vanishes(factor):
    decay = factor / (4 * np.sqrt(5))
    s = Setting(4, 5, 6, decay, decay)
    assert s.threshold == pytest.approx(factor, rel=ROUNDING)
    assert (s.size(s.simplex) > 0.0) == (factor < 1.0)


def simplex(s):
    """The optimum in closed form, W (K, K) and H."""
    w = np.sqrt(s.size(s.simplex) * s.k / (s.k - 1)) * (np.eye(s.k) - 1 / s.k)
    return Found(s, w, s.ratio * w.T.repeat(s.n, 1))


@pytest.mark.parametrize("s", [PAPER, SMALL])
def test_the_closed_form_has_no_gap_and_the_errors_of_rounding(s):
    best = simplex(s)
    assert best.objective == pytest.approx(s.value(s.simplex), rel=ROUNDING)
    assert best.gap < 64 * EPS * s.k
    assert best.unlike < 64 * EPS


@pytest.mark.parametrize("away", [1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("seed", range(4))
def test_the_certificate_covers_how_far_any_point_is_from_the_best(away, seed):
    best, rng = simplex(SMALL), np.random.default_rng(seed)
    w = best.w + away * rng.standard_normal(best.w.shape)
    h = best.h + away * rng.standard_normal(best.h.shape)
    found = Found(SMALL, w, h)
    assert found.objective - best.objective <= found.gap
    assert np.linalg.norm(w @ h - best.w @ best.h) <= found.error
    assert np.linalg.norm(w @ w.T - best.w @ best.w.T) <= found.gram_error
    assert found.unlike <= found.unlike_error


def test_the_lower_bound_is_one_at_random_points_too():
    rng = np.random.default_rng(0)
    for scale in (0.1, 1.0, 3.0):
        w, h = scale * rng.standard_normal((3, 3)), scale * rng.standard_normal((3, 12))
        found = Found(SMALL, w, h)
        assert found.objective - found.gap <= SMALL.value(SMALL.simplex)


def other(change, monkeypatch):
    right = zhu2021.least
    monkeypatch.setattr(zhu2021, "least", lambda s, seed: right(replace(s, **change(s)), seed))


@pytest.mark.parametrize("what", ["l_w", "l_h"])
def test_another_decay_is_contradicted(what, monkeypatch):
    other(lambda s: {what: 1.001 * getattr(s, what)}, monkeypatch)
    assert verdict(zhu2021.collapse(SMALL)) == "contradicted"


def test_too_few_dimensions_for_a_simplex_do_not_hold(monkeypatch):
    other(lambda _: {"d": 2}, monkeypatch)
    assert verdict(zhu2021.collapse(PAPER)) != "holds"


def test_descent_that_has_not_arrived_does_not_hold(monkeypatch):
    monkeypatch.setattr(zhu2021, "STEPS", 300)
    assert verdict(zhu2021.collapse(PAPER)) != "holds"


def test_features_below_the_threshold_are_not_called_zero(monkeypatch):
    monkeypatch.setattr(zhu2021, "STEPS", 2000)
    assert verdict(zhu2021.vanishing(Setting(4, 5, 6, 0.1, 0.1))) != "holds"
    other(lambda _: {"l_w": 0.1, "l_h": 0.1}, monkeypatch)
    assert verdict(zhu2021.vanishing(Setting(4, 5, 6, 0.12, 0.12))) == "contradicted"


# --- without decay -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "value"),
    [((4, 4), 2.0), ((2, 2, 2), 2.828427), ((3,) * 4, 5.196152), ((4,) * 5, 8.0),
     ((5, 5, 1), 3.763593)],
)  # fmt: skip
def test_nuclear_norms_as_written_down(sizes, value):
    classes = Classes(sizes)
    assert classes.value == pytest.approx(value, abs=1e-6)
    assert classes.value == pytest.approx(np.linalg.norm(classes.best, "nuc"), rel=ROUNDING)


@pytest.mark.parametrize("seed", range(20))
def test_duals_of_classes_of_any_sizes_certify_the_same_logits(seed):
    """Feasible, of the same value, and zero nowhere: by hand, without a solver."""
    rng = np.random.default_rng(seed)
    classes = Classes(tuple(rng.integers(1, 30, size=rng.integers(2, 9)).tolist()))
    assert classes.margins(classes.best) == pytest.approx(1.0, abs=ROUNDING)
    alpha = np.where(classes.own, 0.0, -classes.power(-0.5)[:, classes.y])
    assert alpha[~classes.own].min() > 0.0
    d = classes.own * alpha.sum(axis=0) - alpha
    assert np.linalg.norm(d, 2) <= 1.0 + LONG_SUM
    assert alpha.sum() == pytest.approx(classes.value, rel=LONG_SUM)


def test_the_solver_knows_nothing_of_the_closed_form(monkeypatch):
    """Beside the value of other sizes it is contradicted."""
    right = ji2022.smallest
    monkeypatch.setattr(ji2022, "smallest", lambda _: right(Classes((5, 4, 2))))
    assert verdict(ji2022.program(Classes((5, 5, 1)))) == "contradicted"


@pytest.mark.parametrize("factor", [1 - 1e-5, 1 + 1e-5])
def test_another_norm_of_the_program_is_contradicted(factor, monkeypatch):
    right = ji2022.smallest

    def wrong(classes):
        found = right(classes)
        return replace(found, upper=factor * found.upper, lower=factor * found.lower)

    monkeypatch.setattr(ji2022, "smallest", wrong)
    assert verdict(ji2022.program(Classes((5, 5, 1)))) == "contradicted"


def test_margins_that_are_not_equal_are_contradicted(monkeypatch):
    right = ji2022.smallest

    def wrong(classes):
        found = right(classes)
        z = found.z.copy()
        z[0, 0] += 1e-4
        return replace(found, z=z)

    monkeypatch.setattr(ji2022, "smallest", wrong)
    assert verdict(ji2022.program(Classes((3, 3, 3, 3)))) == "contradicted"


def test_descent_follows_the_gradient_of_the_logarithm_of_the_loss():
    own = Classes((2, 1, 2)).own
    before, after = (descend(own, 3, 0, steps, 1e-6, 0.7) for steps in (1, 2))

    def log_loss(w, h):
        z = w @ h
        return np.log(np.mean(np.logaddexp.reduce(z, axis=0) - z[own.argmax(0), np.arange(5)]))

    w, h = before[:2]
    step = 1e-6 / max(1.0, -log_loss(w, h))
    for i, j in ((0, 0), (2, 1)):
        e = np.zeros_like(w)
        e[i, j] = 1e-6
        slope = (log_loss(w + e, h) - log_loss(w - e, h)) / 2e-6
        assert (after[0] - w)[i, j] / step == pytest.approx(-slope, rel=1e-4, abs=1e-7)


@pytest.fixture(scope="module")
def run():
    return descend(Classes((5, 5, 1)).own, 4, 0, 6000, 0.25, 0.1)


def judged(monkeypatch, run):
    monkeypatch.setattr(ji2022, "descend", lambda *_: run)
    return verdict(ji2022.trained(Classes((5, 5, 1)), 4))


def test_margins_that_grow_at_another_speed_are_contradicted(run, monkeypatch):
    w, h, size, margin = run
    assert judged(monkeypatch, run) == "holds"
    assert judged(monkeypatch, (w, h, size, 0.9995 * margin)) == "contradicted"


def test_weights_of_another_shape_do_not_hold(run, monkeypatch):
    w, h, size, margin = run
    turned = w * np.array([[1.0], [1.0], [1.2]])
    assert judged(monkeypatch, (turned, h, size, margin)) != "holds"


def test_a_simplex_is_not_refuted_by_equal_classes():
    """The hypothesis that is a control for unequal classes is the truth for equal ones."""
    gram = Classes((3, 3, 3)).power(0.5)
    plain = np.eye(3) - 1 / 3
    assert ji2022.apart([gram], plain * np.sqrt(3), gram, 1e-9).verdict == "holds"
