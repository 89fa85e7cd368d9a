"""BETCORE's Token endpoint: credentials in, access token out (BETCORE, auth token).

Its field names are not published for this API, so the request's names are settings and the reply is read
leniently.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from producer.protocol.reply import REQUEST_HEADERS, ReplyUnreadable, read_bounded
from worker.betcore.retry_after import retry_after_seconds
from worker.errors import BearerUnavailable, CredentialsRefused

TOKEN_PATH: Final = "/mis-api/api/v2/auth/token"  # noqa: S105 - the path of the endpoint
MAX_REPLY_BYTES: Final = 65_536

_REFUSALS: Final = frozenset({400, 401, 403})
_TOKEN_NAMES: Final = ("AccessToken", "access_token", "Token", "token")
_LIFETIME_NAMES: Final = ("ExpiresIn", "expires_in")
_DEFAULT_LIFETIME_SECONDS: Final = 300.0
_LONGEST_LIFETIME_SECONDS: Final = 86_400.0
# Renewed when this share of its life is left.
_RENEWAL_SHARE: Final = 0.2


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


class TokenEndpoint:
    """BETCORE's Token endpoint: credentials in, access token out."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        base_url: str,
        credentials: Mapping[str, str],
        timeout_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._url = base_url + TOKEN_PATH
        self._credentials = dict(credentials)
        self._clock = clock

    def fetch(self) -> AccessToken:
        """Ask for a new token; raises BearerUnavailable, or CredentialsRefused."""
        asked_at = self._clock()
        try:
            with self._client.stream(
                "POST",
                self._url,
                json=self._credentials,
                headers=REQUEST_HEADERS,
                timeout=self._timeout_seconds,
            ) as response:
                content = read_bounded(response, max_bytes=MAX_REPLY_BYTES)
        except (httpx.HTTPError, ReplyUnreadable) as error:
            raise BearerUnavailable(f"Token endpoint: {type(error).__name__}: {error}") from error
        if not response.is_success:
            raise self._refusal(response)
        return read_token_reply(content, asked_at=asked_at)

    def _refusal(self, response: httpx.Response) -> BearerUnavailable:
        text = f"Token endpoint answered HTTP {response.status_code}"
        if response.status_code in _REFUSALS:
            return CredentialsRefused(text)
        asked = response.headers.get("retry-after")
        return BearerUnavailable(
            text, retry_after_seconds=retry_after_seconds(response.status_code, asked, now=self._clock())
        )


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
