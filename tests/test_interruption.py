import os
import signal
import subprocess
import sys
import threading

import pytest

from svmconv.interruption import finishing


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """Also where the tests themselves run in the background of a script, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_the_end_of_the_block():
    done = []

    def work():
        with finishing():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_nothing_happens():
    with finishing():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_inside_is_raised_and_ctrl_c_works_again():
    with pytest.raises(ValueError, match="inside"), finishing():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_may_use_it():
    ran = []

    def work():
        with finishing():
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran


@pytest.mark.slow
def test_ctrl_c_within_the_garbage_collector_comes_again():
    """JAX has a callback there, and what it raises can go nowhere."""
    script = (
        "import gc, signal, time\n"
        "from svmconv.interruption import heard_everywhere\n"
        "heard_everywhere()\n"
        "once = [signal.SIGINT]\n"
        "gc.callbacks.append(lambda *_: once and signal.raise_signal(once.pop()))\n"
        "try:\n"
        "    gc.collect()\n"
        "    time.sleep(20)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("heard\n", "")
