"""All attacks by name, in the order in which they run: issue 17's, its points in brackets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tests.siege.betcore import Keys
from tests.siege.senders.plans import Ammunition, Kind

MB: Final = 1_000_000
FLOOD_CONNECTIONS: Final = 20
PACE: Final = 2_000.0
LEAST_RATIO: Final = 0.5
ATTACKER: Final = ("127.0.0.2",)
HONEST_ADDRESS: Final = ("127.0.0.1",)
CROWD: Final = tuple(f"127.0.0.{number}" for number in range(2, 13))
"""Source addresses."""
_FALLBACK: Final = {"CASHBACK_VERIFY_FALLBACK": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack: what is sent, from where, and what BETCORE is like meanwhile.

    `per_second` counts requests of all connections, `batch` are sent in one piece; without a pace each
    connection sends when it was answered. `hangs_up`: each batch has a connection of its own, on which no
    answer is awaited. `is_judged`: whether honest makes must keep LEAST_RATIO. `once` is what they kept
    before there was a protection, where that was measured.
    """

    title: str
    kind: Kind
    ammunition: Ammunition = "garbage"
    connections: int = 1
    per_second: float = 0.0
    batch: int = 1
    size_bytes: int = 0
    pause_seconds: float = 0.02
    sources: tuple[str, ...] = ATTACKER
    hangs_up: bool = False
    keys: Keys = "ok"
    open_files: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    is_judged: bool = True
    once: str = ""

    def flat_out(self) -> "Attack":
        """Return it without a pace: as fast as a sender with a core of its own is answered."""
        return replace(self, title=f"{self.title}, flat out", per_second=0.0, is_judged=False, once="")

    def from_honest_address(self) -> "Attack":
        """Return it from the address that the honest makes come from."""
        return replace(self, title=f"{self.title}, from the honest address", sources=HONEST_ADDRESS, once="")


def _flood(title: str, ammunition: Ammunition, *, once: str = "", batch: int = 1) -> Attack:
    return Attack(
        title=title,
        kind="flood",
        ammunition=ammunition,
        connections=FLOOD_CONNECTIONS,
        per_second=PACE,
        batch=batch,
        once=once,
    )


_UNFINISHED: Final = Attack(
    title="1,100 unfinished heads, `ulimit -n 1024`",
    kind="unfinished",
    connections=1_100,
    pause_seconds=1.0,
    open_files=1_024,
    once="0",
)
_KEYS_HANG: Final = Attack(
    title="500 unsigned makes a second with unknown keys while the key endpoint hangs",
    kind="flood",
    ammunition="unknown kid",
    connections=1_000,
    per_second=500.0,
    keys="hang",
    once="0.84",
)
_FALLBACK_ON: Final = Attack(
    title="junk tokens with the Verify fallback on, keys published",
    kind="flood",
    ammunition="unknown kid",
    connections=100,
    per_second=200.0,
    settings=_FALLBACK,
    once="1,379 of 1,389 relayed",
)
_GARBAGE: Final = _flood("16 KB of garbage", "garbage", once="0.11")
_LONG_TOKENS: Final = _flood("16 KB that look like a token", "long token")
_BAD_SIGNATURES: Final = _flood("bad signatures, known key", "bad signature", once="0.33")
_UNKNOWN_KEYS: Final = _flood("unknown keys", "unknown kid", once="0.35")
_REPLAYS: Final = _flood("one good make again and again", "replay")

ATTACKS: Final[Mapping[str, Attack]] = {
    "nothing": Attack(title="no attack", kind="nothing"),
    # Point 5.
    "head": Attack(title="one header of 32 MB", kind="head", size_bytes=32 * MB, once="0.01"),
    "heads": Attack(
        title="eight headers of 30 MB at once",
        kind="head",
        connections=8,
        size_bytes=30 * MB,
        once="381 MB held",
    ),
    "unfinished-heads": _UNFINISHED,
    "unfinished-heads-crowd": replace(
        _UNFINISHED, title=f"{_UNFINISHED.title}, from 11 addresses", sources=CROWD, once=""
    ),
    "slow-bodies": Attack(
        title="500 bodies of one byte a second",
        kind="slow body",
        connections=500,
        size_bytes=16_000,
        pause_seconds=1.0,
    ),
    "endless-body": Attack(
        title="a rejected body that never ends", kind="endless body", size_bytes=100_000 * MB, once="0.33"
    ),
    # Point 6.
    "keys-hang": _KEYS_HANG,
    "keys-hang-burst": replace(
        _KEYS_HANG,
        title="1,200 of them at once, every 2 s",
        kind="burst",
        connections=1_200,
        per_second=0.0,
        sources=("127.0.0.2", "127.0.0.3"),
        once="nearly 0",
    ),
    # Point 7.
    "fallback": _FALLBACK_ON,
    "fallback-keys-away": replace(
        _FALLBACK_ON, title="the same while the key endpoint answers 503", keys="503", once=""
    ),
    # Point 8.
    "garbage": _GARBAGE,
    "long-tokens": _LONG_TOKENS,
    "bad-signatures": _BAD_SIGNATURES,
    "bad-signatures-same-address": _BAD_SIGNATURES.from_honest_address(),
    "bad-signatures-hung-up": replace(
        _BAD_SIGNATURES,
        title="bad signatures, each on a connection that is hung up on",
        connections=200,
        per_second=1_000.0,
        hangs_up=True,
        once="",
    ),
    "unknown-keys": _UNKNOWN_KEYS,
    "unknown-keys-same-address": _UNKNOWN_KEYS.from_honest_address(),
    "pipelined": _flood("bad signatures, 16 pipelined at a time", "bad signature", batch=16),
    "replays": _REPLAYS,
    "garbage-flat-out": _GARBAGE.flat_out(),
    "bad-signatures-flat-out": _BAD_SIGNATURES.flat_out(),
    "unknown-keys-flat-out": _UNKNOWN_KEYS.flat_out(),
    "replays-flat-out": _REPLAYS.flat_out(),
}
