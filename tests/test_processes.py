"""Work spread over processes: the same results, and nothing left running whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from svmconv import CertificateError, NotSeparableError
from svmconv.processes import cores, in_processes

ASKING = """
import signal
from svmconv.processes import in_processes
from tests.test_processes import wait
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    in_processes(wait, [1, 2], 2, lambda line: print(line, flush=True))
"""


def square(x, tell):
    tell(f"squaring {x}")
    time.sleep(0.05 * (3 - x))
    return x * x


def fail(_, tell):
    raise NotSeparableError("zero", rows=np.arange(2), weights=np.ones(2) / 2, residual=0.25)


def die(_, tell):
    os._exit(3)


def seats(_, tell):
    time.sleep(1.0)  # so that the other process takes the other one
    return cores()


def wait(_, tell):
    tell(str(os.getpid()))
    time.sleep(60)


def test_results_come_in_order_and_every_line_comes_back():
    told = []
    assert in_processes(square, [0, 1, 2, 3], 2, told.append) == [0, 1, 4, 9]
    assert sorted(told) == [f"squaring {x}" for x in range(4)]


def test_an_error_comes_back_whole():
    with pytest.raises(NotSeparableError, match="zero") as caught:
        in_processes(fail, [0], 1, print)
    np.testing.assert_array_equal(caught.value.rows, [0, 1])
    assert caught.value.residual == 0.25


def test_errors_survive_copying():
    import copy

    error = copy.copy(CertificateError("words", lower=1.0, upper=2.0))
    assert (str(error), error.lower, error.upper) == ("words", 1.0, 2.0)


def test_a_process_that_dies_is_an_error_and_no_endless_wait():
    with pytest.raises(RuntimeError):
        in_processes(die, [0, 1, 2], 2, print)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_one_that_asked(kind):
    with subprocess.Popen(
        [sys.executable, "-c", ASKING],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as asking:
        assert asking.stdout is not None
        workers = [int(asking.stdout.readline()) for _ in range(2)]
        asking.send_signal(kind)
        assert asking.wait(10) != 0
    deadline = time.monotonic() + 10
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "still running"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.skipif(len(cores()) < 2, reason="needs two cores")
def test_every_process_has_cores_of_its_own():
    mine, theirs = in_processes(seats, [0, 1], 2, print)
    assert mine
    assert theirs
    assert not set(mine) & set(theirs)
    assert sorted(mine + theirs) == cores()


def test_more_processes_than_cores_share_them(monkeypatch):
    only = cores()[:1]
    monkeypatch.setattr("svmconv.processes.cores", lambda: only)
    assert in_processes(seats, [0, 1], 2, print) == [only, only]
