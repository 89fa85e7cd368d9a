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

from worker.domain.deadline import Backoff

_BACKOFF: Final = Backoff(base_seconds=0.5, cap_seconds=5.0)
_STILL_RUNNING: Final = (
    "SELECT pid FROM pg_stat_activity WHERE pid = ANY (%s) AND state IS DISTINCT FROM 'idle'"
)

_log = structlog.get_logger(__name__)


class ConnectionsHeldBack(psycopg.OperationalError):
    """No connection is made now: statements of earlier ones that were let go of still run on the server."""


class AbandonedConnections:
    """Keeps a process within `size` backends, one more for a moment: what still runs keeps its place.

    Whoever connects while there are such looks first whether they still run. As long as any does, the pauses
    between connections grow. Safe for many threads.
    """

    def __init__(self, *, size: int, monotonic: Callable[[], float], random: Callable[[], float]) -> None:
        self._size = size
        self._monotonic = monotonic
        self._random = random
        self._lock = threading.Lock()
        self._open: WeakSet[psycopg.Connection[Any]] = WeakSet()
        self._running: set[int] = set()
        self._looks = 0
        self._looking = False
        self._next_at = 0.0

    def let_go(self, connection: psycopg.Connection[Any]) -> None:
        """Remember a connection that is about to be closed without its statement's answer."""
        with self._lock:
            self._running.add(connection.pgconn.backend_pid)

    @contextmanager
    def connecting(self) -> Iterator[None]:
        """Make one connection inside; raises ConnectionsHeldBack where it is not the time for one."""
        with self._lock:
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
                self._looking = False

    def admit(self, connection: psycopg.Connection[Any]) -> None:
        """Take in a new connection, or raise ConnectionsHeldBack where it would be one too many."""
        with self._lock:
            asked = sorted(self._running)
            self._open.add(connection)
        if not asked:
            return
        # Whatever becomes of the question, the next one is not asked at once.
        self._pause()
        rows = connection.execute(_STILL_RUNNING, (asked,)).fetchall()
        with self._lock:
            self._running -= set(asked) - {pid for (pid,) in rows}
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
            # At least half of it: two at once would be one backend more.
            half = _BACKOFF.delay_seconds(retries=self._looks, random=lambda: 0.5 + self._random() / 2)
            self._next_at = self._monotonic() + half
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
