"""What BETCORE answers: keys, Verify, Token, accept, and how long it asks to wait."""

import json
import zlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import Any, Final

import httpx

from producer.protocol.errors import KeysFetchFailed
from producer.protocol.keys import KeySet
from producer.protocol.verify_endpoint import VerifyEndpoint, VerifyUnavailable
from tests.fuzz.exact import whole_of
from tests.fuzz.samples import AT, JWK
from tests.fuzz.target import NOTHING, Target, demand_named
from worker.betcore.accept import Verdict, read_accept_reply
from worker.betcore.retry_after import LONGEST_SECONDS, retry_after_seconds
from worker.betcore.token_endpoint import TokenEndpoint, read_token_reply
from worker.errors import BearerUnavailable

_STATUSES: Final = (200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503, 599)
_ENCODINGS: Final = (None, None, None, "gzip", "deflate", "x-gzip", "br", "identity", "GZIP ", "gzip, gzip")
_PIECE_BYTES: Final = 1_000
_LONGEST_TOKEN_SECONDS: Final = 86_400


class _Pieces(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        """Yield it as a network would, in pieces."""
        for start in range(0, len(self._content), _PIECE_BYTES):
            yield self._content[start : start + _PIECE_BYTES]


class CannedReplies(httpx.BaseTransport):
    """A server in the process, whose next answer is set beforehand."""

    def __init__(self) -> None:
        self.status = 200
        self.encoding: str | None = None
        self.content = b""

    def choose(self, data: bytes) -> None:
        """Take the status, the encoding and the body from an input."""
        self.status = _STATUSES[data[0] % len(_STATUSES)] if data else 200
        self.encoding = _ENCODINGS[data[1] % len(_ENCODINGS)] if len(data) > 1 else None
        self.content = data[2:]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        headers = {} if self.encoding is None else {"Content-Encoding": self.encoding}
        return httpx.Response(self.status, headers=headers, stream=_Pieces(self.content), request=request)


_REPLIES: Final = CannedReplies()
_CLIENT: Final = httpx.Client(transport=_REPLIES, trust_env=False)
_SECONDS: Final = count()
_VERIFY: Final = VerifyEndpoint(
    betcore_url="http://betcore.test",
    client=_CLIENT,
    timeout_seconds=1_000,
    # Each call is a second after the last one, so that none is one too many.
    clock=lambda: float(next(_SECONDS)),
)
_TOKENS: Final = TokenEndpoint(
    _CLIENT, base_url="http://betcore.test", credentials={"Secret": "x"}, timeout_seconds=3, clock=lambda: AT
)


def check_keys_reply(data: bytes) -> None:
    """Demand that a reply without usable keys takes none away, and one with such is used."""
    keys = KeySet(
        betcore_url="http://betcore.test",
        client=_CLIENT,
        refresh_seconds=300,
        unknown_key_seconds=10,
        timeout_seconds=3,
        retired_key_seconds=30,
        max_age_seconds=86_400,
        clock=lambda: 0.0,
    )
    _REPLIES.choose(b"\0\0" + json.dumps({"keys": [JWK]}).encode())
    keys.fetch()
    _REPLIES.choose(data)
    try:
        keys.fetch()
    except KeysFetchFailed as error:
        demand_named(error)
    else:
        assert _REPLIES.status == 200
    assert keys.get(JWK["kid"]) is not None
    assert not keys.is_empty


def check_verify_reply(data: bytes) -> None:
    """Demand that only HTTP 200 with the ErrorCode 200 is a yes."""
    _REPLIES.choose(data)
    try:
        is_vouched_for = _VERIFY.vouches_for("a.b.c")
    except VerifyUnavailable as error:
        demand_named(error)
        return
    code = _plain(_unpacked(_REPLIES)).get("ErrorCode")
    assert type(code) is int
    assert is_vouched_for == (code == 200)
    assert not is_vouched_for or _REPLIES.status == 200
    assert is_vouched_for or _REPLIES.status in {200, 400, 401, 403}


def check_token_reply(data: bytes) -> None:
    """Demand that an access token can stand in a header, and lives for a while and not for ever."""
    _REPLIES.choose(data)
    try:
        token = _TOKENS.fetch()
    except BearerUnavailable as error:
        demand_named(error)
        return
    assert 200 <= _REPLIES.status < 300
    assert token == read_token_reply(_unpacked(_REPLIES), asked_at=AT)
    assert all("!" <= character <= "~" for character in token.text)
    assert 0 <= token.expires_at - AT <= _LONGEST_TOKEN_SECONDS


def check_accept_reply(data: bytes) -> None:
    """Demand that only BETCORE's own envelope, with a status that fits it, settles anything."""
    status = _STATUSES[data[0] % len(_STATUSES)] if data else 200
    reply = read_accept_reply(status, data[1:])
    code = _code_of(_plain(data[1:]))
    if code == 200 and 200 <= status < 300:
        assert reply.verdict is Verdict.ACKNOWLEDGED
    elif code == 103752 and status < 500:
        assert reply.verdict is Verdict.REFUSED
    else:
        assert reply.verdict is Verdict.PASSING
    assert reply.detail.startswith(f"HTTP {status}")
    assert (reply.oddity is None) or code is not None


def check_retry_after(data: bytes) -> None:
    """Demand that what is asked for is between no wait and the longest; digits are read as they are."""
    status = _STATUSES[data[0] % len(_STATUSES)] if data else 200
    header = data[1:].decode("latin-1")
    seconds = retry_after_seconds(status, header, now=AT)
    assert 0 <= seconds <= LONGEST_SECONDS
    if status not in {429, 503}:
        assert seconds == 0
    elif len(header) <= 40 and header and set(header) <= set("0123456789"):
        assert seconds == min(LONGEST_SECONDS, int(header))


def _unpacked(replies: CannedReplies) -> bytes:
    if (replies.encoding or "identity").strip().lower() == "identity":
        return replies.content
    return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(replies.content, 300_000)


def _plain(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _code_of(envelope: dict[str, Any]) -> int | None:
    names = [name for name in ("ErrorCode", "errorCode", "error_code") if name in envelope]
    value = envelope[names[0]] if names else NOTHING
    code: int | None = None
    if isinstance(value, str):
        code = whole_of(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        finite = abs(value) < 2**40
        code = int(value) if finite and Fraction(value).denominator == 1 else None
    return code if code is not None and -(2**31) <= code < 2**31 else None


_KEYS: Final = json.dumps({"keys": [JWK]}).encode()
_OK: Final = b'{"ErrorCode": 200, "Message": "Success"}'
_ACCESS: Final = b'{"ErrorCode": 200, "Value": {"AccessToken": "abc", "ExpiresIn": 3600}}'
_ENVELOPE_NAMES: Final = ("ErrorCode", "errorCode", "error_code", "Message", "Value")
_ENVELOPE_WORDS: Final = (
    *(b'"ErrorCode":', b'"errorCode":', b"200", b"2e2", b"200.0", b'"200"', b"103752", b"102823", b"1e400"),
    *(
        b"NaN",
        b"Infinity",
        b"null",
        b"true",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"9" * 400,
        b'"+200"',
        b'"\\ud800"',
    ),
)
_ACCESS_NAMES: Final = ("AccessToken", "access_token", "Token", "token", "ExpiresIn", "expires_in", "Value")


def _packed(content: bytes, *, encoding: int) -> bytes:
    packing = zlib.compressobj(wbits=31 if encoding == 3 else 15)
    return bytes([0, encoding]) + packing.compress(content) + packing.flush()


TARGETS: Final = (
    Target(
        name="keys-reply",
        check=check_keys_reply,
        share=1,
        seeds=(
            *(b"\0\0" + _KEYS, b"\x07\0" + _KEYS, b"\0\0{}", _packed(_KEYS, encoding=3)),
            *(_packed(b"x" * 300_000, encoding=4), b"\0\x06" + _KEYS, b"\0\x03" + _KEYS),
        ),
        words=(b'"keys":', b'"kty":"RSA"', b'"e":"AQAB"', b"\x1f\x8b\x08", b"\x78\x9c"),
        names=("keys", "kty", "kid", "n", "e", "alg", "use"),
        chosen=2,
    ),
    Target(
        name="verify-reply",
        check=check_verify_reply,
        share=1,
        seeds=(
            *(b"\0\0" + _OK, b"\x07\0" + _OK, b'\0\0{"ErrorCode": 401}', b"\x0c\0" + _OK),
            *(_packed(_OK, encoding=3), b"\0\x04" + _OK, b"\0\0[]"),
        ),
        words=_ENVELOPE_WORDS,
        names=_ENVELOPE_NAMES,
        chosen=2,
    ),
    Target(
        name="token-reply",
        check=check_token_reply,
        share=1,
        seeds=(
            *(b"\0\0" + _ACCESS, b'\0\0{"access_token": "a", "expires_in": "1e3"}', b"\x08\0" + _ACCESS),
            *(_packed(_ACCESS, encoding=3), b'\0\0{"Token": "a b"}', b'\0\0{"token": "a", "ExpiresIn": NaN}'),
        ),
        words=(b'"AccessToken":', b'"ExpiresIn":', b'"Value":', b"1e400", b"-1", b'"inf"', b'"1_0"', b"\\n"),
        names=_ACCESS_NAMES,
        chosen=2,
    ),
    Target(
        name="accept-reply",
        check=check_accept_reply,
        seeds=(
            *(b"\0" + _OK, b'\x06{"ErrorCode": 103752}', b'\0{"errorCode": "200"}', b"\x0b" + _OK),
            *(b'\0{"ErrorCode": 200.0}', b'\0{"ErrorCode": 102823}', b"\0<html>", b"\0" + b"[" * 3_000),
        ),
        words=_ENVELOPE_WORDS,
        names=_ENVELOPE_NAMES,
        chosen=1,
    ),
    Target(
        name="retry-after",
        check=check_retry_after,
        seeds=(
            *(b"\x0a" + b"5", b"\x0c" + b"120", b"\x0a" + b"Wed, 15 Jan 2027 08:00:00 GMT", b"\0" + b"5"),
            *(b"\x0c" + b"Friday, 15-Jan-27 08:00:00 GMT", b"\x0a" + b"Fri Jan 15 08:00:00 2027"),
        ),
        words=(b"GMT", b", ", b"-0000", b"+9999", b":", b"Jan", b"27", b" ", b",", b"\xb2", b"EST", b"(x)"),
        chosen=1,
        max_bytes=64,
    ),
)
