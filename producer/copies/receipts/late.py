"""Receipts that were not made when their makes were answered, and are made as soon as they can be.

Decision 21.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final
from uuid import UUID

import structlog

from producer.copies.circuit import Circuit, shows_away
from producer.copies.errors import CopyFailed
from producer.copies.event import ReceivedEvent
from producer.copies.stores import ReceiptStore
from producer.copies.try_again import Step, TryAgain

# All receipts of 25 s at 400 makes a second, in about 20 MB.
MAX_LATE: Final = 10_000
# Half of a group, so that fresh receipts always find room beside them.
MAX_AT_ONCE: Final = 50
_LONGEST_PAUSE_SECONDS: Final = 2.0
_CHECK_SECONDS: Final = 1.0
_IDS_IN_A_LINE: Final = 10

_log: Final = structlog.get_logger(__name__)


class LateReceipts:
    """Records the receipts of events that have their message alone, until the credit cut-off of each.

    At most `max_late` wait. Where there are more, the oldest goes: it has the least time left. While the
    server is away, one group of them at a time is also how it is looked for; where none waits, it is asked.

    `on_end` hears how many came to which end: `recorded`, `cut_off_passed`, `too_many`, `stopped`. `now_ms`
    gives Unix time in milliseconds, `random` numbers from 0 to 1.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        store: ReceiptStore,
        *,
        circuit: Circuit,
        cutoff_seconds: float,
        now_ms: Callable[[], int],
        random: Callable[[], float],
        on_end: Callable[[str, int], None],
        max_late: int = MAX_LATE,
    ) -> None:
        self._store = store
        self._circuit = circuit
        self._cutoff_ms = cutoff_seconds * 1000
        self._now_ms = now_ms
        self._on_end = on_end
        self._max_late = max_late
        # In the order in which they are tried: the oldest first, and last what failed alone.
        self._waiting: dict[UUID, ReceivedEvent] = {}
        self._recorded = 0
        self._pushed_out: list[UUID] = []
        self._again = TryAgain(
            self._attempt, name="late receipts", longest_pause_seconds=_LONGEST_PAUSE_SECONDS, random=random
        )

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, event: ReceivedEvent) -> None:
        """Record the receipt of this event when that can be done."""
        if event.event_id in self._waiting:
            return
        if len(self._waiting) >= self._max_late:
            # Told at the next attempt, or there would be a line for each.
            oldest = next(iter(self._waiting))
            self._pushed_out.append(oldest)
            del self._waiting[oldest]
        # A receipt needs nothing of what the token carries.
        self._waiting[event.event_id] = replace(event, data={})
        self._again.start()

    def look(self) -> None:
        """Look for the server, which was found away, until it is back."""
        self._again.start()

    async def try_last(self) -> None:
        """Try all that wait one last time, for as long as that gets on; nothing is tried afterwards."""
        await self._again.stop()
        while self._waiting and await self._attempt() is Step.GOOD:
            pass

    def leave(self) -> None:
        """Give up all that wait, at the end of the process."""
        self._give_up(list(self._waiting), "stopped")
        self._waiting.clear()

    async def _attempt(self) -> Step:
        self._give_up_what_cannot_be()
        if batch := list(islice(self._waiting.values(), MAX_AT_ONCE)):
            return Step.GOOD if await self._record(batch) else Step.FAILED
        if not self._circuit.is_away:
            return Step.NOTHING_LEFT
        try:
            await self._store.check(timeout_seconds=_CHECK_SECONDS)
        except CopyFailed:
            return Step.FAILED
        self._circuit.succeeded(now=time.perf_counter())
        return Step.GOOD

    async def _record(self, batch: Sequence[ReceivedEvent]) -> int:
        """Try each of these once; return how many were recorded."""
        began = time.perf_counter()
        before = self._recorded
        left = len(batch)
        all_ended = asyncio.get_running_loop().create_future()

        def ended(event: ReceivedEvent, error: Exception | None) -> None:
            nonlocal left
            left -= 1
            if left == 0 and not all_ended.done():
                all_ended.set_result(None)
            self._ended(event, error, began=began)

        for event in batch:
            try:
                self._store.record(event, partial(ended, event))
            except Exception as error:  # noqa: BLE001 - it is this receipt's outcome
                ended(event, error)
        await all_ended
        recorded = self._recorded - before
        if recorded and not self._waiting:
            _log.info("late_receipts_recorded", events=self._recorded)
            self._recorded = 0
        return recorded

    def _ended(self, event: ReceivedEvent, error: Exception | None, *, began: float) -> None:
        now = time.perf_counter()
        if error is None:
            self._circuit.succeeded(now=now)
            if self._waiting.pop(event.event_id, None) is not None:
                self._recorded += 1
                self._on_end("recorded", 1)
            return
        self._circuit.failed(error, began=began, now=now)
        if not shows_away(error) and event.event_id in self._waiting:
            # It is to blame itself, and goes behind those that are not.
            self._waiting[event.event_id] = self._waiting.pop(event.event_id)

    def _give_up_what_cannot_be(self) -> None:
        self._give_up(self._pushed_out, "too_many")
        self._pushed_out = []
        earliest_ms = self._now_ms() - self._cutoff_ms
        too_late = []
        for event_id, event in self._waiting.items():
            if event.message.received_at_ms > earliest_ms:
                break
            too_late.append(event_id)
        for event_id in too_late:
            del self._waiting[event_id]
        self._give_up(too_late, "cut_off_passed")

    def _give_up(self, event_ids: Sequence[UUID], why: str) -> None:
        if not event_ids:
            return
        self._on_end(why, len(event_ids))
        _log.warning(
            "receipts_given_up",
            reason=why,
            events=len(event_ids),
            event_ids=[str(event_id) for event_id in event_ids[:_IDS_IN_A_LINE]],
            detail="these events are left with their messages alone; a worker that settles one records it",
        )
