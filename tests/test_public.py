"""The public face: names, what an import costs and changes, the example of the documentation."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import svmconv as sc

EXAMPLE = """
import svmconv as sc
problem = sc.data.planted(n=1000, d=20, n_support=12, seed=0)      # known exact SVM; sc.Problem(x, y) for your own arrays
svm     = sc.max_margin(problem, bias="none", geometry="l2")       # MaxMargin
flow    = sc.gradient_flow(problem, log_t=1e6)                     # xarray.Dataset
descent = sc.descend(problem, sc.optimizers.GD(rate=0.1), steps=10**6)
gaps    = sc.gaps(flow, svm)                                       # xarray.Dataset
const   = sc.theory.constants(problem, svm, rate=1.0)              # predictions
verdicts = sc.verify(["soudry2018-loss"])                          # list of Verdict
report  = sc.audit(features, labels, weight, bias)                 # your own last layer against the exact SVM
"""  # noqa: E501 - the text of the documentation, word for word


def in_a_fresh_interpreter(code):
    """What `code` prints, as JSON."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(sc.__file__).parents[1],
    )
    return json.loads(run.stdout)


def test_every_public_name_resolves_and_is_listed():
    for name in sc.__all__:
        assert getattr(sc, name) is getattr(sc, name)
    assert dir(sc) == sc.__all__ == sorted(set(sc.__all__))


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(sc.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [alias.asname for node in block.body for alias in getattr(node, "names", [])]
    assert sorted(seen) == sc.__all__


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'svmconv' has no attribute 'max_margins'"):
        _ = sc.max_margins  # pyright: ignore[reportAttributeAccessIssue]


def test_import_loads_nothing_heavy():
    loaded = in_a_fresh_interpreter(
        "import sys, json, svmconv; svmconv.__version__, dir(svmconv); "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    heavy = {"numpy", "scipy", "jax", "flax", "optax", "diffrax", "equinox", "cvxpy", "xarray"}
    assert "svmconv" in loaded
    assert not heavy & set(loaded)


def test_loading_every_name_changes_no_global_setting():
    changed = in_a_fresh_interpreter(
        "import json, jax, numpy as np\n"
        "before, printed = dict(jax.config.values), np.get_printoptions()\n"
        "errors, state = np.geterr(), str(np.random.get_state())\n"
        "import svmconv\n"
        "for name in svmconv.__all__: getattr(svmconv, name)\n"
        "after = jax.config.values\n"
        "changed = [k for k in after if k not in before or before[k] != after[k]]\n"
        "changed += ['numpy'] * (printed != np.get_printoptions() or errors != np.geterr())\n"
        "changed += ['random'] * (state != str(np.random.get_state()))\n"
        "print(json.dumps(changed))"
    )
    assert changed == []


@pytest.mark.slow  # a million steps on 1000 x 20 rows
def test_the_example_runs_as_written():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.standard_normal((60, 5)) + 6.0 * np.eye(3, 5)[labels]
    names = {
        "features": features,
        "labels": labels,
        "weight": 3.0 * np.eye(3, 5),
        "bias": np.zeros(3),
    }
    exec(EXAMPLE, names)
    truth = names["problem"].truth
    assert isinstance(names["svm"], sc.MaxMargin)
    np.testing.assert_allclose(names["svm"].w, truth.w, atol=1e-10)
    for name in ("flow", "descent", "gaps"):
        assert isinstance(names[name], xr.Dataset)
        assert all(isinstance(v.data, np.ndarray) for v in names[name].variables.values())
    assert float(names["flow"].log1p_t[-1]) == 1e6
    assert int(names["descent"].step[-1]) == 10**6
    # |v_bar| and w_out are of order one, |w| is 1e6
    assert 0 < float(names["gaps"].angle[-1]) < 1e-5
    np.testing.assert_allclose(names["const"].alpha, truth.alpha, atol=1e-8)
    assert [verdict.verdict for verdict in names["verdicts"]] == ["holds"]
    assert names["report"].errors == 0
