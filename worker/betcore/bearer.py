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

from worker.betcore.token_endpoint import AccessToken, TokenEndpoint
from worker.domain.deadline import Backoff, Deadline
from worker.errors import BearerUnavailable, CredentialsRefused
from worker.metrics import Metrics

# Between two calls of the Token endpoint, whatever came of the first one and whichever process made it.
LEAST_PAUSE_SECONDS: Final = 1.0
_PAUSES: Final = Backoff(base_seconds=1.0, cap_seconds=8.0)
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


class StaticBearer:
    """A token that the operator gave; nothing can renew it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._log_after = 0.0

    async def bearer(self, deadline: Deadline) -> str:  # noqa: ARG002 - the interface of all sources
        """Return the token."""
        return self._text

    def rejected(self, bearer: str) -> bool:  # noqa: ARG002 - the interface of all sources
        """Log it: only the operator can help."""
        now = time.monotonic()
        if now >= self._log_after:
            self._log_after = now + _LOG_PAUSE_SECONDS
            _log.error("bearer_rejected", hint="BETCORE rejects CASHBACK_BEARER_TOKEN: set a new one")
        return False

    def close(self) -> None:
        """There is nothing to stop."""


class CachedBearer:
    """The token of the Token endpoint, held here and shared with the other processes."""

    def __init__(  # noqa: PLR0913 - its clocks are arguments, keyword-only
        self,
        endpoint: TokenEndpoint,
        shared: SharedTokens,
        *,
        metrics: Metrics,
        random: Callable[[], float],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._shared = shared
        self._metrics = metrics
        self._random = random
        self._clock = clock
        self._monotonic = monotonic
        self._token: AccessToken | None = None
        self._rejected: str | None = None
        self._to_forget: str | None = None
        self._failures = 0
        self._rejections = 0
        self._ask_again_at = 0.0
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
        self._thread.shutdown(cancel_futures=True)

    def _renewing(self) -> "asyncio.Future[None]":
        """Return the renewal that is under way, and begin one where there is none."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().run_in_executor(self._thread, self._renew)
            # Nobody may wait for one that was begun early.
            self._renewal.add_done_callback(lambda renewal: renewal.cancelled() or renewal.exception())
        return self._renewal

    def _renew(self) -> None:
        """Take the shared token, or ask for one as the only one who does; raises BearerUnavailable."""
        self._forget()
        while not self._closing.is_set():
            try:
                token = self._shared_token()
                may_ask = token is None and self._may_ask_now() and self._shared.try_lock()
            except OSError as error:
                _log.warning("bearer_not_shared", error=str(error))
                token, may_ask = None, self._may_ask_now()
            if token is None and may_ask:
                token = self._fetched()
            if token is not None:
                self._token = token
                return
            self._closing.wait(_LOOK_SECONDS)
        raise BearerUnavailable("the worker stops")

    def _may_ask_now(self) -> bool:
        return self._monotonic() >= self._ask_again_at

    def _fetched(self) -> AccessToken:
        try:
            token = self._endpoint.fetch()
        except BearerUnavailable as error:
            self._metrics.bearers.labels(result=error.reason).inc()
            self._log_failure(error.reason, f"{error}{_hint(error)}")
            self._leave_alone(max(self._pause_seconds(self._failures), error.retry_after_seconds))
            self._failures += 1
            raise
        self._metrics.bearers.labels(result="ok").inc()
        self._failures = 0
        self._share(token)
        self._leave_alone(LEAST_PAUSE_SECONDS)
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
        """Have no process ask the Token endpoint for so long."""
        self._ask_again_at = self._monotonic() + seconds
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
