"""Shifts the wall clock of one Python process, as a machine's clock is stepped.

Python imports this module at its start where its directory is on PYTHONPATH. The number of seconds stands in
the file that FAULTS_CLOCK_FILE names and is read at each call, so that a step meets a running process. The
monotonic clock goes on as it is, like a real one does.
"""

import os
import time
from pathlib import Path

_offset_file = Path(os.environ["FAULTS_CLOCK_FILE"])
_true_time = time.time
_true_time_ns = time.time_ns


def _offset_seconds() -> float:
    return float(_offset_file.read_text("ascii"))


def _stepped_time() -> float:
    return _true_time() + _offset_seconds()


def _stepped_time_ns() -> int:
    return _true_time_ns() + round(_offset_seconds() * 1_000_000_000)


time.time = _stepped_time
time.time_ns = _stepped_time_ns
