"""Simulations: one runnable file per experiment, whose saved results the figures are drawn from."""

import signal
import sys

if sys.argv[0] == "-m":  # python -m simulations.NAME, and NAME is not yet imported
    # Ctrl-C while Python still imports is no fault to report; simulations.command takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
