"""The access token of the accept call: cached per process, shared through Redis, renewed by one at a time.

The Token endpoint's field names are not published for this API, so the request's names are settings and
the reply is read leniently (BETCORE, auth token).
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

import httpx
import structlog

from producer.protocol.reply import ReplyUnreadable, read_bounded
from worker.domain.deadline import Deadline
from worker.errors import BearerUnavailable
from worker.time_limit import ends_by

TOKEN_PATH: Final = "/mis-api/api/v2/auth/token"  # noqa: S105 - the path of the endpoint
MAX_REPLY_BYTES: Final = 65_536

_TOKEN_NAMES: Final = ("AccessToken", "access_token", "Token", "token")
_LIFETIME_NAMES: Final = ("ExpiresIn", "expires_in")
_DEFAULT_LIFETIME_SECONDS: Final = 300.0
_LONGEST_LIFETIME_SECONDS: Final = 86_400.0
# Renewed when this share of its life is left, and at least this long before its end.
_RENEWAL_SHARE: Final = 0.2
_WAIT_FOR_OTHER_SECONDS: Final = 0.05
# Of the time that an attempt has: a Token endpoint that hangs must not cost the accept itself.
_EARLY_RENEWAL_SHARE: Final = 0.5
_PAUSE_AFTER_FAILURE_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token; times are Unix seconds."""

    text: str
    issued_at: float
    expires_at: float

    def is_good(self, now: float) -> bool:
        """Whether it still lives."""
        return now < self.expires_at

    def wants_renewal(self, now: float) -> bool:
        """Whether it is near its end and should be replaced while it still works."""
        return now >= self.expires_at - _RENEWAL_SHARE * (self.expires_at - self.issued_at)


class SharedTokens(Protocol):
    """The place where processes share the token, and the lock that lets one of them renew it.

    All methods raise OSError when the place cannot be reached; the token is then kept per process.
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


class TokenEndpoint:
    """BETCORE's Token endpoint: credentials in, access token out."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        base_url: str,
        credentials: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._url = base_url + TOKEN_PATH
        self._credentials = dict(credentials)
        self._clock = clock

    def fetch(self) -> AccessToken:
        """Ask for a new token; raises BearerUnavailable."""
        asked_at = self._clock()
        try:
            with self._client.stream("POST", self._url, json=self._credentials) as response:
                content = read_bounded(response, max_bytes=MAX_REPLY_BYTES)
        except (httpx.HTTPError, ReplyUnreadable) as error:
            raise BearerUnavailable(f"Token endpoint: {type(error).__name__}: {error}") from error
        if not response.is_success:
            raise BearerUnavailable(f"Token endpoint answered HTTP {response.status_code}")
        return read_token_reply(content, asked_at=asked_at)


def read_token_reply(content: bytes, *, asked_at: float) -> AccessToken:
    """Read the Token endpoint's reply; its members stand at the top or under `Value`."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BearerUnavailable("the Token endpoint's reply is not JSON") from error
    members: dict[str, object] = dict(reply) if isinstance(reply, dict) else {}
    nested = members.get("Value")
    members.update(nested if isinstance(nested, dict) else {})
    text = next((members[name] for name in _TOKEN_NAMES if isinstance(members.get(name), str)), None)
    if not isinstance(text, str) or not fits_a_header(text):
        raise BearerUnavailable("the Token endpoint's reply holds no token")
    lifetime = next((members[name] for name in _LIFETIME_NAMES if name in members), None)
    return AccessToken(text, asked_at, asked_at + _lifetime_seconds(lifetime))


def fits_a_header(text: str) -> bool:
    """Say whether a token can stand in an Authorization header: visible ASCII alone (RFC 6750, 2.1)."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _lifetime_seconds(value: object) -> float:
    known = isinstance(value, int | float | str) and not isinstance(value, bool)
    try:
        seconds = float(value) if known else _DEFAULT_LIFETIME_SECONDS  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        seconds = _DEFAULT_LIFETIME_SECONDS
    return min(seconds, _LONGEST_LIFETIME_SECONDS) if seconds > 0 else _DEFAULT_LIFETIME_SECONDS


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
