"""Whether the server of a copy counts as away, so that no make waits for it. Decision 21."""

from collections.abc import Callable
from typing import Final

import structlog

from producer.copies.errors import CopyFailed

_log: Final = structlog.get_logger(__name__)


class Circuit:
    """Opens when the server of `kind` is found away, and closes when a copy is made there again.

    A call that came to nothing for its server's sake (`CopyFailed.shows_away`) shows it, if none has
    succeeded since that one began: one connection that hangs while others serve says nothing about the
    server. All times are of one clock. `on_open` is called once for each opening.
    """

    __slots__ = ("_kind", "_on_open", "_opened_at", "_server", "_succeeded_at", "is_away")

    def __init__(self, kind: str, *, server: str, on_open: Callable[[], None]) -> None:
        self.is_away = False
        self._kind = kind
        self._server = server
        self._on_open = on_open
        self._opened_at = 0.0
        self._succeeded_at = float("-inf")

    def succeeded(self, *, now: float) -> None:
        """Take note of a call that ended well."""
        self._succeeded_at = now
        if self.is_away:
            self.is_away = False
            _log.warning(
                "copy_back",
                kind=self._kind,
                server=self._server,
                away_seconds=round(now - self._opened_at, 3),
            )

    def failed(self, error: Exception, *, began: float, now: float) -> None:
        """Take note of a call that began then and came to nothing."""
        if self.is_away or not shows_away(error) or self._succeeded_at > began:
            return
        self.is_away = True
        self._opened_at = now
        _log.warning(
            "copy_away",
            kind=self._kind,
            server=self._server,
            detail=f"{error}; makes are answered on their other copy until it is back",
        )
        self._on_open()


def shows_away(error: Exception) -> bool:
    """Whether an error speaks for the server being away."""
    return isinstance(error, CopyFailed) and error.shows_away
