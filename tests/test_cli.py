import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from svmconv import cli, problem
from svmconv.cli import arguments, commands
from svmconv.errors import CertificateError, DivergedError
from svmconv.svm.result import MaxMargin
from svmconv.theory import verify
from tests import fakes

REAL = verify.claims
HEAVY = ("jax", "numpy", "cvxpy", "xarray", "rich", "matplotlib")


@pytest.fixture(autouse=True)
def claims(monkeypatch):
    """Fake claims in the place of the real ones; the test may replace their cases."""
    known = {
        "good-claim": fakes.claim(
            "good-claim",
            (fakes.measurement(curves=fakes.curve()), "holds"),
            (fakes.HARD, "undecided"),
        ),
        "missed-control": fakes.claim(
            "missed-control", (fakes.measurement(control=fakes.MISSED), "holds")
        ),
    }
    monkeypatch.setattr(verify, "claims", lambda: known)
    # Another process would know the real ones only.
    monkeypatch.setattr(commands, "_processes", lambda: 1)
    return known


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with rows that only an intercept separates well."""
    monkeypatch.chdir(tmp_path)
    x = np.array([[1.0, 0.0], [3.0, 1.0], [-1.0, 0.5], [-2.0, 0.0]])
    np.savez("ok.npz", x=x, y=np.array([1, 1, 0, 0]))
    np.savez("shift.npz", x=x * [1.0, 0.0] + [10.0, 0.0], y=np.array([1, 1, 0, 0]))
    return tmp_path


def run(capsys, *argv):
    """Exit status, standard output, standard error."""
    status = cli.main(argv)
    out, err = capsys.readouterr()
    return status, out, err


def sentence(err):
    """The one line of an error."""
    assert err.startswith("svmconv: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


# verify


def test_status_follows_the_verdicts(capsys):
    status, out, err = run(capsys, "verify", "good-claim")
    assert status == 0
    assert "1 claim: 1 hold" in out
    assert err == "1/2  good-claim 1/2\n2/2  good-claim 2/2\n"  # plain text in a log
    assert run(capsys, "verify", "missed-control")[0] == 1
    status, out, _ = run(capsys, "verify")
    assert status == 1
    assert "2 claims" in out
    assert (
        run(capsys, "verify", "--all")[1].split("seconds")[-1].split("; ")[:3]
        == (out.split("seconds")[-1].split("; ")[:3])
    )


def test_an_unexpected_verdict_is_status_1(capsys, claims):
    claims["good-claim"] = fakes.claim("good-claim", (fakes.measurement(fakes.UNDECIDED), "holds"))
    assert run(capsys, "verify", "good-claim")[0] == 1


def test_verify_writes_what_it_is_asked_for(capsys, here):
    argv = ("verify", "good-claim", "--json", "v.json", "--report", "site")
    assert run(capsys, *argv)[0] == 0
    found = json.loads((here / "v.json").read_text())
    assert [claim["id"] for claim in found["claims"]] == ["good-claim"]
    assert (here / "site" / "index.html").exists()
    assert (here / "site" / "good-claim.png").exists()


@pytest.mark.parametrize("option", ["--json", "--report"])
@pytest.mark.parametrize(("name", "why"), [("ok.npz", "exists"), ("no/such", "not a folder")])
def test_outputs_are_checked_before_the_run(capsys, here, monkeypatch, option, name, why):
    monkeypatch.setattr(verify, "verify", lambda *a, **k: pytest.fail("the run was started"))
    before = (here / "ok.npz").read_bytes()
    status, out, err = run(capsys, "verify", option, name)
    assert (status, out) == (2, "")
    assert why in sentence(err)
    assert (here / "ok.npz").read_bytes() == before


def test_one_name_for_two_outputs(capsys, here):
    status, _, err = run(capsys, "verify", "--json", "a", "--report", "./a")
    assert status == 2
    assert "two names" in sentence(err)


def test_ids_and_all(capsys):
    status, _, err = run(capsys, "verify", "good-claim", "--all")
    assert status == 2
    assert "not both" in sentence(err)


# slips


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["verify", "good-clam"], "did you mean 'good-claim'"),
        (["vrify"], "did you mean 'verify'"),
        (["verify", "--jsn", "x"], "did you mean '--json'"),
        (["verify", "--repor=x"], "did you mean '--report'"),
        (["solve", "--bais", "free", "ok.npz"], "did you mean '--bias'"),
        (["solve", "ok.npz", "--bias", "augmentd"], "did you mean 'augmented'"),
        (["solve", "ok.npz", "--geometry", "linfty"], "did you mean 'linf'"),
        (["solve", "ok.npz", "--bias-scale", "one"], "is not a number"),
        (["solve", "ok.npz", "--bias", "augmented", "--bias-scale", "-1"], "positive"),
        (["solve", "ok.npz", "--bias", "augmented", "--bias-scale", "nan"], "positive"),
        (["solve", "ok.npz", "--bias-scale", "2"], "acts on --bias augmented only"),
        (["solve", "ok.npz", "--out", "svm.txt"], "must end in .npz"),
        (["solve", "ok.npz", "more"], "more"),
        (["solve"], "FILE.npz"),
        ([], "COMMAND"),
        (["--versio"], "did you mean '--version'"),
        (["-q"], "did you mean '-h'"),
    ],
)
def test_slips_are_answered_with_the_nearest(capsys, here, argv, said):
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert said in sentence(err)


def test_choices_are_those_of_the_package():
    assert get_args(problem.Bias) == arguments.BIASES
    assert get_args(problem.Geometry) == arguments.GEOMETRIES


# solve and its files


def test_solve_prints_and_saves_the_exact_svm(capsys, here):
    # the closest points of the two hulls are (1, 0) and the segment's foot: x1 = 1 against x1 = -1
    status, out, _ = run(capsys, "solve", "ok.npz", "--bias", "free", "--out", "svm.npz")
    assert status == 0
    svm = MaxMargin.load(here / "svm.npz")
    assert svm.bias == "free"
    assert f"{svm.margin:.12g}" in out.replace("\n", " ")
    kept = (here / "svm.npz").read_bytes()
    status, _, err = run(capsys, "solve", "ok.npz", "--out", "svm.npz")
    assert status == 2
    assert "exists" in sentence(err)
    assert (here / "svm.npz").read_bytes() == kept


@pytest.mark.parametrize(
    ("geometry", "said"),
    # of two classes the spectral norm is l2
    [("l1", "unique; its angle is not certified"), ("spectral", "rad of the exact one")],
)
def test_geometry_reaches_the_solver(capsys, here, geometry, said):
    status, out, _ = run(capsys, "solve", "ok.npz", "--geometry", geometry, "--out", "svm.npz")
    assert status == 0
    svm = MaxMargin.load(here / "svm.npz")
    assert svm.geometry == geometry
    assert (said if svm.unique else "one of many optima") in out


def test_bias_scale_reaches_the_solver(capsys, here):
    argv = ("solve", "ok.npz", "--bias", "augmented", "--bias-scale", "1e2", "--out", "svm.npz")
    assert run(capsys, *argv)[0] == 0
    assert MaxMargin.load(here / "svm.npz").bias_scale == 100.0


def test_not_separable_is_bad_input(capsys, here):
    status, out, err = run(capsys, "solve", "shift.npz", "--out", "svm.npz")
    assert (status, out) == (2, "")
    assert "augmented" in sentence(err)
    assert "free" in err
    assert not (here / "svm.npz").exists()


def damaged(folder):
    """Name -> what the sentence must say."""
    good = (folder / "ok.npz").read_bytes()
    y = np.array([0, 1])
    np.savez(folder / "no_x.npz", y=y, X=np.eye(2))
    np.savez(folder / "no_arrays.npz")
    np.savez(folder / "pickled.npz", x=np.array([{}, 1], dtype=object), y=y)
    np.savez(folder / "nan.npz", x=np.full((2, 2), np.nan), y=y)
    np.savez(folder / "short.npz", x=np.eye(3), y=y)
    np.savez(folder / "flat.npz", x=np.ones(2), y=y)
    (folder / "cut.npz").write_bytes(good[: len(good) // 2])
    (folder / "text.npz").write_text("x,y\n1,2\n")
    (folder / "empty.npz").write_bytes(b"")
    (folder / "bit.npz").write_bytes(good[:190] + bytes([good[190] ^ 255]) + good[191:])
    np.save(folder / "array.npy", np.eye(2))
    (folder / "array.npy").rename(folder / "single.npz")
    (folder / "text.safetensors").write_text("x,y\n1,2\n")
    (folder / "table.csv").write_text("1,2")
    (folder / "folder.npz").mkdir()
    return {
        "no_x.npz": "no array x (it holds y, X)",
        "no_arrays.npz": "no array x, y (it holds none)",
        "pickled.npz": "pickled",
        "nan.npz": "NaN",
        "short.npz": "they must match",
        "flat.npz": "two-dimensional",
        "cut.npz": "not an npz file, or is cut short",
        "text.npz": "not an npz file",
        "empty.npz": "not an npz file",
        "bit.npz": "damaged",
        "single.npz": "not an npz file",
        "text.safetensors": "not a safetensors file",
        "table.csv": "must end in .npz or .safetensors",
        "folder.npz": "is a folder",
        "absent.npz": "no such file",
    }


def test_every_bad_file_is_one_sentence(capsys, here):
    for name, said in damaged(here).items():
        status, out, err = run(capsys, "solve", name, "--out", "svm.npz")
        assert (status, out) == (2, ""), name
        assert said in sentence(err), name
        assert not (here / "svm.npz").exists(), name


def test_safetensors_give_the_same_svm(capsys, here):
    from safetensors.numpy import save_file

    with np.load("ok.npz") as arrays:
        save_file(dict(arrays), "ok.safetensors")
    of_npz = run(capsys, "solve", "ok.npz")[1].splitlines()[1:]
    assert run(capsys, "solve", "ok.safetensors")[1].splitlines()[1:] == of_npz


def test_audit_hands_over_the_arrays(capsys, here, monkeypatch):
    import types

    audit = types.ModuleType("svmconv.measures.audit")
    audit.audit = lambda x, y, w, b: f"{x.shape} {y.shape} {w.shape} {b}"  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "svmconv.measures.audit", audit)
    with np.load("ok.npz") as arrays:
        np.savez("layer.npz", w=np.ones(2), **arrays)
        np.savez("bias.npz", w=np.ones(2), b=np.array(0.5), **arrays)
    assert run(capsys, "audit", "layer.npz") == (0, "(4, 2) (4,) (2,) None\n", "")
    assert run(capsys, "audit", "bias.npz")[1] == "(4, 2) (4,) (2,) 0.5\n"
    status, _, err = run(capsys, "audit", "ok.npz")
    assert status == 2
    assert "no array w" in sentence(err)


def test_audit_reports_features_that_nothing_separates(capsys, here):
    np.savez("layer.npz", x=[[0.0], [1.0], [2.0]], y=[0, 1, 0], w=[1.0], b=0.5)
    status, out, err = run(capsys, "audit", "layer.npz")
    assert (status, err) == (0, "")
    assert "a convex combination of 3 signed rows is zero" in out


# other ends


def test_list_gives_the_papers(capsys):
    status, out, _ = run(capsys, "list", "--bibtex")
    assert status == 0
    assert out.startswith("@article{soudry2018,")
    assert out.count("@") > 10


def test_list_names_everything(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    for name in ("good-claim", "missed-control", "planted", "digits", "MLP", "GD", "HeavyBall"):
        assert name in out
    assert "Optimizer " not in out


def test_list_has_every_method_and_every_real_claim_with_a_line(capsys, monkeypatch):
    monkeypatch.setattr(verify, "claims", REAL)
    monkeypatch.setenv("COLUMNS", "400")
    status, out, _ = run(capsys, "list")
    assert status == 0
    entries = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    methods = {"GD", "SGD", "HeavyBall", "NormalizedGD", "DualAcceleration", "SignDescent",
               "CoordinateDescent", "Spectral", "Adam"}  # fmt: skip
    assert methods | set(REAL()) <= set(entries)
    assert all(len(entries[name]) > 3 for name in methods | set(REAL()))
    assert not {"Optimizer", "Scheduled"} & set(entries)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CertificateError("bounds 1 and 2 are too far apart", lower=1.0, upper=2.0), 3),
        (DivergedError("the descent left the finite numbers"), 1),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device"), 2),
    ],
)
def test_status_of_each_error(capsys, monkeypatch, error, status):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(verify, "verify", fail)
    found, out, err = run(capsys, "verify")
    assert (found, out) == (status, "")
    sentence(err)


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(verify, "verify", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["verify"])


def test_warnings_are_one_line(capsys, monkeypatch):
    import warnings

    def warn(*args, **kwargs):
        warnings.warn("the transpose fits better", UserWarning, stacklevel=1)
        return []

    monkeypatch.setattr(verify, "verify", warn)
    warnings.simplefilter("default")
    assert "svmconv: warning: the transpose fits better\n" in run(capsys, "verify")[2]


def test_progress_keeps_out_of_the_table(capsys):
    out, err = run(capsys, "verify", "good-claim")[1:]
    assert err.splitlines() == ["1/2  good-claim 1/2", "2/2  good-claim 2/2"]
    assert "1/2  good-claim" not in out


def python(*argv, **kwargs):
    """A new interpreter that finds this svmconv from any folder."""
    path = str(Path(cli.__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, *argv],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from svmconv.cli import main; main(['--help']); main(['verify', '--help']); "
        f"print('loaded', [m for m in {HEAVY} if m in sys.modules])"
    )
    out, err = python("-c", code, stdout=subprocess.PIPE).communicate(timeout=300)
    assert err == ""
    assert "--report" in out
    assert out.splitlines()[-1] == "loaded []"


def test_a_closed_pipe_is_quiet(here):
    # unbuffered, argparse itself swallows the error of --help and leaves with 0
    for argv, statuses in ((["--help"], {0, 141}), (["solve", "ok.npz"], {141})):
        read, write = os.pipe()
        os.close(read)
        process = python("-m", "svmconv.cli", *argv, stdout=write)
        os.close(write)
        _, err = process.communicate(timeout=300)
        assert err == ""
        assert process.returncode in statuses


def test_colour_only_where_wanted(capsys, monkeypatch):
    colour = re.compile("\x1b\\[[0-9;]*3[0-7]m")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert "\x1b" not in run(capsys, "verify")[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert colour.search(run(capsys, "verify")[1])
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(run(capsys, "verify")[1])


SWEEP = ("sweep", "--n", "20", "--d", "2", "--optimizer", "gd", "--steps", "1e2", "--seeds", "3")


@pytest.fixture
def _two_cores(monkeypatch):
    """As many as the tests gave JAX."""
    monkeypatch.setattr("svmconv.devices.cores", lambda: [0, 1])
    monkeypatch.setenv("XLA_FLAGS", "")


@pytest.mark.usefixtures("here", "_two_cores")
def test_sweep_writes_one_file_and_counts_what_came_out(capsys):
    status, out, err = run(capsys, *SWEEP, "--rate", ".1", "1", "--out", "a.nc")
    assert status == 0, err
    assert out == "a.nc: 6 runs\n  6 ok\n"
    assert "6 runs, about" in err
    before = Path("a.nc").read_bytes()
    assert run(capsys, *SWEEP, "--rate", ".1", "1", "--out", "a.nc")[0] == 0
    status, _, err = run(capsys, *SWEEP, "--out", "a.nc")
    assert status == 2
    assert "rate" in sentence(err)
    assert Path("a.nc").read_bytes() == before


@pytest.mark.usefixtures("here", "_two_cores")
def test_sweep_follows_the_flow_too(capsys):
    status, out, err = run(
        capsys, "sweep", "--data", "moons", "--n", "20", "--flow", "--log-t", "10", "--out", "m.nc"
    )
    assert status == 1, err  # nothing came out well
    assert out.startswith("m.nc: 1 runs\n  1 not separable, the first: ")


@pytest.mark.usefixtures("here", "_two_cores")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--margn", ".1", "--out", "a.nc"], "did you mean '--margin'"),
        (["--data", "half_space", "--flow", "--log-t", "1", "--out", "a.nc"], "'half_spaces'"),
        (["--optimizer", "gdd", "--steps", "10", "--out", "a.nc"], "did you mean 'gd'"),
        (["--flow", "--out", "a.nc"], "--flow and --log-t go together"),
        (["--log-t", "1", "--out", "a.nc"], "--flow and --log-t go together"),
        (["--out", "a.nc"], "give steps"),
        (["--n", "--flow", "--log-t", "1", "--out", "a.nc"], "expected at least one argument"),
        (["--optimizer", "gd", "--steps", "1", "--seeds", "1e12", "--out", "a.nc"], "give --yes"),
        (["--flow", "--log-t", "1", "--out", "a.npz"], "must end in .nc"),
        (["--flow", "--log-t", "1", "--out", "no/a.nc"], "is not a folder"),
    ],
)
def test_sweeps_that_cannot_be(capsys, words, message):
    status, out, err = run(capsys, "sweep", *words)
    assert (status, out) == (2, "")
    assert message in sentence(err)
    assert not list(Path().glob("a.n*"))


def test_grid_flags_are_the_fields_of_a_grid():
    from dataclasses import fields

    from svmconv.sweep import Grid

    flags = {*arguments.SEVERAL, *arguments._SINGLE}
    assert flags == {field.name for field in fields(Grid)}
