"""The access token in Redis, where all worker processes find it, and nobody else can read it."""

import base64
import json
import secrets
from contextlib import AbstractContextManager
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from worker.betcore.token_endpoint import AccessToken, fits_a_header
from worker.broker_client import client_of

if TYPE_CHECKING:
    import redis

# More than a call of the Token endpoint can take.
_LOCK_SECONDS: Final = 10
# These change the key only while it still holds what the caller thinks it holds.
_KEEP_IF_EQUAL: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) "
    "else return 0 end"
)
_DELETE_IF_EQUAL: Final = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"
)


class RedisTokens:
    """`SharedTokens` on the broker's own server, through kombu's pool (so `sentinel://` works as well).

    `secret` is what only workers have: a key made of it keeps the token from all others who read Redis.
    """

    def __init__(self, pool: Any, *, name: str, secret: str, timeout_seconds: float) -> None:  # noqa: ANN401 - kombu
        self._pool = pool
        self._key = f"cashback:bearer:{name}"
        self._lock_key = f"{self._key}:lock"
        self._cipher = cipher_of(secret, name=name)
        self._owner = secrets.token_hex(16)
        self._timeout_seconds = timeout_seconds

    def read(self) -> AccessToken | None:
        """Return the shared token, if there is one; an unreadable one counts as none."""
        with self._client() as client:
            stored = client.get(self._key)
        return self._parse(stored)

    def write(self, token: AccessToken, *, now: float) -> None:
        """Share a token until its end."""
        lifetime_ms = max(1, int((token.expires_at - now) * 1000))
        with self._client() as client:
            client.set(self._key, self._cipher.encrypt(_dump(token)), px=lifetime_ms)

    def forget(self, text: str) -> None:
        """Remove the token if it is still this one."""
        with self._client() as client:
            stored = client.get(self._key)
            token = self._parse(stored)
            if stored is not None and token is not None and token.text == text:
                client.eval(_DELETE_IF_EQUAL, 1, self._key, stored)

    def try_lock(self) -> bool:
        """Become the one that asks, for at most some seconds."""
        with self._client() as client:
            return bool(client.set(self._lock_key, self._owner, nx=True, ex=_LOCK_SECONDS))

    def rest(self, seconds: float) -> None:
        """Have nobody ask for so long."""
        with self._client() as client:
            client.eval(_KEEP_IF_EQUAL, 1, self._lock_key, self._owner, max(1, round(seconds * 1000)))

    def _client(self) -> AbstractContextManager["redis.Redis"]:
        return client_of(self._pool, timeout_seconds=self._timeout_seconds)

    def _parse(self, stored: object) -> AccessToken | None:
        if not isinstance(stored, bytes):
            return None
        try:
            return _load(self._cipher.decrypt(stored))
        except InvalidToken:
            return None


def cipher_of(secret: str, *, name: str) -> Fernet:
    """Return what the token of this name is encrypted with."""
    key = HKDF(SHA256(), length=32, salt=None, info=f"cashback access token of {name}".encode())
    return Fernet(base64.urlsafe_b64encode(key.derive(secret.encode())))


def _dump(token: AccessToken) -> bytes:
    members = {"text": token.text, "issued_at": token.issued_at, "expires_at": token.expires_at}
    return json.dumps(members).encode()


def _load(content: bytes) -> AccessToken | None:
    try:
        members = json.loads(content)
        token = AccessToken(str(members["text"]), float(members["issued_at"]), float(members["expires_at"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    # Not believed further than needed: a token without end would be used for ever.
    sound = fits_a_header(token.text) and isfinite(token.issued_at) and isfinite(token.expires_at)
    return token if sound else None
