"""What the claims of a signed token must say (RFC 7519, 4.1; RFC 8725). Decision 34."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from producer.protocol.compact import json_object
from producer.protocol.errors import (
    BadClaims,
    TokenExpired,
    TokenLivesTooLong,
    TokenNotYetValid,
    WrongAudience,
    WrongClient,
    WrongIssuer,
)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """What the claims must say.

    `client_ids` are the partners whom a token may be for, None: whomever; BETCORE's keys sign for all of its
    partners. `issuer` and `audience` are checked where they are given. `leeway_seconds` is the clock skew
    allowed on nbf, exp and iat, `max_life_seconds` the longest time from nbf to exp.
    """

    client_ids: frozenset[str] | None
    leeway_seconds: float
    max_life_seconds: float
    issuer: str | None = None
    audience: str | None = None

    def read(self, payload: bytes, *, at: datetime) -> VerifiedToken:
        """Return the claims of a signed token that was received at `at`; raises a VerificationError."""
        claims = json_object(payload)
        if claims is None:
            raise BadClaims("the claims are not a JSON object")
        not_before, expires_at = self._check_times(claims, at.timestamp())
        issuer, client_id = _text(claims, "iss"), _text(claims, "client_id")
        if self.issuer is not None and issuer != self.issuer:
            raise WrongIssuer
        if self.client_ids is not None and client_id not in self.client_ids:
            raise WrongClient
        if self.audience is not None and self.audience not in _audiences(claims):
            raise WrongAudience
        return VerifiedToken(
            issuer=issuer,
            client_id=client_id,
            not_before=datetime.fromtimestamp(not_before, tz=UTC),
            expires_at=datetime.fromtimestamp(expires_at, tz=UTC),
            data=claims.get("data"),
        )

    def _check_times(self, claims: dict[str, Any], at_seconds: float) -> tuple[float, float]:
        not_before, expires_at = _numeric_date(claims, "nbf"), _numeric_date(claims, "exp")
        if not_before >= expires_at:
            raise BadClaims("nbf is not before exp")
        if expires_at - not_before > self.max_life_seconds:
            raise TokenLivesTooLong
        if at_seconds + self.leeway_seconds < not_before:
            raise TokenNotYetValid
        if "iat" in claims and at_seconds + self.leeway_seconds < _numeric_date(claims, "iat"):
            raise TokenNotYetValid("the token says that it was issued after it was received")
        if at_seconds - self.leeway_seconds >= expires_at:
            raise TokenExpired
        return not_before, expires_at


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


def _audiences(claims: dict[str, Any]) -> list[object]:
    """Return whom the token is for: one name or a list of names (RFC 7519, 4.1.3)."""
    value = claims.get("aud")
    return value if isinstance(value, list) else [value]
