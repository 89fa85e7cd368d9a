"""Take a token apart: a JSON Web Token in compact form (RFC 7515, 3.1). Nothing of it is believed here."""

import json
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cashback_client.contract import MAX_TOKEN_CHARS
from producer.protocol.errors import DuplicateMember, NotAToken, UnsupportedToken
from producer.protocol.jwks import ALGORITHM

_ALPHABET: Final = (string.ascii_letters + string.digits + "-_").encode("ascii")
_DOTS: Final = b".."
# BETCORE's tokens have one header for each key; longer ones are no header of theirs, and are not kept.
_KEPT_HEADERS: Final = 64
_MAX_KEPT_CHARS: Final = 512
_TYPE: Final = "jwt"
# Of base64.
_GROUP_CHARS: Final = 4
_GROUP_BYTES: Final = 3


@dataclass(frozen=True, slots=True)
class CompactToken:
    """The parts of a token that says it is signed as BETCORE signs."""

    kid: str
    signed: bytes
    payload: bytes
    signature: bytes


def is_token_shaped(text: str) -> bool:
    """Say whether `text` looks like a JSON Web Token: three base64url parts, not too long."""
    if len(text) > MAX_TOKEN_CHARS or not text.isascii():
        return False
    # Without letters and digits two dots are left, and none of the parts is empty.
    return text.encode("ascii").translate(None, _ALPHABET) == _DOTS and all(text.split("."))


def read_compact(token: str) -> CompactToken:
    """Take a token apart; of its header only alg, kid, typ and crit are read. Raises a VerificationError."""
    if not is_token_shaped(token):
        raise NotAToken
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    kid = _kept_kid(header) if len(header) <= _MAX_KEPT_CHARS else _kid(header)
    return CompactToken(kid, signed.encode("ascii"), _decode(payload), _decode(signature))


def _kid(header: str) -> str:
    values = json_object(_decode(header))
    if values is None:
        raise NotAToken("the token's header is not a JSON object")
    kid = values.get("kid")
    if values.get("alg") != ALGORITHM or "crit" in values or not isinstance(kid, str):
        raise UnsupportedToken
    if "typ" in values and not _is_jwt(values["typ"]):
        raise UnsupportedToken("the token's typ is not JWT")
    return kid


_kept_kid: Final = lru_cache(maxsize=_KEPT_HEADERS)(_kid)


def json_object(raw: bytes) -> dict[str, Any] | None:
    """Return the JSON object that `raw` is in UTF-8, None where it is none; raises DuplicateMember.

    Whoever reads the same bytes must read the same from them, and parsers disagree about which of two members
    of one name counts (RFC 8725, 2.4; RFC 7515, 4; RFC 7519, 4).
    """
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DuplicateMember
    return members


# Made once: `json.loads` with a hook would make one for each call.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members)


def _is_jwt(media_type: object) -> bool:
    # Names of media types are the same in upper and lower case (RFC 7515, 4.1.9; RFC 7519, 5.1).
    return isinstance(media_type, str) and media_type.lower() == _TYPE


def _decode(segment: str) -> bytes:
    missing = -len(segment) % _GROUP_CHARS
    try:
        decoded = urlsafe_b64decode(segment + "=" * missing)
    except ValueError as error:
        raise NotAToken("the token is not base64url") from error
    # One event must have one spelling: the unused bits of the last character have to be zero. Whole groups of
    # four characters have none, so that only the rest is encoded again.
    if missing:
        rest = urlsafe_b64encode(decoded[missing - _GROUP_BYTES :]).decode("ascii")
        if rest.rstrip("=") != segment[missing - _GROUP_CHARS :]:
            raise NotAToken("the token is not canonical base64url")
    return decoded
