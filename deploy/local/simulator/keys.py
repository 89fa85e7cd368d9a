"""The keys that sign make tokens, as BETCORE publishes them: RSA, named by a 40-digit thumbprint."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.local.simulator.errors import InvalidToken, SimulatorError

MAX_KEYS: Final = 16
_KEY_BITS: Final = 2048
_EXPONENT: Final = 65_537


def b64url(data: bytes) -> str:
    """Encode as JWT does: base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """Undo `b64url`; raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


class SigningKey:
    """An RSA key pair with the `kid` and `x5t` that a token names it by."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(_EXPONENT, _KEY_BITS)
        public_bytes = self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        thumbprint = hashlib.sha1(public_bytes, usedforsecurity=False).digest()
        self.kid = thumbprint.hex().upper()
        self.x5t = b64url(thumbprint)

    @property
    def public(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        """Sign as RS256 does (RFC 7518, section 3.3)."""
        return self.private.sign(message, padding.PKCS1v15(), SHA256())

    def as_jwk(self) -> dict[str, str]:
        """Return the public half as a JSON Web Key (RFC 7517)."""
        numbers = self.public.public_numbers()
        modulus = numbers.n.to_bytes(_KEY_BITS // 8, "big")
        exponent = numbers.e.to_bytes(3, "big")
        names = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "x5t": self.x5t}
        return {**names, "n": b64url(modulus), "e": b64url(exponent)}


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
            key.public.verify(
                b64url_decode(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), SHA256()
            )
            expired = self._clock() >= claims["exp"] or header["alg"] != "RS256"
        except (ValueError, KeyError, TypeError, StopIteration, InvalidSignature) as error:
            raise InvalidToken(f"the token does not verify: {type(error).__name__}") from error
        if expired:
            raise InvalidToken("the token has expired")
        return claims

    def _forget_old(self) -> None:
        now = self._clock()
        self._published = [entry for entry in self._published if entry.until is None or now < entry.until]
