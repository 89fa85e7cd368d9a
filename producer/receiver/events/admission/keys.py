"""The keys of partners: SHA-256 of each beside the producer's name, read anew when the file changes.

A key is 32 random bytes: there is nothing to be guessed, so a plain hash holds it. To make one:
`key=$(openssl rand -hex 32); printf %s "$key" | sha256sum`.
"""

import asyncio
import hmac
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from cashback_client.contract import OWN_PRODUCER, PRODUCER_NAME

LOOK_SECONDS: Final = 1.0
MAX_FILE_BYTES: Final = 65_536
MAX_KEYS: Final = 128
MAX_PRODUCERS: Final = 32
MAX_EVENTS_PER_SECOND: Final = 100_000.0

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_RATE: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,3})?")
_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]{1,512})")
_FORM: Final = "it is: name SHA256HEX [events_per_second]"

_log: Final = structlog.get_logger(__name__)


class KeysUnreadable(Exception):
    """The keys cannot be read. The text is a sentence for an operator, and shows nothing of a line."""


@dataclass(frozen=True, slots=True)
class Partner:
    """A producer with a key, and how many events a second it may hand in; None: as the setting says."""

    name: str
    events_per_second: float | None


@dataclass(frozen=True, slots=True)
class KeyList:
    """Who has which key; keys by their digests."""

    partners: Mapping[bytes, Partner] = field(repr=False)

    @property
    def producers(self) -> frozenset[str]:
        """Who has a key."""
        return frozenset(partner.name for partner in self.partners.values())

    def holder_of(self, key: bytes) -> Partner | None:
        """Return whose key it is; the time that this takes says nothing about the others."""
        digest = sha256(key).digest()
        found = None
        for known, partner in self.partners.items():
            if hmac.compare_digest(known, digest):
                found = partner
        return found


def read_keys(text: str, *, partners: Collection[str] | None = None) -> KeyList:
    """Read lines of keys; raise KeysUnreadable, which names the line.

    `partners` are those from whose lists workers take, None: anybody's.
    """
    names: dict[bytes, str] = {}
    rates: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        parts = line.partition("#")[0].split()
        if not parts:
            continue
        try:
            name, digest, rate = _read_line(parts)
        except ValueError as error:
            raise KeysUnreadable(f"line {number}: {error}") from None
        if partners is not None and name not in partners:
            raise KeysUnreadable(
                f"line {number}: {name} is not in CASHBACK_PARTNERS, so no worker takes from its list: "
                "add it there first"
            )
        if names.setdefault(digest, name) != name:
            raise KeysUnreadable(f"line {number}: {name} has a key that is another producer's, too")
        if rate is not None:
            rates[name] = max(rate, rates.get(name, 0.0))
    if not text.strip():
        raise KeysUnreadable("there is nothing in it: where nobody is to have a key, write # and why")
    if len(names) > MAX_KEYS or len(set(names.values())) > MAX_PRODUCERS:
        raise KeysUnreadable(f"there are more than {MAX_KEYS} keys, or {MAX_PRODUCERS} producers")
    return KeyList({digest: Partner(name, rates.get(name)) for digest, name in names.items()})


def _read_line(parts: list[str]) -> tuple[str, bytes, float | None]:
    name, *rest = parts
    if not PRODUCER_NAME.fullmatch(name):
        raise ValueError(f"the name is none of a producer's: {_FORM}")
    if name == OWN_PRODUCER:
        raise ValueError(f"{OWN_PRODUCER} is our own receiver, and has no key")
    if not rest or not _DIGEST.fullmatch(rest[0]):
        raise ValueError(f"{name} has no SHA-256 in 64 hexadecimal digits: {_FORM}")
    if len(rest) == 1:
        return name, bytes.fromhex(rest[0]), None
    if len(rest) > 2 or not _RATE.fullmatch(rest[1]):  # noqa: PLR2004 - a digest and a rate
        raise ValueError(f"{name} has no number of events a second behind its key: {_FORM}")
    rate = float(rest[1])
    if not 0 < rate <= MAX_EVENTS_PER_SECOND or not math.isfinite(rate):
        raise ValueError(
            f"{name} may hand in more than 0 and at most {MAX_EVENTS_PER_SECOND:g} events a second"
        )
    return name, bytes.fromhex(rest[0]), rate


class PartnerKeys:
    """Tells whose key comes with a request.

    With a `path` they are read from there, and again while `watch` runs; a file that cannot be read leaves
    what was read last. `partners` as for `read_keys`. Raises KeysUnreadable where there is nothing to begin
    with.
    """

    def __init__(
        self, *, text: str | None = None, path: Path | None = None, partners: Collection[str] | None = None
    ) -> None:
        self._path = path
        self._partners = partners
        self._seen = (text or "").replace(";", "\n").encode() if path is None else _content_of(path)
        self._keys = self._read(self._seen)

    @property
    def producers(self) -> frozenset[str]:
        """Who has a key."""
        return self._keys.producers

    def holder_of(self, authorization: bytes) -> Partner | None:
        """Return whose key this header holds."""
        match = _BEARER.fullmatch(authorization)
        return None if match is None else self._keys.holder_of(match[1])

    async def watch(self) -> None:
        """Look again and again until cancelled."""
        while self._path is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look, self._path)

    def look(self, path: Path) -> None:
        """Read the file again, if it holds something else; say what came of it, once for each content."""
        try:
            content = _content_of(path)
        except KeysUnreadable as error:
            content = repr(error).encode()
            if content != self._seen:
                self._keep(error)
        else:
            if content != self._seen:
                self._take(content)
        self._seen = content

    def _take(self, content: bytes) -> None:
        try:
            self._keys = self._read(content)
        except KeysUnreadable as error:
            self._keep(error)
        else:
            _log.info(
                "partner_keys_read", producers=sorted(self._keys.producers), keys=len(self._keys.partners)
            )

    def _read(self, content: bytes) -> KeyList:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise KeysUnreadable("it is no text in UTF-8") from None
        return read_keys(text, partners=self._partners)

    def _keep(self, error: KeysUnreadable) -> None:
        _log.error(
            "partner_keys_unreadable", why=str(error), detail="the keys that were read last go on counting"
        )


def _content_of(path: Path) -> bytes:
    # The whole of it each time: it is small, and the time of its last change may be that of the one before.
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeysUnreadable(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise KeysUnreadable(f"{path} has more than {MAX_FILE_BYTES} bytes")
    return content
