"""Read a JSON Web Key Set (RFC 7517) as BETCORE publishes it."""

import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from producer.protocol.errors import ProducerError

ALGORITHM: Final = "RS256"
MIN_KEY_BITS: Final = 2048
MIN_EXPONENT: Final = 65_537
MAX_KEYS: Final = 64

_MAX_KID_CHARS: Final = 256
# 8192 bits in base64url: a larger modulus is no key of BETCORE's, only slow to verify with.
_MAX_MODULUS_CHARS: Final = 1366
_MAX_EXPONENT_CHARS: Final = 8
# Moduli of a widespread library are powers of 65537 modulo each of these primes: so they are found, and then
# factored (ROCA, CVE-2017-15361). One of 200 million others is like that, too.
_TELLING_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_TELLING: Final = tuple(
    (prime, frozenset(pow(MIN_EXPONENT, power, prime) for power in range(prime))) for prime in _TELLING_PRIMES
)


class KeySetUnreadable(ProducerError):
    """The reply holds no usable key."""

    reason = "keys_unreadable"


def parse_keys(body: bytes) -> dict[str, RSAPublicKey]:
    """Return the usable keys of a JSON Web Key Set by `kid`; raise KeySetUnreadable if it holds none.

    Usable is a sound RSA key of at least MIN_KEY_BITS for verifying (`use` absent or "sig", `key_ops` absent
    or with "verify") with RS256 (`alg` absent or so); others are left out, as RFC 7517, 5 asks.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise KeySetUnreadable("the reply is not JSON") from error
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise KeySetUnreadable("the reply is not a key set")
    keys: dict[str, RSAPublicKey] = {}
    for member in members[:MAX_KEYS]:
        key = _usable_key(member)
        if key is not None:
            keys.setdefault(member["kid"], key)
    if not keys:
        raise KeySetUnreadable("the key set holds no usable key")
    return keys


def _usable_key(member: Any) -> RSAPublicKey | None:  # noqa: ANN401 - JSON of any shape
    if not isinstance(member, dict) or not _is_for_verifying(member):
        return None
    kid, modulus, exponent = (member.get(name) for name in ("kid", "n", "e"))
    if not (_is_text(kid, _MAX_KID_CHARS) and _is_text(modulus, _MAX_MODULUS_CHARS)):
        return None
    if not _is_text(exponent, _MAX_EXPONENT_CHARS):
        return None
    try:
        key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": modulus, "e": exponent})
    except (ValueError, InvalidKeyError):
        return None
    return key if isinstance(key, RSAPublicKey) and _is_sound(key) else None


def _is_for_verifying(member: dict[str, Any]) -> bool:
    if member.get("kty") != "RSA" or member.get("use", "sig") != "sig":
        return False
    operations = member.get("key_ops", ["verify"])
    return (
        member.get("alg", ALGORITHM) == ALGORITHM and isinstance(operations, list) and "verify" in operations
    )


def _is_sound(key: RSAPublicKey) -> bool:
    # Small and even exponents and even moduli are of keys made to be broken (FIPS 186-5, 5.1 and A.1.1).
    numbers = key.public_numbers()
    is_odd = numbers.e % 2 == 1 and numbers.n % 2 == 1
    is_large = numbers.e >= MIN_EXPONENT and key.key_size >= MIN_KEY_BITS
    return is_odd and is_large and not _can_be_factored(numbers.n)


def _can_be_factored(modulus: int) -> bool:
    return all(modulus % prime in residues for prime, residues in _TELLING)


def _is_text(value: object, max_chars: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= max_chars
