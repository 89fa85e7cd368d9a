"""Looks each second whether the threads are there that a worker cannot work without.

Each of them is written to outlive any surprise. One that is dead all the same leaves a worker that takes
events and does not do all that is owed to them, so the process ends and another one takes its place.
"""

import threading
from collections.abc import Callable
from typing import Final

import structlog

LOOK_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class Watchdog:
    """Watches threads by their names; `on_death` is told once, in a sentence, which of them is gone.

    While it watches it is this process's `threading.excepthook`, so that it can say what they died of.
    """

    def __init__(self, *, on_death: Callable[[str], None]) -> None:
        self._on_death = on_death
        self._names: frozenset[str] = frozenset()
        self._errors: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._hook_before = threading.excepthook

    def start(self) -> None:
        """Begin to watch."""
        self._hook_before, threading.excepthook = threading.excepthook, self._note
        self._thread.start()

    def expect(self, *names: str) -> None:
        """Watch these threads too, which run by now."""
        self._names |= frozenset(names)

    def close(self) -> None:
        """Watch no longer; call it before the threads are ended."""
        self._stopping.set()
        if threading.excepthook == self._note:
            threading.excepthook = self._hook_before

    def missing(self) -> list[str]:
        """Return the names of the threads that are not there."""
        return sorted(self._names - {thread.name for thread in threading.enumerate()})

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            missing = self.missing()
            # What is gone because the worker is just being stopped is no death.
            if missing and not self._stopping.is_set():
                self._on_death(" and ".join(map(self._obituary, missing)))
                return

    def _obituary(self, name: str) -> str:
        return (
            f"its thread {name} has died ({self._errors.get(name, 'without an error')}), and without it the "
            "worker does not do its work"
        )

    def _note(self, args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "unknown"
        error = args.exc_value
        text = " ".join(str(error).split())
        self._errors[name] = f"{args.exc_type.__name__}: {text}" if text else args.exc_type.__name__
        _log.error("thread_died", thread=name, exc_info=error)
