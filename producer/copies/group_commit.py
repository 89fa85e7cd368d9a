"""Group commit: many calls that would each cost a round trip become few, each for a group (decision 11).

A group is what waits when the last one has been served, and no timer holds it back: a call that comes alone
goes alone and at once, and the more calls there are, the larger the groups that form by themselves.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import structlog

from producer.copies.errors import CopyFailed, CopyTimedOut

# Many times what a flush to disk takes, a small part of what a make may take.
PATIENCE_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)

Item = TypeVar("Item")

# Is told once how a call ended: None is well, anything else is why it came to nothing.
OnEnd = Callable[[Exception | None], None]


class Member(Generic[Item]):
    """One call in a group. Whoever serves the group ends each member by itself; the first end counts.

    `until` is loop time: a member that nobody has ended by then ends with CopyTimedOut.
    """

    __slots__ = ("_on_end", "has_ended", "item", "until")

    def __init__(self, item: Item, on_end: OnEnd, *, until: float) -> None:
        self.item = item
        self.until = until
        self.has_ended = False
        self._on_end = on_end

    def end(self, error: Exception | None = None) -> None:
        """End well, or with an error."""
        if self.has_ended:
            return
        self.has_ended = True
        try:
            self._on_end(error)
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The others of its group shall hear of their own ends.
            _log.exception("end_not_heard")


Work = Callable[[Sequence[Member[Item]]], Awaitable[None]]


class GroupCommit(Generic[Item]):
    """Serves calls in groups of at most `max_size`, for one event loop.

    `work` serves one group; what it raises is the outcome of every member that it has not ended. Each call
    ends within `timeout_seconds` of its own start, whatever becomes of its group, and at most `max_waiting`
    may wait for one. `what` names the server in errors.

    One group goes at a time: the longer it takes, the more wait for the next one. Up to `at_once` go side by
    side where a whole group waits, or where the last one has not come back within `patience_seconds`: a
    connection that hangs must not hold up the rest.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        work: Work[Item],
        *,
        what: str,
        at_once: int,
        max_size: int,
        max_waiting: int,
        timeout_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._work = work
        self._what = what
        self._at_once = at_once
        self._max_size = max_size
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        # Kept, because asking for the running loop costs a call of the system each time.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Member[Item]] = deque()
        # All who have no outcome yet, and some who have, by `until`: everybody gets the same time.
        self._open: deque[Member[Item]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._leaders: set[asyncio.Task[None]] = set()
        self._is_starting = False
        self._last_start_at = 0.0

    def join(self, item: Item, on_end: OnEnd) -> None:
        """Let `item` go with the next group; `on_end` hears of its end.

        CopyTimedOut: it was not certain in time, and may be served all the same.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        loop = self._loop
        now = loop.time()
        member = Member(item, on_end, until=now + self._timeout_seconds)
        if len(self._waiting) >= self._max_waiting:
            _drop_ended(self._waiting)
        if len(self._waiting) >= self._max_waiting:
            member.end(CopyFailed(f"{self._what}: too many are waiting"))
            return
        self._waiting.append(member)
        _drop_ended(self._open)
        self._open.append(member)
        if self._timer is None:
            self._timer = loop.call_at(member.until, self._expire)
        if self._needs_leader(now):
            self._is_starting = True
            leader = loop.create_task(self._lead(loop), name=f"group for {self._what}")
            self._leaders.add(leader)
            leader.add_done_callback(self._leaders.discard)

    def _needs_leader(self, now: float) -> bool:
        if self._is_starting or len(self._leaders) >= self._at_once:
            return False
        return (
            not self._leaders
            or len(self._waiting) >= self._max_size
            or now - self._last_start_at > self._patience_seconds
        )

    def _expire(self) -> None:
        """End those whose time is up. One timer serves all, since they come in the order of their ends."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        while self._open and (self._open[0].has_ended or self._open[0].until <= now):
            self._open.popleft().end(CopyTimedOut(f"{self._what} did not answer in time"))
        if self._open:
            self._timer = loop.call_at(self._open[0].until, self._expire)

    async def _lead(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve groups until nobody waits."""
        # One round of the loop later, all that has arrived by now is in the group. That costs no time to be
        # seen, and makes the first group of a burst a large one.
        await asyncio.sleep(0)
        self._is_starting = False
        while group := self._taken():
            self._last_start_at = loop.time()
            await self._serve(group)
        # Nothing is awaited from here on, so who joins finds this leader either serving or gone.
        self._leaders.discard(asyncio.current_task())

    def _taken(self) -> list[Member[Item]]:
        group: list[Member[Item]] = []
        while self._waiting and len(group) < self._max_size:
            member = self._waiting.popleft()
            if not member.has_ended:
                group.append(member)
        return group

    async def _serve(self, group: Sequence[Member[Item]]) -> None:
        try:
            await self._work(group)
        except Exception as error:  # noqa: BLE001 - it is the outcome of each, and whoever waits for it reports it
            for member in group:
                member.end(error)
        except asyncio.CancelledError:
            for member in group:
                member.end(CopyFailed(f"{self._what}: the receiver was stopped"))
            raise


def _drop_ended(members: deque[Member[Item]]) -> None:
    while members and members[0].has_ended:
        members.popleft()
