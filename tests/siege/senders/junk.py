"""What floods are made of, drawn from a seed: the same seed gives the same bytes. Pure."""

import json
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from string import ascii_letters
from typing import Final

from producer.app import MAKE_PATH
from tests.benchmarks.line import make_request
from tests.siege.senders.plans import Ammunition

# More than the receiver remembers of keys that are not published.
VARIANTS: Final = 3_000
# As large as a body may be at all, and as a token may be with its quotes.
GARBAGE_BYTES: Final = 16_384
_LONG_TOKEN_CHARS: Final = 16_000
_GARBAGE_VARIANTS: Final = 50
_SIGNATURE_BYTES: Final = 256
_KID_BYTES: Final = 20


def requests_of(ammunition: Ammunition, *, token: str, seed: int) -> list[bytes]:
    """Return makes to send by turns; `token` is a good one, from which bad ones are made."""
    rng = random.Random(seed)  # noqa: S311 -- a replay, no secret
    return _MAKERS[ammunition](rng, token)


def _garbage(rng: random.Random, _token: str) -> list[bytes]:
    head = (
        f"POST {MAKE_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"content-length: {GARBAGE_BYTES}\r\n\r\n"
    )
    return [head.encode("ascii") + rng.randbytes(GARBAGE_BYTES) for _ in range(_GARBAGE_VARIANTS)]


def _long_tokens(rng: random.Random, _token: str) -> list[bytes]:
    tokens = []
    for _ in range(_GARBAGE_VARIANTS):
        third = _LONG_TOKEN_CHARS // 3
        tokens.append(".".join("".join(rng.choices(ascii_letters, k=third)) for _ in range(3)))
    return [make_request(each, path=MAKE_PATH) for each in tokens]


def _bad_signatures(rng: random.Random, token: str) -> list[bytes]:
    signed = token.rpartition(".")[0]
    return [make_request(f"{signed}.{_signature(rng)}", path=MAKE_PATH) for _ in range(VARIANTS)]


def _unknown_kids(rng: random.Random, token: str) -> list[bytes]:
    header, payload, _ = token.split(".")
    members = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    tokens = []
    for _ in range(VARIANTS):
        own = {**members, "kid": rng.randbytes(_KID_BYTES).hex().upper()}
        tokens.append(f"{_base64(json.dumps(own).encode())}.{payload}.{_signature(rng)}")
    return [make_request(each, path=MAKE_PATH) for each in tokens]


def _replays(_rng: random.Random, token: str) -> list[bytes]:
    return [make_request(token, path=MAKE_PATH)]


def _signature(rng: random.Random) -> str:
    # Less than any modulus of this size, so that it is looked at to the end.
    return _base64(b"\x00" + rng.randbytes(_SIGNATURE_BYTES - 1))


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


_MAKERS: Final[Mapping[Ammunition, Callable[[random.Random, str], list[bytes]]]] = {
    "garbage": _garbage,
    "long token": _long_tokens,
    "bad signature": _bad_signatures,
    "unknown kid": _unknown_kids,
    "replay": _replays,
}
