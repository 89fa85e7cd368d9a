"""Who tries to log in to Flower: the address that an attempt came from, and how many failed from there."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_FAILURES: Final = 20
LOCKED_SECONDS: Final = 300.0
MAX_ADDRESSES: Final = 1_000
_IPV6_SITE_BITS: Final = 64
"""So much of an IPv6 address names a site; the rest is whatever its owner likes."""


def read_networks(text: str) -> tuple[Network, ...]:
    """Read networks and addresses, separated by commas; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str, forwarded_for: str, proxies: Sequence[Network]) -> Address:
    """Return whose request it is: of the hops in `X-Forwarded-For` only what a proxy of ours wrote counts."""
    address = _read_address(peer)
    for hop in reversed(forwarded_for.split(",")):
        if not any(address in network for network in proxies):
            break
        try:
            address = _read_address(hop.strip())
        except ValueError:
            break
    return address


def _read_address(text: str) -> Address:
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, kw_only=True)
class _Failures:
    count: int
    ends_at: float
    refused: int = 0


class FailedLogins:
    """Counts failed logins by address, and closes the login to one with too many for a while.

    A known user's password is as good as any other there: what is not looked at cannot be guessed.
    """

    def __init__(self, *, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock = clock
        self._say = say
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def locked_seconds(self, address: Address) -> int:
        """Return for how long no login from this address is looked at, in seconds, 0 where it is."""
        found = self._failures.get(_source(address))
        if found is None or found.count < MAX_FAILURES or (left := found.ends_at - self._clock()) <= 0:
            return 0
        self._failures[_source(address)] = _Failures(
            count=found.count, ends_at=found.ends_at, refused=found.refused + 1
        )
        return math.ceil(left)

    def note(self, address: Address) -> None:
        """Count a login that failed, and say it."""
        source, now = _source(address), self._clock()
        before = self._failures.pop(source, None)
        goes_on = before is not None and now < before.ends_at
        count = before.count + 1 if before is not None and goes_on else 1
        self._failures[source] = _Failures(count=count, ends_at=now + LOCKED_SECONDS)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        text = f"failed login from {address}, {count} of {MAX_FAILURES}"
        if count >= MAX_FAILURES:
            text += f": no login from {source} is looked at for {LOCKED_SECONDS:.0f} s"
        if before is not None and before.refused:
            text += f" ({before.refused} were refused unseen since the last)"
        self._say(text)


def _source(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), _IPV6_SITE_BITS), strict=False))
    return str(address)
