"""Both copies of each event on their way, and which of them a make waits for. Decisions 11 and 21."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import random
from typing import Final

import structlog

from producer.copies.circuit import Circuit
from producer.copies.errors import CopyFailed
from producer.copies.event import ReceivedEvent
from producer.copies.receipts.late import LateReceipts
from producer.copies.stores import MessageStore, ReceiptStore
from producer.copies.try_again import Step, TryAgain
from producer.receiver.metrics import MESSAGE, RECEIPT, ReceiverMetrics
from producer.shared.log_tally import LogTally

# Of the time of a make: if the copy that is tried is not certain by then, the other one is tried beside it.
_ALONE_SHARE: Final = 0.5
_LOOK_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 0.5

_log: Final = structlog.get_logger(__name__)


class TwoCopies:
    """Makes both copies of each event side by side.

    While the server of one of them is away, a make is answered on the other alone, and that server is looked
    for in the background. A receipt that could not be made is made later, see `LateReceipts`; a message is
    not, because the sweeper takes up what has none. `timeout_seconds` is the longest that a make waits here.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        receipts: ReceiptStore,
        messages: MessageStore,
        metrics: ReceiverMetrics,
        timeout_seconds: float,
        cutoff_seconds: float,
        now_ms: Callable[[], int],
    ) -> None:
        self.metrics = metrics
        self.timeout_seconds = timeout_seconds
        self.starts = {RECEIPT: receipts.record, MESSAGE: messages.publish}
        self._messages = messages
        self._look = TryAgain(
            self._look_for_redis,
            name="look for Redis",
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
            random=random,
        )
        receipt = Circuit(RECEIPT, server="PostgreSQL", on_open=self._postgresql_is_away)
        message = Circuit(MESSAGE, server="Redis", on_open=self._redis_is_away)
        self._circuits = {RECEIPT: receipt, MESSAGE: message}
        self._late = LateReceipts(
            receipts,
            circuit=receipt,
            cutoff_seconds=cutoff_seconds,
            now_ms=now_ms,
            random=random,
            on_end=metrics.late_receipts_ended,
        )
        metrics.watch_late_receipts(lambda: self._late.waiting)
        for kind in self._circuits:
            metrics.watch_circuit(kind, partial(self.is_away, kind))
        self._log = LogTally()
        self._under_way: set[_Copies] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def is_away(self, kind: str) -> bool:
        """Whether the server of this kind of copy counts as away."""
        return self._circuits[kind].is_away

    async def make(self, event: ReceivedEvent) -> bool:
        """Return whether at least one copy is certain, once both have ended or the other's server is away.

        Whatever becomes of the request, both run to their end.
        """
        copies = _Copies(event, self)
        self._under_way.add(copies)
        self._is_idle.clear()
        copies.start()
        return await copies.are_certain

    async def close(self, *, timeout_seconds: float) -> None:
        """Wait for copies under way and try late receipts a last time, at most `timeout_seconds` together."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._is_idle.wait()
                await self._look.stop()
                await self._late.try_last()
        self._late.leave()

    def ended(self, kind: str, event: ReceivedEvent, error: Exception | None, *, began: float) -> None:
        """Take note of the end of one copy."""
        now = time.perf_counter()
        if error is None:
            self._circuits[kind].succeeded(now=now)
            result = "ok"
        else:
            self._circuits[kind].failed(error, began=began, now=now)
            result = self._reported(kind, event, error)
        self.metrics.copy_ended(kind, result, seconds=now - began)

    def _reported(self, kind: str, event: ReceivedEvent, error: Exception) -> str:
        """Log why a copy was not made; return the reason."""
        # One copy's unforeseen fault must not undo the other.
        is_foreseen = isinstance(error, CopyFailed)
        reason = error.reason if isinstance(error, CopyFailed) else "error"
        details = {"detail": str(error)} if is_foreseen else {"exc_info": error}
        log = _log.warning if is_foreseen else _log.error
        per, event_id = f"{kind} {reason}", str(event.event_id)
        self._log.tell(log, "copy_failed", per=per, event_id=event_id, kind=kind, reason=reason, **details)
        return reason

    def over(self, copies: "_Copies", *, late: ReceivedEvent | None) -> None:
        """Take note that both have ended; the receipt of `late` is to be made later."""
        self._under_way.discard(copies)
        if late is not None:
            self._late.add(late)
        if not self._under_way:
            self._is_idle.set()

    def _postgresql_is_away(self) -> None:
        self._late.look()
        self._let_go()

    def _redis_is_away(self) -> None:
        self._look.start()
        self._let_go()

    def _let_go(self) -> None:
        """Have those answered that waited for nothing but what has just been found away."""
        for copies in list(self._under_way):
            copies.look_up()

    async def _look_for_redis(self) -> Step:
        circuit = self._circuits[MESSAGE]
        if not circuit.is_away:
            return Step.NOTHING_LEFT
        try:
            await self._messages.check(timeout_seconds=_LOOK_SECONDS)
        except CopyFailed:
            return Step.FAILED
        circuit.succeeded(now=time.perf_counter())
        return Step.GOOD


class _Copies:
    """Both copies of one event on their way.

    `are_certain` says whether one was made, once no other is waited for.
    """

    __slots__ = (
        "_both",
        "_event",
        "_is_made",
        "_lacks_receipt",
        "_open",
        "_put_off",
        "_timers",
        "are_certain",
    )

    def __init__(self, event: ReceivedEvent, both: TwoCopies) -> None:
        self._event = event
        self._both = both
        self._open: list[str] = []
        self._is_made = False
        self._lacks_receipt = False
        self._put_off: str | None = None
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self.are_certain: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Start both; or one, where the other's server alone is away."""
        receipt_is_away, message_is_away = self._both.is_away(RECEIPT), self._both.is_away(MESSAGE)
        if receipt_is_away is message_is_away:
            self._open = [RECEIPT, MESSAGE]
            # The receipt first: what its message costs here is then done while PostgreSQL works.
            self._start(RECEIPT)
            self._start(MESSAGE)
            return
        first, self._put_off = (MESSAGE, RECEIPT) if receipt_is_away else (RECEIPT, MESSAGE)
        loop, seconds = self.are_certain.get_loop(), self._both.timeout_seconds
        self._timers = (
            loop.call_later(_ALONE_SHARE * seconds, self._start_put_off),
            loop.call_later(seconds, self._answer),
        )
        self._open = [first]
        self._start(first)

    def look_up(self) -> None:
        """Answer, if one is certain and the server of the other is away."""
        if self._is_made and (not self._open or self._both.is_away(self._open[0])):
            self._answer()

    def _start(self, kind: str) -> None:
        began = time.perf_counter()
        try:
            self._both.starts[kind](self._event, partial(self._ended, kind, began))
        except Exception as error:  # noqa: BLE001 - it is this copy's outcome, and reported as such
            self._ended(kind, began, error)

    def _start_put_off(self) -> None:
        if self._put_off is None:
            return
        kind, self._put_off = self._put_off, None
        self._open.append(kind)
        self._start(kind)

    def _ended(self, kind: str, began: float, error: Exception | None) -> None:
        self._open.remove(kind)
        if error is None:
            self._is_made = True
        elif kind == RECEIPT:
            self._lacks_receipt = True
        if not self._is_made and self._put_off is not None:
            self._start_put_off()
        elif not self._open:
            self._over()
        else:
            self.look_up()
        # Last: whoever waits must not depend on what is told about it.
        self._both.ended(kind, self._event, error, began=began)

    def _answer(self) -> None:
        if not self.are_certain.done():
            self.are_certain.set_result(self._is_made)

    def _over(self) -> None:
        self._answer()
        for timer in self._timers:
            timer.cancel()
        if self._put_off is not None:
            self._both.metrics.copy_put_off(self._put_off)
        lacks_receipt = self._lacks_receipt or self._put_off == RECEIPT
        self._both.over(self, late=self._event if self._is_made and lacks_receipt else None)
