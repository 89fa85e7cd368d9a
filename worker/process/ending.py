"""How a worker that cannot work ends: within seconds, non-zero, and with one last sentence that says why."""

import os
import sys
import threading
from collections.abc import Callable
from typing import Final

import structlog

from producer.shared.preconditions.verdict import Unmet
from producer.shared.settings.environment import SettingsError

EXIT_CANNOT_WORK: Final = 1

_log = structlog.get_logger(__name__)


class CannotWork(Exception):
    """The worker cannot start. The text is a sentence for an operator, and names the setting to look at."""


def last_word(sentence: str) -> None:
    """Write the sentence that a process ends with."""
    sys.stderr.write(f"cashback worker: {sentence}\n")
    sys.stderr.flush()


def sentence_of(error: BaseException) -> str:
    """Return what to say of a fault that ends the worker, on one line."""
    if isinstance(error, CannotWork | Unmet | SettingsError):
        return str(error)
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"it ends, as it cannot work: {kind}{': ' if text else ''}{text}; the log above says where"


class Ending:
    """Ends the process in good order, and by force where that takes longer than `grace_seconds`.

    `stop` asks for the good order, from any thread, and returns at once. Safe for many threads.
    """

    def __init__(self, *, grace_seconds: float, stop: Callable[[], None]) -> None:
        self._grace_seconds = grace_seconds
        self._stop = stop
        self._lock = threading.Lock()
        self.sentence: str | None = None
        """Why it ends, or None while it does not."""

    def begin(self, sentence: str) -> None:
        """Begin to end; the first reason is the one that is told."""
        with self._lock:
            if self.sentence is not None:
                return
            self.sentence = sentence
        _log.error("worker_ends", why=sentence)
        force = threading.Timer(self._grace_seconds, self._end_at_once)
        force.name, force.daemon = "end-by-force", True
        force.start()
        self._stop()

    def _end_at_once(self) -> None:
        # Whatever hangs, a thread that nobody can end among it, does not keep the process.
        last_word(f"{self.sentence}; it did not end in {self._grace_seconds:g} s and is cut off")
        os._exit(EXIT_CANNOT_WORK)
