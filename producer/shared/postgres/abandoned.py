"""Connections that were let go of while their statement may still run, and how many more may be made then.

A commit that waits for a standby that is away does not end when its client leaves, and to cancel it would be
wrong: it may yet be confirmed. Its backend stays, and each new connection adds one more. Decision 27.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakSet

import psycopg
import structlog
from psycopg import BaseConnection

STILL_RUNNING: Final = (
    # Of another role's session, which may have the number by now, there is no state to be seen.
    "SELECT pid FROM pg_stat_activity "
    "WHERE pid = ANY (%s) AND usename = current_user AND state IS DISTINCT FROM 'idle'"
)
"""Which of these backends are still at work; asked with what `take_in` returned, for `decide`."""

_LEAST_PAUSE_SECONDS: Final = 0.5
_MOST_DOUBLINGS: Final = 3

_log = structlog.get_logger(__name__)


class ConnectionsHeldBack(psycopg.OperationalError):
    """No connection is made now: statements of earlier ones that were let go of still run on the server."""


class AbandonedConnections:
    """Keeps a process within `size` backends, one more for a moment: what still runs keeps its place.

    Whoever connects while there are such looks first whether they still run. As long as any does, the pauses
    between connections grow. Safe for many threads; asks nothing of PostgreSQL itself, so that both kinds of
    psycopg's connections can be counted.
    """

    def __init__(self, *, size: int, monotonic: Callable[[], float], random: Callable[[], float]) -> None:
        self._size = size
        self._monotonic = monotonic
        self._random = random
        self._lock = threading.Lock()
        self._looked = threading.Condition(self._lock)
        self._open: WeakSet[BaseConnection[Any]] = WeakSet()
        self._running: set[int] = set()
        self._looks = 0
        self._looking = False
        self._next_at = 0.0

    def let_go(self, backend: int) -> None:
        """Remember the backend of a connection that is about to be closed without its statement's answer."""
        with self._lock:
            self._running.add(backend)

    @contextmanager
    def connecting(self, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Make one connection inside; raises ConnectionsHeldBack where it is not the time for one.

        Where somebody just looks, the thread waits up to `wait_seconds` for what comes of it.
        """
        with self._looked:
            self._looked.wait_for(lambda: not self._looking, wait_seconds)
            is_look = bool(self._running)
            if is_look and (self._looking or self._monotonic() < self._next_at):
                raise ConnectionsHeldBack(
                    "not so soon: statements of connections that were let go of still run"
                )
            self._looking = self._looking or is_look
        try:
            yield
        finally:
            if is_look:
                with self._looked:
                    self._looking = False
                    self._looked.notify_all()

    def take_in(self, connection: BaseConnection[Any]) -> list[int]:
        """Count a new connection; returns which backends to ask about, none where it may be used at once."""
        with self._lock:
            self._open.add(connection)
            asked = sorted(self._running)
        if asked:
            # Whatever becomes of the question, the next one is not asked at once.
            self._pause()
        return asked

    def decide(self, asked: list[int], still_running: list[tuple[int]]) -> None:
        """Let the new connection be used; raises ConnectionsHeldBack where it is one too many."""
        with self._lock:
            self._running -= set(asked) - {pid for (pid,) in still_running}
            running = len(self._running)
            open_connections = sum(not each.closed for each in self._open)
        self._report(running)
        if running + open_connections > self._size:
            raise ConnectionsHeldBack(
                f"{running} statements of connections that were let go of still run and "
                f"{open_connections - 1} connections are open: of {self._size} places none is left"
            )

    def _pause(self) -> None:
        with self._lock:
            pause_seconds = _LEAST_PAUSE_SECONDS * 2.0 ** min(self._looks, _MOST_DOUBLINGS)
            # Never less than half of it: two at once would be one backend more.
            self._next_at = self._monotonic() + pause_seconds * (0.5 + self._random() / 2)
            self._looks += 1

    def _report(self, running: int) -> None:
        if not running:
            if self._looks > 1:
                _log.info("abandoned_statements_ended")
            self._looks, self._next_at = 0, 0.0
        elif self._looks == 1:
            _log.warning(
                "abandoned_statements_run",
                statements=running,
                of=self._size,
                what_to_do="connections are held back until they end; in SyncRep they wait for a standby, "
                "see docs/standby.md",
            )
