"""Whose request it is: addresses, networks, and what proxies say of who is before them. Decisions 38, 40."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_HOPS: Final = 16
"""So many hops of a header are looked at, from the last one on; nobody has as many proxies in a row."""

# So much of an IPv6 address names a site; the rest is whatever its owner likes.
_SITE_BITS: Final = 64
_QUOTES: Final = re.compile(r'\\.|(")')
_PAIR: Final = re.compile(r"""[ \t]*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)[ \t]*(?:;|$)""")


def read_networks(text: str) -> tuple[Network, ...]:
    """Read networks and addresses, separated by commas; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def read_address(text: str) -> Address:
    """Read an address; one of IPv4 that came over a socket of IPv6 is one of IPv4. Raises ValueError."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def is_among(address: Address, networks: Iterable[Network]) -> bool:
    """Say whether an address is of one of the networks."""
    return any(address in network for network in networks)


def client_address(peer: Address, hops: Iterable[str], proxies: Sequence[Network]) -> Address:
    """Return whose request it is: of the hops, the last one first, only what a proxy of ours wrote counts."""
    address = peer
    for hop in hops:
        if not is_among(address, proxies):
            break
        try:
            address = _read_hop(hop)
        except ValueError:
            break
    return address


def hops_of_x_forwarded_for(text: str) -> list[str]:
    """Return the hops in `X-Forwarded-For`, the last one first."""
    return _last_parts(text)


def hops_of_forwarded(text: str) -> list[str]:
    """Return who each hop in `Forwarded` (RFC 7239) is `for`, the last one first; "" where it does not say.

    Read from its end, which alone is surely a proxy's: a quote that a client leaves open swallows nothing.
    """
    hops = []
    element: str | None = None
    for part in _last_parts(text):
        element = part if element is None else f"{part},{element}"
        # Within quotes a comma separates nothing.
        if sum(bool(quote) for quote in _QUOTES.findall(element)) % 2 == 0:
            hops.append(_is_for(element))
            element = None
    return hops


def source_of(address: Address) -> str:
    """Return what is counted as one: an address, of IPv6 its network of 64 bits, which one host may have."""
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> _SITE_BITS << _SITE_BITS)}/{_SITE_BITS}"


def source_of_peer(peer: str) -> str:
    """Return what is counted as one of a socket's peer; what is no address stands for itself."""
    return source_of(read_address(peer)) if ":" in peer else peer


def _last_parts(text: str) -> list[str]:
    parts = text.rsplit(",", MAX_HOPS)
    # What is left of a text that has more is no part.
    return parts[: -MAX_HOPS - 1 : -1]


def _is_for(element: str) -> str:
    at = 0
    while (pair := _PAIR.match(element, at)) is not None and at < len(element):
        name, value = pair.groups()
        if name.lower() == "for":
            return value.strip('"')
        at = pair.end()
    return ""


def _read_hop(text: str) -> Address:
    hop = text.strip()
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return read_address(hop)
