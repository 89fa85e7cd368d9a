"""The access token of the accept call: cached per process, shared through Redis, renewed by one at a time."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final, Protocol

import structlog

from worker.betcore.token_endpoint import AccessToken, TokenEndpoint
from worker.domain.deadline import Deadline
from worker.errors import BearerUnavailable
from worker.time_limit import ends_by

_WAIT_FOR_OTHER_SECONDS: Final = 0.05
# Of the time that an attempt has: a Token endpoint that hangs must not cost the accept itself.
_EARLY_RENEWAL_SHARE: Final = 0.5
_PAUSE_AFTER_FAILURE_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class SharedTokens(Protocol):
    """Where processes share the token, and the lock that lets one of them renew it.

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
        """Become the one that renews; the lock ends by itself after some seconds."""
        ...

    def unlock(self) -> None:
        """Let others renew."""
        ...


class StaticBearer:
    """A token that the operator gave; nothing can renew it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def bearer(self, deadline: Deadline) -> str:  # noqa: ARG002 - the interface of all sources
        """Return the token."""
        return self._text

    def rejected(self, bearer: str) -> bool:  # noqa: ARG002 - the interface of all sources
        """Log it: only the operator can help."""
        _log.error("bearer_rejected", hint="BETCORE rejects CASHBACK_BEARER_TOKEN: set a new one")
        return False


class CachedBearer:
    """The token of the Token endpoint, held here and shared with the other processes."""

    def __init__(
        self,
        endpoint: TokenEndpoint,
        shared: SharedTokens,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._shared = shared
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._token: AccessToken | None = None
        self._rejected: str | None = None
        self._renew_after = 0.0
        self._renewing = Lock()

    def bearer(self, deadline: Deadline) -> str:
        """Return a good token. Near its end one thread renews it while the others go on using it."""
        now = self._clock()
        token = self._token
        if token is None or not token.is_good(now):
            return self._awaited(deadline).text
        if not token.wants_renewal(now) or now < self._renew_after:
            return token.text
        if not self._renewing.acquire(blocking=False):
            return token.text
        try:
            return self._renewed_early(token, deadline).text
        finally:
            self._renewing.release()

    def rejected(self, bearer: str) -> bool:
        """Drop the token here and for all, so that the next call gets another one."""
        with self._renewing:
            if self._token is not None and self._token.text == bearer:
                self._token = None
                self._rejected = bearer
        try:
            self._shared.forget(bearer)
        except OSError:
            _log.warning("bearer_not_shared", exc_info=True)
        return True

    def _awaited(self, deadline: Deadline) -> AccessToken:
        """Get a token where there is none to go on with: one thread asks, the others wait for it."""
        if not self._renewing.acquire(timeout=deadline.remaining_seconds(self._monotonic())):
            raise BearerUnavailable("another thread is still asking for the token")
        try:
            token = self._token
            while token is None or not token.is_good(self._clock()):
                token = self._shared_or_fetched()
                if token is None:
                    self._wait_for_other_process(deadline)
            self._token = token
            return token
        finally:
            self._renewing.release()

    def _renewed_early(self, old: AccessToken, deadline: Deadline) -> AccessToken:
        """Try for a new token while the old one works; whatever happens, the attempt in hand goes on."""
        now = self._monotonic()
        share = Deadline(now + deadline.remaining_seconds(now) * _EARLY_RENEWAL_SHARE)
        try:
            with ends_by(share):
                new = self._shared_or_fetched()
        except BearerUnavailable:
            _log.warning("bearer_renewal_failed", exc_info=True)
            self._renew_after = self._clock() + _PAUSE_AFTER_FAILURE_SECONDS
            return old
        if new is None:  # another process is at it
            self._renew_after = self._clock() + _WAIT_FOR_OTHER_SECONDS
            return old
        self._token = new
        return new

    def _shared_or_fetched(self) -> AccessToken | None:
        """Take the shared token, or fetch one as the only one who does; None while another process does."""
        try:
            token = self._shared_token()
            if token is not None:
                return token
            if not self._shared.try_lock():
                return None
        except OSError:
            _log.warning("bearer_not_shared", exc_info=True)
            return self._endpoint.fetch()
        try:
            # Once more: between the look and the lock another process may have shared a new one.
            return self._shared_token() or self._fetched_and_shared()
        except OSError:
            _log.warning("bearer_not_shared", exc_info=True)
            return self._endpoint.fetch()
        finally:
            self._unlock()

    def _shared_token(self) -> AccessToken | None:
        token = self._shared.read()
        if token is None or token.text == self._rejected or token.wants_renewal(self._clock()):
            return None
        return token

    def _fetched_and_shared(self) -> AccessToken:
        token = self._endpoint.fetch()
        try:
            self._shared.write(token, now=self._clock())
        except OSError:
            _log.warning("bearer_not_shared", exc_info=True)
        return token

    def _unlock(self) -> None:
        try:
            self._shared.unlock()
        except OSError:  # the lock ends by itself
            _log.warning("bearer_lock_left", exc_info=True)

    def _wait_for_other_process(self, deadline: Deadline) -> None:
        if deadline.remaining_seconds(self._monotonic()) <= _WAIT_FOR_OTHER_SECONDS:
            raise BearerUnavailable("another process is still asking for the token")
        self._sleep(_WAIT_FOR_OTHER_SECONDS)
