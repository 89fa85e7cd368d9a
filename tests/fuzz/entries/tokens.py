"""What BETCORE signs, and by which keys: tokens, their headers and claims, key sets."""

import json
from base64 import urlsafe_b64encode
from typing import Any, Final

import httpx

from producer.protocol.claims import ClaimRules
from producer.protocol.errors import LookupNeeded, VerificationError
from producer.protocol.jwks import MAX_KEYS, KeySetUnreadable, parse_keys
from producer.protocol.keys import KeySet
from producer.protocol.verifier import Verifier
from tests.fuzz.entries.replies import CannedReplies
from tests.fuzz.samples import CLIENT_ID, JWK, NOW, OTHER_TOKEN, TOKEN
from tests.fuzz.target import Target, demand_named, text_of, unambiguous

_LEEWAY_SECONDS: Final = 5
_MAX_LIFE_SECONDS: Final = 300
_RULES: Final = ClaimRules(
    client_ids=frozenset({CLIENT_ID}), leeway_seconds=_LEEWAY_SECONDS, max_life_seconds=_MAX_LIFE_SECONDS
)
_HEADER, _PAYLOAD, _SIGNATURE = TOKEN.split(".")
_HEADER_BYTES: Final = json.dumps({"alg": "RS256", "typ": "JWT", "kid": JWK["kid"], "x5t": "x" * 27}).encode()
_AT: Final = NOW.timestamp()


def _verifier() -> Verifier:
    replies = CannedReplies()
    replies.content = json.dumps({"keys": [JWK]}).encode()
    keys = KeySet(
        betcore_url="http://betcore.test",
        client=httpx.Client(transport=replies, trust_env=False),
        refresh_seconds=300,
        unknown_key_seconds=10,
        timeout_seconds=3,
        retired_key_seconds=30,
        max_age_seconds=86_400,
        clock=lambda: 0.0,
    )
    keys.fetch()
    return Verifier(keys, rules=_RULES)


_VERIFIER: Final = _verifier()


def check_token(data: bytes) -> None:
    """Demand that nothing verifies but what was signed, character by character."""
    text = text_of(data)
    try:
        _VERIFIER.verify_with_known_keys(text, at=NOW)
    except (VerificationError, LookupNeeded) as error:
        demand_named(error)
        assert text != TOKEN
    else:
        assert text == TOKEN


def check_header(data: bytes) -> None:
    """Demand that a token with another header than the signed one is refused, whatever stands in it."""
    segment = urlsafe_b64encode(data).decode("ascii").rstrip("=")
    check_token(f"{segment}.{_PAYLOAD}.{_SIGNATURE}".encode())


def check_claims(data: bytes) -> None:
    """Demand that what is believed of signed claims is what stands there, once, and within the rules."""
    try:
        verified = _RULES.read(data, at=NOW)
    except VerificationError as error:
        demand_named(error)
        return
    claims = unambiguous(data)
    assert claims["client_id"] == verified.client_id == CLIENT_ID
    not_before, expires_at = _seconds(claims, "nbf"), _seconds(claims, "exp")
    assert not_before < expires_at <= not_before + _MAX_LIFE_SECONDS + 0.001
    assert not_before - _LEEWAY_SECONDS <= _AT < expires_at + _LEEWAY_SECONDS
    if "iat" in claims:
        assert _seconds(claims, "iat") - _LEEWAY_SECONDS <= _AT
    assert verified.issuer == (claims.get("iss") if isinstance(claims.get("iss"), str) else None)
    assert isinstance(verified.data, str) == isinstance(claims.get("data"), str)
    if isinstance(verified.data, str):
        assert verified.data == claims["data"]


def _seconds(claims: dict[str, Any], name: str) -> float:
    kind, text = claims[name]
    assert kind == "number"
    return float(text)


def check_key_set(data: bytes) -> None:
    """Demand that each key that is taken is a sound RSA key that stands in the set under its name."""
    try:
        keys = parse_keys(data)
    except KeySetUnreadable as error:
        demand_named(error)
        return
    members = [member for member in json.loads(data)["keys"] if isinstance(member, dict)]
    published = {member.get("kid") for member in members if isinstance(member.get("kid"), str)}
    assert 0 < len(keys) <= MAX_KEYS
    assert set(keys) <= published
    for key in keys.values():
        numbers = key.public_numbers()
        assert key.key_size >= 2048
        assert numbers.e >= 65_537
        assert numbers.e % 2 == numbers.n % 2 == 1


_NOT_CLAIMS: Final = (b"null", b"true", b"1e999", b"NaN", b"-Infinity", b"1800000000.5", b"1e-320", b'"aud"')
_KEY_NAMES: Final = ("kty", "kid", "use", "alg", "key_ops", "n", "e", "x5c", "x5t", "keys", "k", "d")


def _claims(**changes: object) -> bytes:
    return json.dumps(
        {
            "nbf": int(_AT) - 1,
            "exp": int(_AT) + 9,
            "iss": "https://identity",
            "client_id": CLIENT_ID,
            "data": "{}",
        }
        | changes
    ).encode()


def _key_set(**changes: object) -> bytes:
    return json.dumps({"keys": [JWK | changes, {"kty": "EC", "kid": "other"}]}).encode()


KEY_SETS: Final = (
    *(_key_set(), _key_set(key_ops=["verify"], use="sig"), _key_set(e="Aw"), _key_set(n=JWK["n"][:100])),
    *(_key_set(kid="\ud800"), _key_set(alg=["RS256"]), b'{"keys": []}', b'{"keys": [[], 1, null]}'),
)

TARGETS: Final = (
    Target(
        name="token",
        check=check_token,
        seeds=(TOKEN.encode(), OTHER_TOKEN.encode(), b"a.b.c", TOKEN.encode() + b"=", b".."),
        words=(b".", b"=", b"..", b"eyJ", _HEADER.encode(), _SIGNATURE.encode(), b"\n", b"%2e"),
        max_bytes=2_048,
    ),
    Target(
        name="token-header",
        check=check_header,
        seeds=(
            *(_HEADER_BYTES, b'{"alg":"none"}', b'{"alg":"RS256","kid":"k","crit":["b64"],"b64":false}'),
            *(b'{"alg":"HS256","kid":"k"}', b'{"alg":"RS256","alg":"none"}', b"[" * 2_000),
        ),
        words=(b'"alg":', b'"kid":', b'"crit":', b'"typ":', b"RS256", b"none", b"\xff", b"\\ud800", b"\x00"),
        names=("alg", "kid", "typ", "crit", "jwk", "jku", "x5u", "b64"),
    ),
    Target(
        name="claims",
        check=check_claims,
        seeds=(
            *(_claims(), _claims(aud=["a"], iat=int(_AT)), _claims(nbf=1e300), _claims(data={"a": 1})),
            *(
                _claims(exp="soon"),
                _claims(client_id=[CLIENT_ID]),
                b'{"nbf":1,"nbf":2}',
                _claims(exp=10**400),
            ),
        ),
        words=(*_NOT_CLAIMS, b'"nbf":', b'"exp":', b'"iat":', b'"client_id":', b"1800000000", b"\\ud800"),
        names=("nbf", "exp", "iat", "iss", "client_id", "aud", "data"),
    ),
    Target(
        name="key-set",
        check=check_key_set,
        seeds=KEY_SETS,
        words=(b'"kty":"RSA"', b'"n":"', b'"e":"AQAB"', b'"use":"enc"', b'"alg":', b"\\u0000", b"=", b"_-"),
        names=_KEY_NAMES,
    ),
)
