"""From a token to verified claims: BETCORE signed it, and it was valid when it was received.

Tokens are JSON Web Tokens (RFC 7519) in compact form (RFC 7515, 3.1), signed with RS256. Decision 2.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from producer.client.contract import MAX_TOKEN_CHARS
from producer.protocol.errors import (
    BadClaims,
    BadSignature,
    KeysUnavailable,
    NotAToken,
    NotVouchedFor,
    TokenExpired,
    TokenNotYetValid,
    UnknownKey,
    UnsupportedToken,
    WrongClient,
    WrongIssuer,
)
from producer.protocol.jwks import ALGORITHM
from producer.protocol.keys import KeySet, KeysFetchFailed, RefetchTooSoon
from producer.protocol.verify_endpoint import VerifyEndpoint, VerifyUnavailable

_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_RS256: Final = RSAAlgorithm(RSAAlgorithm.SHA256)
# The end of the year 9999, which is where Python's datetime ends.
_MAX_NUMERIC_DATE: Final = 253_402_300_799


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a verified token says. `data` is the `data` claim as it came, of whatever JSON type."""

    issuer: str | None
    client_id: str | None
    not_before: datetime
    expires_at: datetime
    data: object


@dataclass(frozen=True, slots=True)
class _Unverified:
    kid: str
    signed: bytes
    payload: bytes
    signature: bytes


class Verifier:
    """Verifies tokens with BETCORE's published keys.

    `issuer` and `client_id` are checked where they are given. `leeway_seconds` is the clock skew
    allowed on nbf and exp. `fallback` is asked while the keys cannot be had.
    """

    def __init__(
        self,
        keys: KeySet,
        *,
        leeway_seconds: float,
        issuer: str | None = None,
        client_id: str | None = None,
        fallback: VerifyEndpoint | None = None,
    ) -> None:
        self._keys = keys
        self._leeway_seconds = leeway_seconds
        self._issuer = issuer
        self._client_id = client_id
        self._fallback = fallback

    def verify(self, token: str, *, at: datetime) -> VerifiedToken:
        """Verify a token that was received at `at` (aware); raise a VerificationError where it is not good.

        Blocks while an unknown key is fetched or BETCORE is asked, so call it in a thread.
        """
        unverified = _read(token)
        key = self._keys.get(unverified.kid) or self._find_key(unverified.kid)
        if key is not None:
            _check_signature(unverified, key)
        else:
            self._ask(token)
        return self._check_claims(unverified.payload, at)

    def verify_with_known_keys(self, token: str, *, at: datetime) -> VerifiedToken:
        """Do as `verify`, but never block: raise UnknownKey for a key that is not known at this moment."""
        unverified = _read(token)
        key = self._keys.get(unverified.kid)
        if key is None:
            raise UnknownKey
        _check_signature(unverified, key)
        return self._check_claims(unverified.payload, at)

    def _find_key(self, kid: str) -> RSAPublicKey | None:
        """Fetch the key; None where only the fallback can decide."""
        try:
            key = self._keys.fetch_for_unknown(kid)
        except KeysFetchFailed as error:
            if self._fallback is not None:
                return None
            # Where the rate limit alone forbids to look, the key may well be a new one of BETCORE's, and 401
            # would lose a make.
            detail = "too many unknown keys" if isinstance(error, RefetchTooSoon) else str(error)
            raise KeysUnavailable(f"the key of this token cannot be had now: {detail}") from error
        if key is None:
            raise UnknownKey
        return key

    def _ask(self, token: str) -> None:
        if self._fallback is None:
            raise KeysUnavailable
        try:
            is_valid = self._fallback.vouches_for(token)
        except VerifyUnavailable as error:
            raise KeysUnavailable(
                f"neither the keys nor the Verify endpoint can be had now: {error}"
            ) from error
        if not is_valid:
            raise NotVouchedFor

    def _check_claims(self, payload: bytes, at: datetime) -> VerifiedToken:
        claims = _json_object(payload)
        if claims is None:
            raise BadClaims("the claims are not a JSON object")
        not_before, expires_at = _numeric_date(claims, "nbf"), _numeric_date(claims, "exp")
        at_seconds = at.timestamp()
        if at_seconds + self._leeway_seconds < not_before:
            raise TokenNotYetValid
        if at_seconds - self._leeway_seconds >= expires_at:
            raise TokenExpired
        issuer, client_id = _text(claims, "iss"), _text(claims, "client_id")
        if self._issuer is not None and issuer != self._issuer:
            raise WrongIssuer
        if self._client_id is not None and client_id != self._client_id:
            raise WrongClient
        return VerifiedToken(
            issuer=issuer,
            client_id=client_id,
            not_before=datetime.fromtimestamp(not_before, tz=UTC),
            expires_at=datetime.fromtimestamp(expires_at, tz=UTC),
            data=claims.get("data"),
        )


def is_token_shaped(text: str) -> bool:
    """Say whether `text` looks like a JSON Web Token: three base64url parts, not too long."""
    return len(text) <= MAX_TOKEN_CHARS and _SHAPE.fullmatch(text) is not None


def _read(token: str) -> _Unverified:
    """Take a token apart. Of its header only alg, kid and crit are read; nothing of it is believed yet."""
    if not is_token_shaped(token):
        raise NotAToken
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    values = _json_object(_decode(header))
    if values is None:
        raise NotAToken("the token's header is not a JSON object")
    kid = values.get("kid")
    if values.get("alg") != ALGORITHM or "crit" in values or not isinstance(kid, str):
        raise UnsupportedToken
    return _Unverified(kid, signed.encode("ascii"), _decode(payload), _decode(signature))


def _check_signature(unverified: _Unverified, key: RSAPublicKey) -> None:
    # The algorithm is pinned here, beside the key; the header had no say in it (RFC 8725, 3.1).
    if not _RS256.verify(unverified.signed, key, unverified.signature):
        raise BadSignature


def _decode(segment: str) -> bytes:
    padded = segment + "=" * (-len(segment) % 4)
    try:
        decoded = urlsafe_b64decode(padded)
    except ValueError as error:
        raise NotAToken("the token is not base64url") from error
    # One event must have one spelling: the unused bits of the last character have to be zero.
    if urlsafe_b64encode(decoded).decode("ascii") != padded:
        raise NotAToken("the token is not canonical base64url")
    return decoded


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _numeric_date(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadClaims(f"{name} is missing or not a number")
    if not 0 <= value <= _MAX_NUMERIC_DATE:  # NaN and the infinities are outside, too
        raise BadClaims(f"{name} is not a date")
    return value


def _text(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) else None
