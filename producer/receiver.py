"""The receiver's work: from the HTTP request of a make to two copies of the event and an answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from producer.answers import (
    RECEIVED,
    Answer,
    BacklogTooLong,
    DataUnreadable,
    DoorError,
    Internal,
    NoCashbackId,
    NoCopyMade,
    Overloaded,
    answer_to,
)
from producer.backlog import Backlog
from producer.body import read_body, token_in
from producer.contract import DataError, SettleMessage, cashback_id_of, read_data, summary_of
from producer.errors import CopyFailed
from producer.metrics import ReceiverMetrics
from producer.publisher import Publisher
from producer.receipts import Receipts
from producer.verifier import KeysUnavailable, UnknownKey, VerificationError, VerifiedToken, Verifier

# Both copies bound themselves; this only catches one that fails to.
_COPY_SLACK_SECONDS: Final = 1.0
_LOOKUP_THREADS: Final = 16

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
        receipts: Receipts,
        publisher: Publisher,
        backlog: Backlog,
        metrics: ReceiverMetrics,
        copy_timeout_seconds: float,
        lookup_timeout_seconds: float,
        max_in_flight: int,
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._verifier = verifier
        self._receipts = receipts
        self._publisher = publisher
        self._backlog = backlog
        self._metrics = metrics
        self._copy_timeout_seconds = copy_timeout_seconds
        self._lookup_timeout_seconds = lookup_timeout_seconds
        self._max_in_flight = max_in_flight
        self._now_ms = now_ms
        self._in_flight = 0
        self._copies: set[asyncio.Task[bool]] = set()
        self._lookups = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="key-lookup")

    async def make(self, request: Request) -> Response:
        """Answer one make."""
        received_at_ms = self._now_ms()
        started = time.perf_counter()
        answer = await self._answer(request, received_at_ms)
        self._metrics.makes.labels(answer.outcome, answer.reason).inc()
        self._metrics.door_seconds.observe(time.perf_counter() - started)
        return answer.response()

    async def close(self, *, timeout_seconds: float) -> None:
        """Wait for copies under way, at most `timeout_seconds`; the answers to them may be gone already."""
        if self._copies:
            await asyncio.wait(self._copies, timeout=timeout_seconds)
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: Request, received_at_ms: int) -> Answer:
        try:
            token = token_in(await read_body(request))
            await self._receive(token, received_at_ms)
        except (DoorError, VerificationError) as error:
            _log.info("make_not_received", reason=error.reason, detail=str(error))
            return answer_to(error)
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The last line of defence: the caller gets an answer that makes it try again.
            _log.exception("make_failed", reason=Internal.reason)
            return answer_to(Internal())
        return RECEIVED

    async def _receive(self, token: str, received_at_ms: int) -> None:
        if self._in_flight >= self._max_in_flight:
            raise Overloaded
        if self._backlog.is_too_long():
            raise BacklogTooLong
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        try:
            message = SettleMessage(token=token, received_at_ms=received_at_ms)
            verified = await self._verify(token, message.received_at)
            data, cashback_id = _identified(verified)
            await self._copy(message, cashback_id, data)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)

    async def _verify(self, token: str, at: datetime) -> VerifiedToken:
        try:
            return self._verifier.verify_with_known_keys(token, at=at)
        except UnknownKey:
            loop = asyncio.get_running_loop()
            lookup = loop.run_in_executor(self._lookups, lambda: self._verifier.verify(token, at=at))
        try:
            async with asyncio.timeout(self._lookup_timeout_seconds):
                return await lookup
        except TimeoutError as error:
            raise KeysUnavailable("the key of this token could not be had in time") from error

    async def _copy(self, message: SettleMessage, cashback_id: int, data: dict[str, Any]) -> None:
        """Make both copies side by side; return once each has ended and at least one is certain.

        The copies are tasks of their own: whatever becomes of the request, they run to their end.
        """
        copies = [
            self._start("receipt", message, self._receipts.record(message, cashback_id=cashback_id)),
            self._start("message", message, self._publisher.publish(message, summary=summary_of(data))),
        ]
        done, _ = await asyncio.wait(copies, timeout=self._copy_timeout_seconds + _COPY_SLACK_SECONDS)
        if not any(copy.result() for copy in done):
            raise NoCopyMade

    def _start(self, kind: str, message: SettleMessage, work: Awaitable[object]) -> asyncio.Task[bool]:
        task = asyncio.create_task(self._made(kind, message, work), name=f"{kind} {message.event_id}")
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)
        return task

    async def _made(self, kind: str, message: SettleMessage, work: Awaitable[object]) -> bool:
        started = time.perf_counter()
        result = "error"
        try:
            await work
            result = "ok"
        except CopyFailed as error:
            result = error.reason
            _log.warning(
                "copy_failed", kind=kind, event_id=str(message.event_id), reason=result, detail=str(error)
            )
        except Exception:  # noqa: BLE001 - logged with its traceback
            # One copy's unforeseen fault must not undo the other.
            _log.exception("copy_failed", kind=kind, event_id=str(message.event_id), reason=result)
        finally:
            self._metrics.copies.labels(kind, result).inc()
            self._metrics.copy_seconds[kind].observe(time.perf_counter() - started)
        return result == "ok"


def _identified(verified: VerifiedToken) -> tuple[dict[str, Any], int]:
    try:
        data = read_data(verified.data)
    except DataError as error:
        raise DataUnreadable(str(error)) from error
    cashback_id = cashback_id_of(data)
    if cashback_id is None:
        raise NoCashbackId
    return data, cashback_id
