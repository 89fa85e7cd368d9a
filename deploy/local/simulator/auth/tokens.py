"""Make tokens, and spoiled ones."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.local.simulator.auth.keys import SigningKey
from deploy.local.simulator.protocol.jose import b64url, signing_input
from deploy.local.simulator.protocol.make_token import Payment, make_claims, make_header

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
        header = make_header(kid=named.kid, x5t=named.x5t, algorithm=algorithm)
        text = signing_input(header, json.dumps(claims).encode())
        signature = _signature(text.encode(), key=stranger, tamper=tamper)
        if tamper == "payload":
            text = signing_input(header, json.dumps({**claims, "data": claims["data"] + " "}).encode())
        return f"{text}.{b64url(signature)}"

    def _claims(self, payment: Payment, *, now: float, tamper: Tamper) -> dict[str, Any]:
        shift = {"expired": -_FAR_SECONDS, "not_yet": _FAR_SECONDS}.get(tamper, 0)
        claims = make_claims(
            nbf=int(now) + shift,
            exp=int(now + self.lifetime_seconds) + shift,
            issuer="https://somebody.else" if tamper == "wrong_issuer" else self.issuer,
            client_id="SomebodyElse-1" if tamper == "wrong_client" else self.client_id,
            data=payment.as_data(with_cashback_id=tamper != "no_cashback_id"),
        )
        if tamper == "no_data":
            del claims["data"]
        if tamper == "oversized":
            claims["padding"] = "x" * _OVERSIZED_CHARS
        return claims


def _signature(message: bytes, *, key: SigningKey, tamper: Tamper) -> bytes:
    if tamper == "alg_none":
        return b""
    if tamper == "hs256":
        # The classic confusion of algorithms: the published key, taken for a shared secret.
        secret = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return hmac.digest(secret, message, hashlib.sha256)
    signature = key.sign(message)
    return signature[:-1] + bytes([signature[-1] ^ 1]) if tamper == "signature" else signature
