"""Folders that simulations write: whole ones or none."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from simulations import command
from simulations.command import all_or_nothing
from svmconv import DataError

HELD = """
import pathlib, sys, time
from simulations.command import all_or_nothing
with all_or_nothing(pathlib.Path(sys.argv[1]), ["other"]) as aside:
    print(aside, flush=True)
    time.sleep(60)
"""


def test_a_folder_appears_once_it_is_whole(tmp_path):
    with all_or_nothing(tmp_path, ["a", "b"]) as aside:
        (aside / "a" / "file").write_text("whole")
        assert not (tmp_path / "a").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert (tmp_path / "a" / "file").read_text() == "whole"


def test_a_run_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), all_or_nothing(tmp_path, ["a"]):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="exists"), all_or_nothing(tmp_path, ["a"]):
        pass


def test_what_a_killed_run_left_is_removed_and_a_running_one_is_let_be(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HELD, tmp_path], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        unfinished = other.stdout.readline().strip()
        with all_or_nothing(tmp_path, ["mine"]):
            assert unfinished in map(str, tmp_path.iterdir())
        other.kill()
    with all_or_nothing(tmp_path, ["again"]):
        assert unfinished not in map(str, tmp_path.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "again"}


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_interrupting_the_imports_is_no_traceback(seconds):
    with subprocess.Popen(
        [sys.executable, "-m", "simulations.last_layer", "--help"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        error = process.communicate()[1]
    assert error == ""


def test_interrupting_the_work_says_so(capsys):
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # as simulations/__init__.py leaves it
    try:
        assert command.finished(lambda: signal.raise_signal(signal.SIGINT)) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted" in capsys.readouterr().err
