"""Commands to Redis in one transaction (MULTI … EXEC), on a connection that is kept.

redis-py's pipeline takes a connection from its pool each time, looks whether it is alive and counts it: that
costs more than the commands themselves. It also repeats what may have been done, and a pop must not be.
Decision 17.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

Command = Sequence[str | bytes | float]

_MULTI: Final = ("MULTI",)
_EXEC: Final = ("EXEC",)
# Servers and proxies hang up on who is silent for long. Who has just been answered need not look.
_IDLE_SECONDS: Final = 1.0


class RedisMulti:
    """Runs one transaction after the other; for one thread.

    `take_connection` gives a connection of redis-py for this alone. Whoever begins a transaction must end it;
    both raise the errors of Redis, and what became of the transaction is then unknown.
    """

    def __init__(self, take_connection: Callable[[], Any]) -> None:
        self._take_connection = take_connection
        self._connection: Any = None
        self._replies_due = 0
        self._last_used_seconds = 0.0

    def begin(self, commands: Sequence[Command]) -> None:
        """Send them, without waiting for the replies."""
        if self._replies_due:
            raise RuntimeError("the last transaction has not been ended")
        if self._connection is None:
            self._connection = self._take_connection()
        elif time.monotonic() - self._last_used_seconds > _IDLE_SECONDS:
            self._hang_up_if_cut()
        if not self._connection.is_connected:
            # Sending would connect by itself, but to where it was before, whatever sentinels say by now.
            self._connection.connect()
        whole = (_MULTI, *commands, _EXEC)
        self._connection.send_packed_command(self._connection.pack_commands(whole))
        self._replies_due = len(whole)

    def end(self) -> list[Any]:
        """Return the reply to each command, once all are done."""
        try:
            replies = self._read()
        except BaseException:
            # What else it would say must not be read as the replies to the next transaction.
            self._replies_due = 0
            self._connection.disconnect()
            raise
        self._last_used_seconds = time.monotonic()
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return replies

    def _read(self) -> list[Any]:
        replies: Any = None
        while self._replies_due:
            replies = self._connection.read_response()
            self._replies_due -= 1
        return list(replies)

    def _hang_up_if_cut(self) -> None:
        """Disconnect where the connection is of no use any more."""
        try:
            # Nothing is owed: what can be read is the end of the connection.
            is_cut = self._connection.can_read()
        except (RedisError, OSError):
            is_cut = True
        if is_cut:
            self._connection.disconnect()
