"""The access token of the accept call: cached per process, shared through Redis, renewed by one at a time.

The Token endpoint is asked in a thread of its own: accepts that wait for a token wait in the event loop.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog

from worker.betcore.token_calls import CallEnded, TokenCalls
from worker.betcore.token_endpoint import AccessToken, TokenEndpoint
from worker.domain.deadline import Backoff, Deadline
from worker.errors import BearerUnavailable, CredentialsRefused
from worker.metrics import Metrics

# Between two calls of the Token endpoint, whatever came of the first one and whichever process made it.
LEAST_PAUSE_SECONDS: Final = 1.0
# Longer ones would take what events still have of their time when BETCORE is well again.
_PAUSES: Final = Backoff(base_seconds=1.0, cap_seconds=2.0)
# A call without an answer for so long does not keep the next one from being made.
UNANSWERED_SECONDS: Final = 1.25
# Another process that asks has shared its token by then, or whoever holds the lock is none of us.
BELIEVED_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
# A token that BETCORE rejects sooner than this was hardly ever good.
_SHORT_LIFE_SECONDS: Final = 10.0
_LOG_PAUSE_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class SharedTokens(Protocol):
    """Where processes share the token, and the lock that lets one of them ask for it.

    All methods raise OSError when that cannot be reached; the token is then kept per process.
    """

    def read(self) -> AccessToken | None:
        """Return the shared token, if there is one."""
        ...

    def write(self, token: AccessToken, *, now: float) -> None:
        """Share a token until its end."""
        ...

    def forget(self, text: str) -> None:
        """Remove the token if it is still this one."""
        ...

    def try_lock(self) -> bool:
        """Become the one that asks; the lock ends by itself after some seconds."""
        ...

    def rest(self, seconds: float) -> None:
        """Have nobody ask for so long: keep the lock, and let it end then."""
        ...


class CachedBearer:
    """The token of the Token endpoint, held here and shared with the other processes."""

    def __init__(  # noqa: PLR0913 - its clocks are arguments, keyword-only
        self,
        endpoint: TokenEndpoint,
        shared: SharedTokens,
        *,
        metrics: Metrics,
        random: Callable[[], float],
        unanswered_seconds: float = UNANSWERED_SECONDS,
        believed_seconds: float = BELIEVED_SECONDS,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = TokenCalls(endpoint, monotonic=monotonic)
        self._shared = shared
        self._metrics = metrics
        self._random = random
        self._unanswered_seconds = unanswered_seconds
        self._believed_seconds = believed_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._token: AccessToken | None = None
        self._rejected: str | None = None
        self._to_forget: str | None = None
        self._failures = 0
        self._rejections = 0
        self._ask_again_at = 0.0
        self._unanswered_until = 0.0
        self._log_after = 0.0
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bearer")
        self._renewal: asyncio.Future[None] | None = None

    async def bearer(self, deadline: Deadline) -> str:
        """Return a good token; near its end it is renewed while it is used. Raises BearerUnavailable."""
        last: BearerUnavailable | None = None
        while True:
            token = self._token
            if token is not None and token.is_good(self._clock()):
                if token.wants_renewal(self._clock()) and self._monotonic() >= self._ask_again_at:
                    self._renewing()
                return token.text
            left_seconds = deadline.remaining_seconds(self._monotonic())
            if left_seconds <= 0:
                raise last or BearerUnavailable("no access token came in time, from here or another process")
            done, _ = await asyncio.wait({self._renewing()}, timeout=left_seconds)
            error = next((renewal.exception() for renewal in done), None)
            if isinstance(error, BearerUnavailable):
                last = error
            elif error is not None:
                raise error

    def rejected(self, bearer: str) -> bool:
        """Drop the token here and for all, so that the next call gets another one."""
        token = self._token
        if token is None or token.text != bearer:
            return True
        self._token = None
        self._rejected = self._to_forget = bearer
        self._metrics.bearers.labels(result="rejected").inc()
        if self._clock() - token.issued_at < _SHORT_LIFE_SECONDS:
            self._log_failure("bearer_rejected", "BETCORE rejects the access token that it has just given")
            self._ask_again_at = self._monotonic() + self._pause_seconds(self._rejections)
            self._rejections += 1
        else:
            self._rejections = 0
        return True

    def close(self) -> None:
        """Stop asking; who waits for a token gets none."""
        self._closing.set()
        self._calls.close()
        self._thread.shutdown(cancel_futures=True)

    def _renewing(self) -> "asyncio.Future[None]":
        """Return the renewal that is under way, and begin one where there is none."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().run_in_executor(self._thread, self._renew)
            # Nobody may wait for one that was begun early.
            self._renewal.add_done_callback(lambda renewal: renewal.cancelled() or renewal.exception())
        return self._renewal

    def _renew(self) -> None:
        """Take the shared token, or ask for one as the only one who does; raises BearerUnavailable.

        Whoever writes to Redis can take the lock again and again, so the wait for who has it is bounded.
        """
        self._forget()
        waits_since = self._monotonic()
        while not self._closing.is_set():
            try:
                token = self._shared_token()
                may_ask = token is None and self._may_ask_now() and self._may_ask_alone(waits_since)
            except OSError as error:
                _log.warning("bearer_not_shared", error=str(error))
                token, may_ask = None, self._may_ask_now()
            if token is None and may_ask:
                waits_since = self._monotonic()
                self._calls.begin()
                self._unanswered_until = self._monotonic() + self._unanswered_seconds
                self._rest(self._unanswered_seconds)
            if token is None and (ended := self._calls.ended(within_seconds=_LOOK_SECONDS)):
                token = self._fetched(ended)
            if token is not None:
                self._token = token
                return
            self._closing.wait(_LOOK_SECONDS)
        raise BearerUnavailable("the worker stops")

    def _may_ask_now(self) -> bool:
        now = self._monotonic()
        return now >= self._ask_again_at and (now >= self._unanswered_until or not self._calls.are_under_way)

    def _may_ask_alone(self, waits_since: float) -> bool:
        return self._shared.try_lock() or self._monotonic() - waits_since >= self._believed_seconds

    def _fetched(self, ended: CallEnded) -> AccessToken | None:
        """Take note of what came of a call; raises BearerUnavailable."""
        token = ended.came_to
        if isinstance(token, BearerUnavailable):
            self._metrics.bearers.labels(result=token.reason).inc()
            self._log_failure(token.reason, f"{token}{_hint(token)}")
            # A call that took long was a pause in itself.
            pause_seconds = self._pause_seconds(self._failures) - ended.seconds
            self._leave_alone(max(LEAST_PAUSE_SECONDS, pause_seconds, token.retry_after_seconds))
            self._failures += 1
            raise token
        self._metrics.bearers.labels(result="ok").inc()
        self._failures = 0
        self._leave_alone(LEAST_PAUSE_SECONDS)
        if not token.is_good(self._clock()) or token.text == self._rejected:
            return None
        self._share(token)
        return token

    def _shared_token(self) -> AccessToken | None:
        token = self._shared.read()
        if token is None or token.text == self._rejected or token.wants_renewal(self._clock()):
            return None
        return token

    def _share(self, token: AccessToken) -> None:
        try:
            self._shared.write(token, now=self._clock())
        except OSError as error:
            _log.warning("bearer_not_shared", error=str(error))

    def _forget(self) -> None:
        text, self._to_forget = self._to_forget, None
        if text is None:
            return
        try:
            self._shared.forget(text)
        except OSError as error:
            _log.warning("bearer_not_shared", error=str(error))

    def _pause_seconds(self, failures: int) -> float:
        jittered = _PAUSES.delay_seconds(retries=failures, random=lambda: 0.5 + self._random() / 2)
        return max(LEAST_PAUSE_SECONDS, jittered)

    def _leave_alone(self, seconds: float) -> None:
        """Have no process ask the Token endpoint for so long, and for no less than was said before."""
        now = self._monotonic()
        self._ask_again_at = max(self._ask_again_at, now + seconds)
        self._rest(self._ask_again_at - now)

    def _rest(self, seconds: float) -> None:
        try:
            self._shared.rest(seconds)
        except OSError as error:  # the lock ends by itself
            _log.warning("bearer_lock_left", error=str(error))

    def _log_failure(self, event: str, error: str) -> None:
        now = self._monotonic()
        if now >= self._log_after:
            self._log_after = now + _LOG_PAUSE_SECONDS
            _log.error(event, error=error)


def _hint(error: BearerUnavailable) -> str:
    if not isinstance(error, CredentialsRefused):
        return ""
    return ": check CASHBACK_CLIENT_ID and CASHBACK_CLIENT_SECRET"
