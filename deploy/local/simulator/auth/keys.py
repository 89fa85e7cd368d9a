"""The keys that sign make tokens, as BETCORE publishes them: RSA, named by a 40-digit thumbprint."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.local.simulator.errors import InvalidToken, SimulatorError
from deploy.local.simulator.protocol.jose import (
    b64url,
    b64url_decode,
    new_private_key,
    rs256,
    rsa_jwk,
    verify_rs256,
)

MAX_KEYS: Final = 16


class SigningKey:
    """An RSA key pair with the `kid` and `x5t` that a token names it by."""

    def __init__(self) -> None:
        self.private = new_private_key()
        public_bytes = self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        thumbprint = hashlib.sha1(public_bytes, usedforsecurity=False).digest()
        self.kid = thumbprint.hex().upper()
        self.x5t = b64url(thumbprint)

    @property
    def public(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        """Sign as RS256 does."""
        return rs256(self.private, message)

    def as_jwk(self) -> dict[str, str]:
        """Return the public half as a JSON Web Key (RFC 7517)."""
        return rsa_jwk(self.public, kid=self.kid, x5t=self.x5t)


@dataclass(slots=True)
class _Published:
    key: SigningKey
    until: float | None = None


class KeyRing:
    """The key that signs now, and the ones before it for as long as they stay published."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._published = [_Published(SigningKey())]

    @property
    def current(self) -> SigningKey:
        """The key that signs now."""
        return self._published[-1].key

    def rotate(self, *, old_key_seconds: float) -> SigningKey:
        """Sign with a new key from now on; the old one stays published for `old_key_seconds`."""
        self._forget_old()
        if len(self._published) >= MAX_KEYS:
            raise SimulatorError(f"{MAX_KEYS} keys are published at once: let old ones go")
        self._published[-1].until = self._clock() + old_key_seconds
        self._published.append(_Published(SigningKey()))
        return self.current

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the JSON Web Key Set that is published now."""
        self._forget_old()
        return {"keys": [entry.key.as_jwk() for entry in self._published]}

    def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that a published key signed; raises InvalidToken."""
        self._forget_old()
        try:
            head, body, signature = token.split(".")
            header = json.loads(b64url_decode(head))
            claims: dict[str, Any] = json.loads(b64url_decode(body))
            key = next(entry.key for entry in self._published if entry.key.kid == header["kid"])
            verify_rs256(key.public, b64url_decode(signature), f"{head}.{body}".encode())
            expired = self._clock() >= claims["exp"] or header["alg"] != "RS256"
        except (ValueError, KeyError, TypeError, StopIteration, InvalidSignature) as error:
            raise InvalidToken(f"the token does not verify: {type(error).__name__}") from error
        if expired:
            raise InvalidToken("the token has expired")
        return claims

    def _forget_old(self) -> None:
        now = self._clock()
        self._published = [entry for entry in self._published if entry.until is None or now < entry.until]
