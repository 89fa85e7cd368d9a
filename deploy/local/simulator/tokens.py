"""Make tokens as BETCORE's sample shows them, and spoiled ones."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.local.simulator.keys import SigningKey, b64url

Tamper = Literal[
    "none",
    "signature",
    "payload",
    "expired",
    "not_yet",
    "unknown_kid",
    "wrong_key",
    "alg_none",
    "hs256",
    "garbage",
    "empty",
    "oversized",
    "no_cashback_id",
    "no_data",
    "wrong_issuer",
    "wrong_client",
]
_FAR_SECONDS: Final = 3_600
_OVERSIZED_CHARS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What one make is about; amounts are decimals in major units, verbatim."""

    cashback_id: int
    user_id: str
    transaction_type: int
    amount: str
    tax_amount: str | None = None
    amount_as: Literal["string", "number"] = "string"
    data_override: str | None = None

    def as_data(self, *, with_cashback_id: bool = True) -> str:
        """Return the `data` claim: a JSON document inside a string."""
        if self.data_override is not None:
            return self.data_override
        amount = json.dumps if self.amount_as == "string" else str
        members = {
            "CashbackId": str(self.cashback_id) if with_cashback_id else None,
            "PartnerUserId": json.dumps(self.user_id),
            "TransactionType": str(self.transaction_type),
            "Amount": amount(self.amount),
            "TaxAmount": amount(self.tax_amount) if self.tax_amount is not None else None,
        }
        # Put together by hand, so that an amount's digits reach the partner as they were given.
        return (
            "{" + ", ".join(f'"{name}": {text}' for name, text in members.items() if text is not None) + "}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMaker:
    """Signs make tokens; `lifetime_seconds` is from `nbf` to `exp`."""

    issuer: str
    client_id: str
    lifetime_seconds: float

    def token(self, payment: Payment, *, key: SigningKey, now: float, tamper: Tamper = "none") -> str:
        """Return the token of a make, spoiled as `tamper` says."""
        if tamper == "garbage":
            return "this.is-not.a-token"
        if tamper == "empty":
            return ""
        claims = self._claims(payment, now=now, tamper=tamper)
        # A key that nobody publishes: under its own name it is unknown, under a published one it is wrong.
        stranger = SigningKey() if tamper in {"unknown_kid", "wrong_key"} else key
        named = stranger if tamper == "unknown_kid" else key
        algorithm = {"alg_none": "none", "hs256": "HS256"}.get(tamper, "RS256")
        head = _part({"alg": algorithm, "kid": named.kid, "x5t": named.x5t, "typ": "JWT"})
        body = _part(claims)
        signature = _signature(f"{head}.{body}".encode(), key=stranger, tamper=tamper)
        if tamper == "payload":
            body = _part({**claims, "data": claims["data"] + " "})
        return f"{head}.{body}.{b64url(signature)}"

    def _claims(self, payment: Payment, *, now: float, tamper: Tamper) -> dict[str, Any]:
        shift = {"expired": -_FAR_SECONDS, "not_yet": _FAR_SECONDS}.get(tamper, 0)
        claims: dict[str, Any] = {
            "nbf": int(now) + shift,
            "exp": int(now + self.lifetime_seconds) + shift,
            "iss": "https://somebody.else" if tamper == "wrong_issuer" else self.issuer,
            "client_id": "SomebodyElse-1" if tamper == "wrong_client" else self.client_id,
            "data": payment.as_data(with_cashback_id=tamper != "no_cashback_id"),
        }
        if tamper == "no_data":
            del claims["data"]
        if tamper == "oversized":
            claims["padding"] = "x" * _OVERSIZED_CHARS
        return claims


def _part(value: dict[str, Any]) -> str:
    return b64url(json.dumps(value).encode())


def _signature(message: bytes, *, key: SigningKey, tamper: Tamper) -> bytes:
    if tamper == "alg_none":
        return b""
    if tamper == "hs256":
        # The classic confusion of algorithms: the published key, taken for a shared secret.
        secret = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return hmac.digest(secret, message, hashlib.sha256)
    signature = key.sign(message)
    return signature[:-1] + bytes([signature[-1] ^ 1]) if tamper == "signature" else signature
