"""Whether a person has closed the intake for a planned window, asked of PostgreSQL beside the path of a make.

Decision 52.
"""

import asyncio
from math import ceil
from typing import Final, Protocol

import structlog

from producer.copies.errors import CopyFailed
from producer.copies.receipts.connection import IntakeState
from producer.receiver.answers import IntakePaused

LOOK_SECONDS: Final = 1.0
# A receiver that begins waits for so long to hear of a pause, and then goes on without PostgreSQL.
_ASK_SECONDS: Final = 2.0
LONGEST_RETRY_AFTER_SECONDS: Final = 30
"""Whoever opens the intake before its time has everybody back by then."""

_log = structlog.get_logger(__name__)


class IntakeStore(Protocol):
    """What knows how the intake stands; `Receipts` does."""

    async def intake(self, *, timeout_seconds: float) -> IntakeState:
        """Return how it stands; raise CopyFailed where that cannot be known."""


class IntakePause:
    """Asks in the background; `refuse` answers at once. For one event loop.

    A pause ends at its time by PostgreSQL's clock. While that cannot be asked, the pause that was last heard
    of stands until its end and no longer, and none begins.
    """

    def __init__(self, store: IntakeStore) -> None:
        self._store = store
        self._standing: IntakeState | None = None
        self._end: asyncio.TimerHandle | None = None
        self._is_unknown = False

    @property
    def until_seconds(self) -> float:
        """Until when the intake is closed, as Unix time; 0 while it is open."""
        if self._standing is None or self._standing.paused_until is None:
            return 0.0
        return self._standing.paused_until.timestamp()

    @property
    def sentence(self) -> str | None:
        """What an operator is told of it; None while the intake is open."""
        if self._standing is None:
            return None
        return f"paused until {self._standing.paused_until:%Y-%m-%dT%H:%M:%SZ} by {self._standing.person}"

    def refuse(self) -> None:
        """Raise IntakePaused while the intake is closed."""
        if self._end is not None:
            left_seconds = self._end.when() - asyncio.get_running_loop().time()
            raise IntakePaused(
                retry_after_seconds=ceil(min(max(left_seconds, 1), LONGEST_RETRY_AFTER_SECONDS))
            )

    async def watch(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Ask once."""
        try:
            state = await self._store.intake(timeout_seconds=_ASK_SECONDS)
        except CopyFailed as error:
            self._cannot_tell(error=str(error))
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            # It must outlive any surprise: without it no pause would begin.
            self._cannot_tell(error=f"{type(error).__name__}: {error}", exc_info=error)
        else:
            self._is_unknown = False
            self._take(state)

    def _cannot_tell(self, **why: object) -> None:
        if not self._is_unknown:
            # Once for all looks in a row.
            _log.warning("intake_unknown", **why)
        self._is_unknown = True

    def _take(self, state: IntakeState) -> None:
        before = self._standing
        self._stop_timer()
        if state.seconds_left <= 0:
            if before is not None:
                self._opened(by=state.person, why=state.reason, is_over=state.paused_until is not None)
            return
        self._standing = state
        self._end = asyncio.get_running_loop().call_later(state.seconds_left, self._time_is_over)
        if before is None or before.paused_until != state.paused_until:
            _log.warning("intake_paused", by=state.person, why=state.reason, until=str(state.paused_until))

    def _time_is_over(self) -> None:
        self._stop_timer()
        self._opened(by=None, why=None, is_over=True)

    def _opened(self, *, by: str | None, why: str | None, is_over: bool) -> None:
        self._standing = None
        if is_over:
            _log.warning("intake_resumed", why="the time of the pause is over")
        else:
            _log.warning("intake_resumed", by=by, why=why)

    def _stop_timer(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
