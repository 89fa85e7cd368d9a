"""Asks again while a process runs: says what begins and what ends, and what the process is to end for."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from producer.shared.preconditions.checks import Checks
from producer.shared.preconditions.verdict import Kind, Verdict, raise_if_fatal

LOOK_SECONDS: Final = 10.0
_LEAST_TIMES: Final = 3
_SAID_ONCE: Final = {Kind.UNKNOWN: "precondition_unknown", Kind.ADVICE: "precondition_advice"}

_log = structlog.get_logger(__name__)


class Findings:
    """What stands of the verdicts, from look to look. Times are of one clock. Pure but for the log."""

    def __init__(self) -> None:
        self._standing: dict[str, Verdict] = {}
        self._since: dict[str, tuple[float, int]] = {}
        self._said: set[str] = set()

    def look(self, verdicts: Sequence[Verdict], *, now: float) -> Verdict | None:
        """Take note of what was found; returns a fatal one that has stood for long enough.

        A look that finds something else, a server that cannot be reached for one, begins the count anew.
        """
        known = {verdict.name: verdict for verdict in verdicts if verdict.kind not in _SAID_ONCE}
        for verdict in verdicts:
            if verdict.kind in _SAID_ONCE and verdict.name not in self._said:
                self._said.add(verdict.name)
                _log.warning(_SAID_ONCE[verdict.kind], name=verdict.name, what=verdict.sentence)
        for name, verdict in known.items():
            if name not in self._standing:
                level = _log.error if verdict.kind is Kind.FATAL else _log.warning
                level("precondition_fails", name=name, kind=verdict.kind.value, what=verdict.sentence)
        for name in self._standing.keys() - known.keys():
            _log.info("precondition_holds_again", name=name)
        self._standing = known
        self._since = {
            name: (self._since[name][0], self._since[name][1] + 1) if name in self._since else (now, 1)
            for name, verdict in known.items()
            if verdict.kind is Kind.FATAL
        }
        return next((known[name] for name in self._since if self._is_confirmed(known[name], now)), None)

    def _is_confirmed(self, verdict: Verdict, now: float) -> bool:
        since, times = self._since[verdict.name]
        return times >= _LEAST_TIMES and now - since >= verdict.confirm_seconds


class PreconditionWatch:
    """A thread that looks again and again; `on_fatal` is told, once, what the process is to end for."""

    thread_name: Final = "preconditions"

    def __init__(self, checks: Checks, *, on_fatal: Callable[[str], None]) -> None:
        self._checks = checks
        self._on_fatal = on_fatal
        self._findings = Findings()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.thread_name, daemon=True)

    def check_start(self) -> None:
        """Look once before the process starts; raises Unmet, and SettingsError."""
        verdicts = self._checks.ask()
        raise_if_fatal(verdicts)
        self._findings.look(verdicts, now=time.monotonic())

    def start(self) -> None:
        """Begin to look again."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; what is being asked just now is let go of."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                fatal = self._findings.look(self._checks.ask(), now=time.monotonic())
            except Exception:  # noqa: BLE001 - logged with its traceback
                # The thread must outlive any surprise: without it nobody would say what is wrong.
                _log.exception("preconditions_failed")
                continue
            if fatal is not None and not self._stopping.is_set():
                self._on_fatal(fatal.sentence)
                return
