"""Kept-alive connections, each in the hands of one exchange at a time.

Decision 13.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

from worker.http.http11 import Connection

KEEPALIVE_SECONDS: Final = 30.0


class Connections:
    """The idle connections to one origin; the last one that was given back is taken first.

    There are never more than were in use at once. `make` makes a new one, which connects when it is used.
    """

    def __init__(
        self, make: Callable[[], Connection], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._monotonic = monotonic
        self._lock = Lock()
        self._idle: deque[tuple[float, Connection]] = deque()

    def take(self) -> Connection:
        """Return an idle connection that its server has not closed, or a new one, for the caller alone."""
        while True:
            with self._lock:
                connection = self._idle.pop()[1] if self._idle else None
            if connection is None:
                return self._make()
            if not connection.has_hung_up():
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        """Keep the connection if it can serve again, close it otherwise; close those that idle for long."""
        if not connection.can_serve_again:
            connection.close()
            return
        now = self._monotonic()
        with self._lock:
            self._idle.append((now, connection))
            old = self._take_out(now - KEEPALIVE_SECONDS)
        for one in old:
            one.close()

    def close(self) -> None:
        """Close all that are idle."""
        with self._lock:
            old = self._take_out(float("inf"))
        for one in old:
            one.close()

    def _take_out(self, idle_since_seconds: float) -> list[Connection]:
        old = []
        while self._idle and self._idle[0][0] < idle_since_seconds:
            old.append(self._idle.popleft()[1])
        return old
