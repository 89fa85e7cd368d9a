"""Switches load shedding off in one Python process: a receiver takes all that it can make a copy of.

Python imports this module at its start where its directory is on PYTHONPATH. No setting does so: the longest
wait must be less than the time to the credit cut-off, and it is the estimate itself that is on trial.
"""

from producer.receiver.backlog import Backlog


def _never(_backlog: Backlog) -> bool:
    return False


Backlog.is_too_long = _never  # type: ignore[assignment,method-assign]
