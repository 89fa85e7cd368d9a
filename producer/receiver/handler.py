"""The receiver's work: from the HTTP request of a make to two copies of the event and an answer."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

import structlog
from starlette.types import Receive, Scope, Send

from cashback_client.contract import OWN_PRODUCER, DataError, SettleMessage, cashback_id_of, read_data
from producer.copies.event import ReceivedEvent
from producer.protocol.claims import VerifiedToken
from producer.protocol.errors import (
    KeysUnavailable,
    LookupNeeded,
    TooManyUnknownKeys,
    VerificationError,
)
from producer.protocol.verifier import Verifier
from producer.receiver.answers import (
    RECEIVED,
    Answer,
    BacklogTooLong,
    DataUnreadable,
    Internal,
    NoCashbackId,
    NoCopyMade,
    NotAllowed,
    NotReceived,
    Overloaded,
    answer_to,
)
from producer.receiver.backlog import Backlog
from producer.receiver.http.body import BODY_TIMEOUT_SECONDS, read_body, token_in
from producer.receiver.http.clients import Clients
from producer.receiver.http.failures import FailedVerifications
from producer.receiver.metrics import ReceiverMetrics
from producer.receiver.pause import IntakePause
from producer.receiver.two_copies import TwoCopies
from producer.shared.log_tally import LogTally

_LOOKUP_THREADS: Final = 16
MAX_LOOKUPS: Final = 64
"""Makes whose key is looked for at once; more get 503. They take no place from those that are verified."""

_log = structlog.get_logger(__name__)


def unix_ms() -> int:
    """Return the time as Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class Receiver:
    """Handles makes.

    `lookup_timeout_seconds` bounds the search for a key, `now_ms` gives Unix time in milliseconds.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        verifier: Verifier,
        copies: TwoCopies,
        backlog: Backlog,
        pause: IntakePause,
        metrics: ReceiverMetrics,
        clients: Clients,
        failures: FailedVerifications,
        lookup_timeout_seconds: float,
        max_in_flight: int,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS,
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._verifier = verifier
        self._copies = copies
        self._backlog = backlog
        self._pause = pause
        self._metrics = metrics
        self._clients = clients
        self._failures = failures
        metrics.watch_in_flight(lambda: self._in_flight)
        self._lookup_timeout_seconds = lookup_timeout_seconds
        self._max_in_flight = max_in_flight
        self._body_timeout_seconds = body_timeout_seconds
        self._now_ms = now_ms
        self._in_flight = 0
        self._looked_up = 0
        self._told = LogTally()
        self._lookups = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="key-lookup")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one make: an ASGI application for HTTP."""
        received_at_ms = self._now_ms()
        started = time.perf_counter()
        answer = await self._answer(scope, receive, received_at_ms)
        self._metrics.make_answered(answer, seconds=time.perf_counter() - started)
        if answer.is_unverified:
            await self._failures.failed(self._clients.of(scope), scope, receive)
        await answer.response()(scope, receive, send)

    async def close(self, *, timeout_seconds: float) -> None:
        """Wait for copies under way, at most `timeout_seconds`; the answers to them may be gone already."""
        await self._copies.close(timeout_seconds=timeout_seconds)
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, scope: Scope, receive: Receive, received_at_ms: int) -> Answer:
        try:
            self._check_client(scope)
            token = token_in(await read_body(scope, receive, timeout_seconds=self._body_timeout_seconds))
            await self._receive(token, received_at_ms)
        except (NotReceived, VerificationError) as error:
            self._told.tell(
                _log.info,
                "make_not_received",
                per=error.reason,
                reason=error.reason,
                detail=str(error),
                client=self._clients.of(scope).address,
            )
            return answer_to(error)
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The last line of defence: the caller gets an answer that makes it try again.
            _log.exception("make_failed", reason=Internal.reason)
            return answer_to(Internal())
        return RECEIVED

    async def _receive(self, token: str, received_at_ms: int) -> None:
        self._check_room()
        message = SettleMessage(token=token, received_at_ms=received_at_ms)
        verified = await self._verify(token, message.received_at)
        # Only what BETCORE signed takes a place; while its key was looked for all may have been taken.
        self._check_room()
        self._in_flight += 1
        try:
            event = event_of(message, verified)
            if not await self._copies.make(event):
                raise NoCopyMade
            self._backlog.taken(event)
        finally:
            self._in_flight -= 1

    def _check_client(self, scope: Scope) -> None:
        if self._clients.are_restricted and not self._clients.of(scope).is_allowed:
            raise NotAllowed

    def _check_room(self) -> None:
        self._pause.refuse()
        if self._in_flight >= self._max_in_flight:
            raise Overloaded
        if self._backlog.is_too_long():
            raise BacklogTooLong

    async def _verify(self, token: str, at: datetime) -> VerifiedToken:
        try:
            return self._verifier.verify_with_known_keys(token, at=at)
        except LookupNeeded:
            if self._looked_up >= MAX_LOOKUPS:
                raise TooManyUnknownKeys from None
        self._looked_up += 1
        try:
            return await self._look_up(token, at)
        finally:
            self._looked_up -= 1

    async def _look_up(self, token: str, at: datetime) -> VerifiedToken:
        loop = asyncio.get_running_loop()
        lookup = loop.run_in_executor(self._lookups, lambda: self._verifier.verify(token, at=at))
        try:
            async with asyncio.timeout(self._lookup_timeout_seconds):
                return await lookup
        except TimeoutError as error:
            raise KeysUnavailable("the key of this token could not be had in time") from error


def event_of(
    message: SettleMessage, verified: VerifiedToken, *, producer: str = OWN_PRODUCER
) -> ReceivedEvent:
    """Return the event of a verified make; raise DataUnreadable or NoCashbackId where it carries none."""
    try:
        data = read_data(verified.data)
    except DataError as error:
        raise DataUnreadable(str(error)) from error
    cashback_id = cashback_id_of(data)
    if cashback_id is None:
        raise NoCashbackId
    return ReceivedEvent(message, message.event_id, cashback_id, data, producer)
