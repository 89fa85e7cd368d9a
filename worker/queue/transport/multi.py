"""Commands to Redis in one transaction (MULTI … EXEC), on a connection that is kept.

redis-py's pipeline takes a connection from its pool each time, looks whether it is alive and counts it: that
costs more than the commands themselves. It also repeats what may have been done.
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

    `take_connection` gives a connection of redis-py for this alone.
    """

    def __init__(self, take_connection: Callable[[], Any]) -> None:
        self._take_connection = take_connection
        self._connection: Any = None
        self._last_used_seconds = 0.0

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Return the reply to each command, once all are done.

        Raises the errors of Redis; what became of the transaction is then unknown.
        """
        self._connect()
        whole = (_MULTI, *commands, _EXEC)
        try:
            self._connection.send_packed_command(self._connection.pack_commands(whole))
            replies = [self._connection.read_response() for _ in whole][-1]
        except BaseException:
            # What else it would say must not be read as the replies to the next transaction.
            self._connection.disconnect()
            raise
        self._last_used_seconds = time.monotonic()
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return list(replies)

    def close(self) -> None:
        """Hang up; the next transaction connects anew."""
        if self._connection is not None:
            self._connection.disconnect()

    def _connect(self) -> None:
        if self._connection is None:
            self._connection = self._take_connection()
        elif time.monotonic() - self._last_used_seconds > _IDLE_SECONDS:
            self._hang_up_if_cut()
        if not self._connection.is_connected:
            # Sending would connect by itself, but to where it was before, whatever sentinels say by now.
            self._connection.connect()

    def _hang_up_if_cut(self) -> None:
        """Disconnect where the connection is of no use any more."""
        try:
            # Nothing is owed: what can be read is the end of the connection.
            is_cut = self._connection.can_read()
        except (RedisError, OSError):
            is_cut = True
        if is_cut:
            self._connection.disconnect()
