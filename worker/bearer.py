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

from worker.deadline import Deadline
from worker.errors import BearerUnavailable

TOKEN_PATH: Final = "/mis-api/api/v2/auth/token"
MAX_REPLY_BYTES: Final = 65_536

_TOKEN_NAMES: Final = ("AccessToken", "access_token", "Token", "token")
_LIFETIME_NAMES: Final = ("ExpiresIn", "expires_in")
_DEFAULT_LIFETIME_SECONDS: Final = 300.0
_LONGEST_LIFETIME_SECONDS: Final = 86_400.0
# Renewed when this share of its life is left, and at least this long before its end.
_RENEWAL_SHARE: Final = 0.2
_WAIT_FOR_OTHER_SECONDS: Final = 0.05

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
        self, client: httpx.Client, *, base_url: str, credentials: Mapping[str, str], clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._url = base_url + TOKEN_PATH
        self._credentials = dict(credentials)
        self._clock = clock

    def fetch(self) -> AccessToken:
        """Ask for a new token; raises BearerUnavailable."""
        asked_at = self._clock()
        try:
            response = self._client.post(self._url, json=self._credentials)
        except httpx.HTTPError as error:
            raise BearerUnavailable(f"Token endpoint: {type(error).__name__}: {error}") from error
        if not response.is_success or len(response.content) > MAX_REPLY_BYTES:
            raise BearerUnavailable(f"Token endpoint answered HTTP {response.status_code}")
        return read_token_reply(response.content, asked_at=asked_at)


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
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
        raise BearerUnavailable("the Token endpoint's reply holds no token")
    lifetime = next((members[name] for name in _LIFETIME_NAMES if name in members), None)
    return AccessToken(text, asked_at, asked_at + _lifetime_seconds(lifetime))


def _lifetime_seconds(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, int | float | str) else _DEFAULT_LIFETIME_SECONDS
    except ValueError:
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
        self._renewing = Lock()

    def bearer(self, deadline: Deadline) -> str:
        """Return a good token. Near its end one thread renews it while the others go on using it."""
        now = self._clock()
        token = self._token
        if token is not None and not token.wants_renewal(now):
            return token.text
        usable = token is not None and token.is_good(now)
        left_seconds = 0.0 if usable else deadline.remaining_seconds(self._monotonic())
        if not self._renewing.acquire(blocking=not usable, timeout=left_seconds if not usable else -1):
            if token is not None and usable:
                return token.text
            raise BearerUnavailable("another thread is still asking for the token")
        try:
            return self._renewed(token, deadline).text
        except BearerUnavailable:
            if token is None or not token.is_good(self._clock()):
                raise
            _log.warning("bearer_renewal_failed", exc_info=True)
            return token.text
        finally:
            self._renewing.release()

    def rejected(self, bearer: str) -> bool:
        """Drop the token here and for all, so that the next call gets another one."""
        with self._renewing:
            if self._token is not None and self._token.text == bearer:
                self._token = None
        try:
            self._shared.forget(bearer)
        except OSError:
            _log.warning("bearer_not_shared", exc_info=True)
        return True

    def _renewed(self, old: AccessToken | None, deadline: Deadline) -> AccessToken:
        if self._token is not None and self._token is not old:
            return self._token  # another thread renewed it while this one waited for the lock
        try:
            token = self._shared_or_fetched(old, deadline)
        except OSError:
            _log.warning("bearer_not_shared", exc_info=True)
            token = self._endpoint.fetch()
        self._token = token
        return token

    def _shared_or_fetched(self, old: AccessToken | None, deadline: Deadline) -> AccessToken:
        while True:
            token = self._shared.read()
            if token is not None and token != old and not token.wants_renewal(self._clock()):
                return token
            if self._shared.try_lock():
                return self._fetched_under_lock()
            if deadline.remaining_seconds(self._monotonic()) <= _WAIT_FOR_OTHER_SECONDS:
                raise BearerUnavailable("another process is still asking for the token")
            self._sleep(_WAIT_FOR_OTHER_SECONDS)

    def _fetched_under_lock(self) -> AccessToken:
        try:
            token = self._endpoint.fetch()
            self._shared.write(token, now=self._clock())
        finally:
            self._shared.unlock()
        return token
