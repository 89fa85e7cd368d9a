"""Accepts in flight: one event loop in a thread of its own, where hundreds wait and none holds a thread.

BETCORE's latency bounds nothing here but itself: fresh events are settled by the task threads meanwhile.
Decision 33.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import structlog

from worker.betcore.accept import AcceptClient, AcceptReply, Verdict, not_answered
from worker.domain.accepts import SentAccepts
from worker.errors import LedgerUnavailable
from worker.handling.attempt import Answer
from worker.handling.flight import AcceptLog, Flight, Sending, Then
from worker.handling.handler import Handler

# What follows from a reply other than an acknowledgement is written to PostgreSQL and to Redis.
AFTERWARDS_THREADS: Final = 4
_LOOK_SECONDS: Final = 0.5
# How much longer an event is held when its hold is about to end.
_HOLD_SECONDS: Final = 5.0
_HOLD_MARGIN_SECONDS: Final = 1.5
# An accept that was sent so much later than another one and is answered before it: the other one is lost.
_OVERTAKEN_SECONDS: Final = 1.0
# So long before the end an accept that is still in flight is sent once more, whatever is known of BETCORE.
_LAST_CHANCE_SECONDS: Final = 3.0
_STOP_SECONDS: Final = 5.0
# Of all accepts in flight: while BETCORE hangs, a flood of theirs leaves room for those of our own makes.
PARTNERS_SHARE: Final = 0.5

_log = structlog.get_logger(__name__)


class Answering:
    """Sends accepts and takes what follows. `send` is for any thread; all else runs in the event loop.

    `worker` names this process on record.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        handler: Handler,
        accept: AcceptClient,
        max_in_flight: int,
        worker: str,
        loop_factory: Callable[[], asyncio.AbstractEventLoop],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.handler = handler
        self._accept = accept
        self._max_in_flight = max_in_flight
        self._max_of_partners = max(1, int(PARTNERS_SHARE * max_in_flight))
        self._worker = worker
        self._monotonic = monotonic
        self._loop = loop_factory()
        self._thread = threading.Thread(target=self._run, name="answering", daemon=True)
        self._afterwards = ThreadPoolExecutor(AFTERWARDS_THREADS, thread_name_prefix="after-accept")
        self._flights: set[Flight] = set()
        self._of_partners: set[Flight] = set()
        self._following: set[Flight] = set()
        # Of all accepts that were answered, when the one was sent that was sent last.
        self._newest_answered_at = 0.0
        self._is_looking = False
        self._is_stopping = False
        self._all_landed = threading.Event()

    @property
    def max_in_flight(self) -> int:
        """How many accepts may wait for BETCORE at once."""
        return self._max_in_flight

    def start(self) -> None:
        """Start the event loop."""
        self.handler.metrics.waiting_accepts.set_function(lambda: len(self._flights))
        self._thread.start()

    def send(self, answer: Answer, then: Then) -> None:
        """Have the accept sent, and `then` called, in any thread, with the step that follows.

        Beyond the limit nothing is sent: the event is on record and comes again later. After `close` began
        nothing is sent either, and `then` is not called: whoever takes the event next sends it.
        """
        if self._is_stopping:
            return
        if not self._has_room(answer):
            self._follow(answer, then, _NO_ROOM, sent=())
            return
        self._loop.call_soon_threadsafe(self._begin, answer, then)

    def _has_room(self, answer: Answer) -> bool:
        if answer.attempt.is_partners and len(self._of_partners) >= self._max_of_partners:
            return False
        return len(self._flights) < self._max_in_flight

    def close(self, *, timeout_seconds: float) -> None:
        """Wait for answers, for at most `timeout_seconds`; the rest is for whoever takes the events next."""
        self._is_stopping = True
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._check_landed)
        if not self._all_landed.wait(timeout_seconds) and self._flights:
            _log.warning("accepts_left", events=len(self._flights))
        self._afterwards.shutdown(cancel_futures=True)
        stopping = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        stopping.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _stop(self) -> None:
        sending = [task for flight in self._flights for task in flight.sending]
        self._flights.clear()
        self._of_partners.clear()
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await self._accept.close()

    def _check_landed(self) -> None:
        if self._is_stopping and not self._flights and not self._following:
            self._all_landed.set()

    def _begin(self, answer: Answer, then: Then) -> None:
        hold_seconds = self.handler.timing.hold_seconds
        accepts = AcceptLog(worker=self._worker, clock=self.handler.clock, monotonic=self._monotonic)
        flight = Flight(answer, then, accepts=accepts, now=self._monotonic(), hold_seconds=hold_seconds)
        self._flights.add(flight)
        if answer.attempt.is_partners:
            self._of_partners.add(flight)
        self._send_once(flight)
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(_LOOK_SECONDS, self._look)

    def _send_once(self, flight: Flight) -> None:
        sending = self._loop.create_task(
            self._accept.send(flight.answer.body, flight.answer.deadline, partial(self._sent, flight))
        )
        flight.sending[sending] = self._monotonic()
        sending.add_done_callback(partial(self._landed, flight))

    def _sent(self, flight: Flight) -> Callable[[AcceptReply], None]:
        """Take note that an accept leaves now: until then it waited for its token."""
        if (sending := asyncio.current_task()) in flight.sending:
            flight.sending[sending] = self._monotonic()
        return flight.accepts.begin()

    def _landed(self, flight: Flight, sending: Sending) -> None:
        sent_at = flight.sending.pop(sending)
        if flight not in self._flights or sending.cancelled():
            return
        reply = _reply_of(sending)
        self.handler.metrics.accept_read(reply.verdict, reply.oddity)
        self.handler.metrics.accept_seconds.observe(self._monotonic() - sent_at)
        if reply.was_answered:
            self._newest_answered_at = max(self._newest_answered_at, sent_at)
        if reply.verdict is Verdict.PASSING and flight.sending:
            flight.last = reply
            return
        self._end(flight, reply)

    def _end(self, flight: Flight, reply: AcceptReply) -> None:
        self._flights.discard(flight)
        self._of_partners.discard(flight)
        for other in flight.sending:
            other.cancel()
        sent = flight.accepts.records(reply)
        if reply.verdict is Verdict.ACKNOWLEDGED and self.handler.answered_marks.has_room():
            self._follow(flight.answer, flight.then, reply, sent=sent)
        else:
            self._following.add(flight)
            self._afterwards.submit(self._follow_afterwards, flight, reply, sent)
        self._check_landed()

    def _follow_afterwards(self, flight: Flight, reply: AcceptReply, sent: SentAccepts) -> None:
        self._follow(flight.answer, flight.then, reply, sent=sent)
        self._following.discard(flight)
        if self._is_stopping:
            self._loop.call_soon_threadsafe(self._check_landed)

    def _follow(self, answer: Answer, then: Then, reply: AcceptReply, *, sent: SentAccepts) -> None:
        try:
            after_reply = answer.after_reply or self.handler.after_reply
            then(after_reply(answer, reply, sent=sent))
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The message stays with this worker until its lease ends, and the receipt until its hold does.
            _log.exception("answer_not_followed", event_id=str(answer.attempt.event_id))

    def _look(self) -> None:
        """Hold what is still in flight, and send again what seems lost."""
        now = self._monotonic()
        to_hold = [flight for flight in self._flights if flight.held_until - now < _HOLD_MARGIN_SECONDS]
        for flight in to_hold:
            flight.held_until = now + _HOLD_SECONDS
        if to_hold:
            self._afterwards.submit(self._hold, to_hold)
        for flight in self._flights:
            if self._seems_lost(flight, now):
                self._send_once(flight)
        self._is_looking = bool(self._flights)
        if self._is_looking:
            self._loop.call_later(_LOOK_SECONDS, self._look)

    def _hold(self, flights: list[Flight]) -> None:
        event_ids = [flight.answer.attempt.event_id for flight in flights]
        try:
            self.handler.ledger.hold(event_ids, hold_seconds=_HOLD_SECONDS)
        except LedgerUnavailable as error:
            # They are overdue then: somebody sends their accepts once more, with the same answers.
            _log.warning("events_not_held", events=len(event_ids), error=str(error))

    def _seems_lost(self, flight: Flight, now: float) -> bool:
        """Whether the accept that was sent last has to be given up for lost."""
        if not flight.sending or not flight.accepts:
            return False
        sent_at = max(flight.sending.values())
        hold_seconds = self.handler.timing.hold_seconds
        is_near_end = flight.answer.deadline.remaining_seconds(now) < _LAST_CHANCE_SECONDS
        if now - sent_at < (_OVERTAKEN_SECONDS if is_near_end else hold_seconds):
            return False
        if sent_at + _OVERTAKEN_SECONDS < self._newest_answered_at:
            return True
        if not is_near_end or flight.had_last_chance or now - sent_at < hold_seconds:
            return False
        flight.had_last_chance = True
        return True


_NO_ROOM: Final = not_answered("not sent: too many accepts wait for BETCORE")


def _reply_of(sending: Sending) -> AcceptReply:
    error = sending.exception()
    if error is None:
        return sending.result()
    _log.error("accept_broken", exc_info=error)
    return not_answered(f"{type(error).__name__}: {error}")
