"""How long a new event would wait to be settled, and whether that is too long to take it.

The receiver remembers what it took, and asks PostgreSQL which of it has been settled: how many wait, divided
by how many were settled a second, is how long the youngest one will wait. By whatever road an event goes, and
whatever lies on the queue, only what was verified and is on record counts. It needs no word from the workers,
however many there are.
Decision 28.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol
from uuid import UUID

import structlog

from cashback_client.contract import OWN_PRODUCER
from producer.copies.errors import CopyFailed
from producer.copies.event import ReceivedEvent
from producer.copies.receipts.recording import Progress

LOOK_SECONDS: Final = 0.25
# Short, so that the calm before a burst does not flatter the pace within it.
WINDOW_SECONDS: Final = 1.5
# 40 s at 500 makes a second.
MAX_REMEMBERED: Final = 20_000
# Of the oldest ones, which are settled first: more than are settled between two looks.
MAX_ASKED: Final = 500
# A wait shorter than this share of the longest one is no backlog, whatever the pace.
_LEAST_AGE_SHARE: Final = 0.1
# A second. Who has just begun to look, or can look again, has seen neither pace nor standstill yet.
STANDSTILL_LOOKS: Final = 5
AT_ONCE_SECONDS: Final = 2 * LOOK_SECONDS
# Above that of tokens which are sent again, while others wait: their events are settled when they come.
_NO_LINE_SHARE: Final = 0.25

_log = structlog.get_logger(__name__)


class ProgressOf(Protocol):
    """What knows how far events have come; `Receipts` does."""

    async def progress(
        self, event_ids: Sequence[UUID], /, *, timeout_seconds: float, producer: str
    ) -> Progress:
        """Return how far a producer's have come; raise CopyFailed where that cannot be known."""


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    settled: int
    settled_at_once: int
    is_idle: bool


class Estimate:
    """The expected wait, from looks at what waits. Times are seconds of one clock. Pure.

    While those that wait longest have waited for less than `least_age_seconds`, no wait is expected.
    """

    def __init__(self, *, least_age_seconds: float) -> None:
        self._least_age_seconds = least_age_seconds
        self._looks: deque[_Look] = deque(maxlen=int(WINDOW_SECONDS / LOOK_SECONDS) + 1)
        self._settled = 0
        self._settled_at_once = 0
        self._waiting = 0
        self._age_seconds = 0.0

    def look(
        self,
        *,
        now: float,
        settled: int,
        waiting: int,
        age_seconds: float | None,
        settled_at_once: int = 0,
    ) -> None:
        """Take note that `settled` were settled since the last look, and so many wait.

        `settled_at_once`: those of them that had come just before. `age_seconds`: since when those wait that
        wait longest, whoever received them; None: nothing waits.
        """
        self._settled += settled
        self._settled_at_once += settled_at_once
        self._waiting = waiting
        self._age_seconds = age_seconds or 0.0
        self._looks.append(_Look(now, self._settled, self._settled_at_once, is_idle=waiting == 0))

    def forget(self) -> None:
        """Drop what was seen: nobody can say what waits."""
        self._looks.clear()
        self._waiting = 0

    @property
    def wait_seconds(self) -> float:
        """How long an event that arrives now is expected to wait."""
        if not self._waiting or self._age_seconds < self._least_age_seconds:
            return 0.0
        if len(self._looks) < STANDSTILL_LOOKS:
            # PostgreSQL is just back, and the workers may be about to find it.
            return 0.0
        busy = self._busy_looks()
        shortly_before = busy[-STANDSTILL_LOOKS:][0]
        if busy[-1].settled == shortly_before.settled:
            # The workers are not slow but away, and the pace that they will come back with is not known.
            return self._age_seconds
        at_once = busy[-1].settled_at_once - shortly_before.settled_at_once
        if at_once >= _NO_LINE_SHARE * (busy[-1].settled - shortly_before.settled):
            # Whatever the others wait for, a newcomer does not wait behind them.
            return 0.0
        moving = sum(look.settled > busy[0].settled for look in busy)
        is_just_back = moving < min(STANDSTILL_LOOKS, len(busy) - 1)
        begun = busy[0] if is_just_back else busy[-moving - 1]
        wait_seconds = self._waiting * (busy[-1].at - begun.at) / (busy[-1].settled - begun.settled)
        # Where they have just come back, who waits longest has seen the worst of it.
        return min(wait_seconds, self._age_seconds) if is_just_back else wait_seconds

    def _busy_looks(self) -> list[_Look]:
        """Return the looks since there has been something to settle, the first of them before that."""
        looks = list(self._looks)
        idle = [number for number, look in enumerate(looks) if look.is_idle]
        return looks[idle[-1] :] if idle else looks


class Backlog:
    """Asks in the background how far the events of a producer have come; `is_too_long` answers at once.

    While PostgreSQL cannot be asked, nothing is refused: the messages carry the events then.
    """

    def __init__(  # noqa: PLR0913 - all but the first two are named where it is built
        self,
        store: ProgressOf,
        producer: str = OWN_PRODUCER,
        *,
        longest_wait_seconds: float,
        cutoff_seconds: float,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._producer = producer
        self._longest_wait_seconds = longest_wait_seconds
        self._cutoff_seconds = cutoff_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._estimate = Estimate(least_age_seconds=_LEAST_AGE_SHARE * longest_wait_seconds)
        # In the order of their receipt; what is settled, or cannot be settled any more, goes.
        self._unsettled: dict[UUID, float] = {}
        self._is_unknown = False

    @property
    def wait_seconds(self) -> float:
        """How long an event that arrives now is expected to wait."""
        return self._estimate.wait_seconds

    @property
    def is_empty(self) -> bool:
        """Whether nothing that was taken waits, as far as is known."""
        return not self._unsettled

    def is_too_long(self) -> bool:
        """Whether a new event would wait too long to be credited in time."""
        return self.wait_seconds > self._longest_wait_seconds

    def taken(self, event: ReceivedEvent) -> None:
        """Remember an event that was answered with 200."""
        if len(self._unsettled) < MAX_REMEMBERED:
            self._unsettled.setdefault(event.event_id, event.message.received_at_ms / 1000)

    async def watch(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Ask once. Whatever fails: an estimate that stood on would refuse makes for ever."""
        try:
            await self._ask()
        except CopyFailed as error:
            self._forget(error=str(error))
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            self._forget(error=f"{type(error).__name__}: {error}", exc_info=error)
        else:
            self._is_unknown = False

    def _forget(self, **why: object) -> None:
        self._estimate.forget()
        if not self._is_unknown:
            # Once for all looks in a row.
            _log.warning("backlog_unknown", **why)
        self._is_unknown = True

    async def _ask(self) -> None:
        self._drop_what_is_over()
        asked = list(islice(self._unsettled, MAX_ASKED))
        progress = await self._store.progress(
            asked, timeout_seconds=self._timeout_seconds, producer=self._producer
        )
        now = self._clock()
        received_at = [self._unsettled.pop(event_id, now) for event_id in progress.settled]
        self._estimate.look(
            now=now,
            settled=len(received_at),
            settled_at_once=sum(now - at < AT_ONCE_SECONDS for at in received_at),
            waiting=len(self._unsettled),
            age_seconds=progress.age_seconds,
        )

    def _drop_what_is_over(self) -> None:
        over_at = self._clock() - self._cutoff_seconds
        for event_id, received_at in list(islice(self._unsettled.items(), MAX_ASKED)):
            if received_at > over_at:
                break
            del self._unsettled[event_id]
