import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import optax
import pytest

import svmconv as sc
from svmconv.training.checkpoint import Checkpoints
from svmconv.training.train import train
from tests.training.networks import ADAM, Convolutional, Dense, same

DIGITS = sc.data.digits((3, 8))


def run(module, epochs, folder=None, optimizer=ADAM, **options):
    options = {"batch": 119} | options
    return train(module, DIGITS, optimizer, epochs=epochs, checkpoints=folder, **options)


@pytest.mark.parametrize("network", [lambda: Dense(64, 4, 2), Convolutional])
def test_a_continued_run_is_bit_identical(network, tmp_path):
    """Weights, batch statistics, optimizer's moments, dropout's keys and the order of rows."""
    whole, first, second = network(), network(), network()
    straight = run(whole, 5)
    run(first, 2, tmp_path)
    assert not same(first, whole)
    found = run(second, 5, tmp_path)
    assert same(second, whole)
    for name in ("log_loss", "objective", "evaluated", "evaluated_log_loss", "accuracy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(straight, name))
    assert found.final.log_loss == straight.final.log_loss
    assert len(list(tmp_path.iterdir())) == 1


def test_a_finished_run_is_not_run_again(tmp_path):
    first, second = Dense(64, 4, 2), Dense(64, 4, 2)
    run(first, 3, tmp_path)
    found = run(second, 3, tmp_path)
    assert same(first, second)
    assert np.isnan(found.images_per_second)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"batch": 99}, "batch"),
        ({"seed": 1}, "seed"),
        ({"loss": "hinge_loss"}, "network, loss or optimizer"),
        ({"optimizer": optax.adam(1e-2, b2=0.99)}, "network, loss or optimizer"),
        ({"optimizer": optax.adam(optax.linear_schedule(1e-2, 0.0, 9))}, "network, loss or opt"),
        ({"module": Dense(64, 3, 2)}, "network, loss or optimizer"),
        ({"module": Dense(64, 4, 2, seed=1)}, "start"),
    ],
)
def test_another_run_is_refused(other, what, tmp_path):
    run(Dense(64, 4, 2), 1, tmp_path)
    with pytest.raises(sc.DataError, match=f"with another {what}.*: choose another folder"):
        run(**({"module": Dense(64, 4, 2), "epochs": 2, "folder": tmp_path} | other))


def test_another_version_or_data_set_is_refused(tmp_path, monkeypatch):
    run(Dense(64, 4, 2), 1, tmp_path)
    other = sc.data.digits((4, 9))
    with pytest.raises(sc.DataError, match="another problem"):
        train(Dense(64, 4, 2), other, ADAM, epochs=2, batch=119, checkpoints=tmp_path)
    monkeypatch.setattr("svmconv.training.checkpoint.version", lambda _: "0.0")
    with pytest.raises(sc.DataError, match="another version of jax: choose another folder"):
        run(Dense(64, 4, 2), 2, tmp_path)


def test_what_is_not_ours_is_refused_and_half_written_is_removed(tmp_path):
    (tmp_path / "step-000000000001").mkdir()
    with pytest.raises(sc.DataError, match="is not a checkpoint of svmconv"):
        run(Dense(64, 4, 2), 1, tmp_path)
    (tmp_path / "step-000000000001").rmdir()
    half = tmp_path / "step-000000000002.orbax-checkpoint-tmp"
    half.mkdir()
    run(Dense(64, 4, 2), 1, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["step-000000000001"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(sc.DataError, match="could not be written"):
        run(Dense(64, 4, 2), 1, tmp_path / "file" / "folder")


def test_tracker_records_survive(tmp_path):
    def measure(x, y, weight, bias):
        return {"norm": np.linalg.norm(weight)}

    trackers = [sc.Tracker(measure) for _ in range(3)]
    run(Dense(64, 4, 2), 8, tracker=trackers[0])
    run(Dense(64, 4, 2), 4, tmp_path, tracker=trackers[1])
    run(Dense(64, 4, 2), 8, tmp_path, tracker=trackers[2])
    assert trackers[0].dataset.identical(trackers[2].dataset)


def test_saving_takes_a_small_share_of_the_time(tmp_path):
    kept = Checkpoints(tmp_path, "test", {}, SimpleNamespace(jaxpr=""), ())
    saves = []
    kept.save = lambda step, arrays: saves.append(step)
    kept.cost, kept.saved = 1.0, time.perf_counter() - 10.0
    kept.save_when_due(1, dict, spaced=True)
    assert saves == []  # 10 s of work for a save of 1 s: not yet
    kept.saved = time.perf_counter() - 30.0
    kept.save_when_due(2, dict, spaced=True)
    kept.save_when_due(3, dict, spaced=False)
    kept.saved = time.perf_counter() - 70.0
    kept.save_when_due(4, dict, spaced=False)
    assert saves == [2, 4]


LONG_RUN = """
import sys, optax, numpy as np, svmconv as sc
from svmconv.training.train import train
from tests.training.networks import Convolutional, arrays
module = Convolutional()
train(module, sc.data.digits((3, 8)), optax.adam(1e-2), epochs=EPOCHS, batch=10,
      checkpoints=sys.argv[1])
np.savez(sys.argv[2], *arrays(module))
"""


@pytest.mark.slow
def test_killed_and_run_again(tmp_path):
    """kill -9 as soon as a checkpoint lies there, twice; then the same command to its end."""
    epochs, folder = 60, tmp_path / "run"

    def command(folder, out):
        code = LONG_RUN.replace("EPOCHS", str(epochs))
        return [sys.executable, "-c", code, str(folder), str(tmp_path / out)]

    seen = set()
    for _ in range(2):
        process = subprocess.Popen(command(folder, "killed.npz"))
        while process.poll() is None:
            now = set(folder.glob("step-????????????"))
            if now - seen:
                seen |= now
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.npz").exists()
    subprocess.run(command(folder, "resumed.npz"), check=True)
    subprocess.run(command(tmp_path / "other", "whole.npz"), check=True)
    with np.load(tmp_path / "resumed.npz") as resumed, np.load(tmp_path / "whole.npz") as whole:
        assert sorted(resumed) == sorted(whole)
        assert all(np.array_equal(resumed[name], whole[name]) for name in whole)
