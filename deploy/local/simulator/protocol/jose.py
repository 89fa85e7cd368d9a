"""Signed tokens and published keys in BETCORE's forms: RS256 in compact form, RSA keys in JSON."""

import base64
import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

KEY_BITS: Final = 2_048
_EXPONENT: Final = 65_537
_EXPONENT_BYTES: Final = 3


def b64url(data: bytes) -> str:
    """Encode as JWT does: base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """Undo `b64url`; raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def new_private_key(*, bits: int = KEY_BITS) -> rsa.RSAPrivateKey:
    """Return a new RSA key."""
    return rsa.generate_private_key(_EXPONENT, bits)


def rs256(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    """Sign as RS256 does (RFC 7518, section 3.3)."""
    return key.sign(message, padding.PKCS1v15(), SHA256())


def verify_rs256(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> None:
    """Verify what `rs256` signed; raises InvalidSignature."""
    key.verify(signature, message, padding.PKCS1v15(), SHA256())


def signing_input(header: Mapping[str, object], payload: bytes) -> str:
    """Return what a token's signature is made over (RFC 7515, section 5.1)."""
    return f"{b64url(json.dumps(header).encode())}.{b64url(payload)}"


def signed_token(header: Mapping[str, object], payload: bytes, *, key: rsa.RSAPrivateKey) -> str:
    """Return a token in compact form, signed with RS256 whatever its header says."""
    text = signing_input(header, payload)
    return f"{text}.{b64url(rs256(key, text.encode()))}"


def rsa_jwk(key: rsa.RSAPublicKey, **names: str) -> dict[str, str]:
    """Return a JSON Web Key for RS256 (RFC 7517); `names` are `kid`, and `x5t` where there is one."""
    numbers = key.public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        **names,
        "n": b64url(numbers.n.to_bytes((key.key_size + 7) // 8)),
        "e": b64url(numbers.e.to_bytes(_EXPONENT_BYTES)),
    }
