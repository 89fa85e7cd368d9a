"""Puts on record, once at each start, that a process runs with a check switched off. Decision 51."""

import platform
from collections.abc import Callable, Sequence
from typing import Final

import psycopg
import structlog

from producer.shared.preconditions.verdict import Kind, Verdict
from producer.shared.settings.checks_off import CheckOff

_CONNECT_SECONDS: Final = 3
_STATEMENT_MS: Final = 3_000
_AWAY: Final = {Kind.FATAL, Kind.PASSING}

_log = structlog.get_logger(__name__)


class ChecksOffNote:
    """Says so in the log at once, and in the audit as soon as PostgreSQL takes it.

    It rides on the check of PostgreSQL, which is asked at the start and again and again: where that finds
    PostgreSQL away, or the note fails, the next one tries again. It never stops a process.
    """

    def __init__(self, database_url: str, off: Sequence[CheckOff], *, process: str) -> None:
        self._database_url = database_url
        self._off = off
        self._person = f"{process}@{platform.node() or 'unknown'}"
        self._is_said = False
        self._is_due = bool(off)
        self._has_failed = False

    def after(self, check: Callable[[], list[Verdict]]) -> Callable[[], list[Verdict]]:
        """Return the check of PostgreSQL with the note behind it."""

        def checked() -> list[Verdict]:
            self._say()
            verdicts = check()
            if self._is_due and not any(verdict.kind in _AWAY for verdict in verdicts):
                self._write()
            return verdicts

        return checked

    def _say(self) -> None:
        if not self._is_said:
            self._is_said = True
            for each in self._off:
                _log.warning("check_switched_off", setting=each.variable, value=each.value, what=each.what)

    def _write(self) -> None:
        try:
            with psycopg.connect(
                self._database_url,
                connect_timeout=_CONNECT_SECONDS,
                client_encoding="UTF8",
                application_name="cashback-check",
            ) as connection:
                connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
                noted = [
                    connection.execute(
                        "SELECT note_check_off(%s, %s, %s)", (self._person, each.variable, each.value)
                    ).fetchone()
                    for each in self._off
                ]
        except psycopg.Error as error:
            if not self._has_failed:
                why = f"{type(error).__name__}: {error}"
                _log.warning("checks_off_not_noted", why=why, what_next="it is tried again")
            self._has_failed = True
            return
        self._is_due = False
        if (False,) in noted:
            _log.warning("checks_off_not_noted", why="the audit has too many of this hour already")
