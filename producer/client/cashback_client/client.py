"""The clients: `AsyncCashbackClient` for asyncio, and `CashbackClient`, which is the same for everybody else.

They submit BETCORE's tokens, over Redis or to a receiver, and ask a receiver how an event stands. Every call
ends within `timeout_seconds`, whatever the other side does. Nothing is retried but a connection to Redis that
was cut, once: to submit again is harmless at any time, because the same token is the same event.
"""

import asyncio
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack
from uuid import UUID

from cashback_client.envelope import EntryWriter
from cashback_client.errors import (
    CashbackClientError,
    ClientClosed,
    NotSubmitted,
    Refused,
    StatusUnknown,
    Unanswered,
    WrongSettings,
)
from cashback_client.http_exchange import Receiver
from cashback_client.receiver_api import PATH, EventStatus, events_body, outcomes_in, status_in
from cashback_client.redis_list import RedisList
from cashback_client.settings import Options, read_settings
from cashback_client.submission import Given, Outcome, Submission, taken

if TYPE_CHECKING:
    from concurrent.futures import Future

# Beyond a call's own time, which ends in the other thread: for a thread that does not get to run.
_GRACE_SECONDS: Final = 1.0
_CLOSED: Final = "the client was closed: make a new one"
_NO_TIME: Final = "the client was closed meanwhile, or its thread got no time to run"

Found = TypeVar("Found")


class AsyncCashbackClient:
    """Submits events and asks for them, in one event loop; `async with` closes it, or `close`.

    `url` is where events are submitted: `redis://`, `rediss://`, `sentinel://` or `sentinels://`, with the
    login of a user that may LPUSH onto its queue and no more, or the base URL of a receiver, `https://`.
    `Options` says the rest. Raises WrongSettings; nothing connects yet.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self._settings = read_settings(url, options)
        self._writer = EntryWriter(
            origin=f"client{os.getpid()}@{socket.gethostname()}", sender=str(uuid.uuid4())
        )
        self._is_closed = False
        self._list: RedisList | None = None
        if self._settings.redis is not None:
            self._list = RedisList(self._settings.redis, timeout_seconds=self._settings.timeout_seconds)
        self._http = Receiver(self._settings.http) if self._settings.http is not None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; later calls raise ClientClosed."""
        self._is_closed = True
        if self._list is not None:
            await self._list.close()

    async def submit(self, token: str, received_at_ms: int | None = None) -> Outcome:
        """Return when the event is submitted: it ends settled, answered or on record.

        `received_at_ms` is when make came in (Unix time in milliseconds), now by default: the 30 seconds
        count from it. Raises NotSubmitted (QuotaExceeded) where it is not certain that it is submitted, and
        Refused where it never will be.
        """
        [outcome] = await self.submit_many([token if received_at_ms is None else (token, received_at_ms)])
        if outcome.result == "refused":
            raise Refused(outcome.detail, reason=outcome.reason)
        if not outcome.is_submitted:
            raise NotSubmitted(
                f"the receiver could make no copy of it ({outcome.reason} {outcome.detail})",
                reason="unavailable",
                may_be_there=True,
            )
        return outcome

    async def submit_many(self, tokens: Iterable[Given]) -> list[Outcome]:
        """Return what became of each token, in their order; at most 1,000, each alone or with its time.

        By Redis all are submitted, or none. Raises NotSubmitted (QuotaExceeded) where it is certain of none,
        Refused where the receiver does not take the request, and what `taken` does.
        """
        until = self._until()
        submission = Submission(taken(tokens), now_ms=time.time_ns() // 1_000_000)
        if not submission.messages:
            return submission.outcomes()
        try:
            if self._list is not None:
                entries = submission.entries(self._writer)
                await self._list.push(self._settings.queue, entries, until=until)
                return submission.outcomes()
            body = events_body(submission.messages)
            reply = await self._receiver().exchange("POST", PATH, body, until=until)
        except Unanswered as error:
            raise NotSubmitted(str(error), reason=error.reason, may_be_there=error.was_sent) from error
        return submission.outcomes(outcomes_in(reply, submission.messages))

    async def status(self, event_id: UUID | str) -> EventStatus | None:
        """Return how an event stands, None where the receiver has no record of it.

        There is none yet of an event that lies on the queue alone. Raises StatusUnknown, WrongSettings where
        the client knows no receiver (`status_url`), and ValueError for a text that is no UUID.
        """
        until = self._until()
        wanted = event_id if isinstance(event_id, UUID) else UUID(event_id)
        try:
            reply = await self._receiver().exchange("GET", f"{PATH}/{wanted}", until=until)
        except Unanswered as error:
            raise StatusUnknown(str(error), reason=error.reason) from error
        return status_in(reply, wanted)

    def _until(self) -> float:
        if self._is_closed:
            raise ClientClosed(_CLOSED)
        return asyncio.get_running_loop().time() + self._settings.timeout_seconds

    def _receiver(self) -> Receiver:
        if self._http is None:
            raise WrongSettings("status is asked at a receiver: give the client its status_url and api_key")
        return self._http


class _Loop:
    """An event loop in a thread of its own, and a client in it. It starts with the first call."""

    def __init__(self, make: Callable[[], AsyncCashbackClient]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._is_stopped = False
        self._runs: tuple[threading.Thread, asyncio.AbstractEventLoop, AsyncCashbackClient] | None = None

    def start(self, call: Callable[[AsyncCashbackClient], Coroutine[Any, Any, Found]]) -> "Future[Found]":
        """Begin a call of the client; raises ClientClosed."""
        with self._lock:
            if self._is_stopped:
                raise ClientClosed(_CLOSED)
            if self._runs is None:
                loop, client = asyncio.new_event_loop(), self._make()
                # A daemon: a process that ends does not wait for who forgot to close.
                thread = threading.Thread(
                    target=_run, args=(loop, client), name="cashback-client", daemon=True
                )
                thread.start()
                self._runs = thread, loop, client
            _, loop, client = self._runs
            return asyncio.run_coroutine_threadsafe(call(client), loop)

    def stop(self) -> None:
        """Close the client, break off what it does, and end the loop."""
        with self._lock:
            self._is_stopped = True
            if self._runs is None:
                return
            thread, loop, _ = self._runs
            if thread.is_alive():
                loop.call_soon_threadsafe(loop.stop)
        thread.join(_GRACE_SECONDS)


def _run(loop: asyncio.AbstractEventLoop, client: AsyncCashbackClient) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        loop.run_forever()
        runner.run(client.close())


class CashbackClient:
    """Submits events and asks for them, from any number of threads; `with` closes it, or `close`.

    Everything is as with AsyncCashbackClient, which it runs in a thread of its own: that is what bounds each
    call. A process that was forked has a thread and connections of its own.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self._timeout_seconds = read_settings(url, options).timeout_seconds + _GRACE_SECONDS
        self._make = lambda: AsyncCashbackClient(url, **options)
        self._is_closed = False
        self._by_process: dict[int, _Loop] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; later calls raise ClientClosed."""
        self._is_closed = True
        self._loop().stop()

    def submit(self, token: str, received_at_ms: int | None = None) -> Outcome:
        """See AsyncCashbackClient.submit."""
        return self._call(lambda client: client.submit(token, received_at_ms), _not_submitted())

    def submit_many(self, tokens: Iterable[Given]) -> list[Outcome]:
        """See AsyncCashbackClient.submit_many."""
        # In the caller's thread, as it is the caller's iterator.
        given = taken(tokens)
        return self._call(lambda client: client.submit_many(given), _not_submitted())

    def status(self, event_id: UUID | str) -> EventStatus | None:
        """See AsyncCashbackClient.status."""
        late = StatusUnknown(_NO_TIME, reason="timed_out")
        return self._call(lambda client: client.status(event_id), late)

    def _call(
        self, call: Callable[[AsyncCashbackClient], Coroutine[Any, Any, Found]], late: CashbackClientError
    ) -> Found:
        if self._is_closed:
            raise ClientClosed(_CLOSED)
        future = self._loop().start(call)
        try:
            return future.result(self._timeout_seconds)
        except (TimeoutError, CancelledError):
            raise late from None
        finally:
            future.cancel()

    def _loop(self) -> _Loop:
        return self._by_process.setdefault(os.getpid(), _Loop(self._make))


def _not_submitted() -> NotSubmitted:
    return NotSubmitted(_NO_TIME, reason="timed_out", may_be_there=True)
