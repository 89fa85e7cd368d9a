"""The headers by which Flower's guard and the receiver tell who asks."""

from base64 import b64decode
from ipaddress import ip_address
from typing import Final

from deploy.flower_guard import is_login
from producer.shared.addresses import (
    client_address,
    hops_of_forwarded,
    hops_of_x_forwarded_for,
    read_networks,
    source_of,
)
from tests.fuzz.target import Target

_PROXIES: Final = read_networks("10.0.0.0/8, 2001:db8::/32")
_PROXY: Final = ip_address("10.0.0.1")
_NO_PROXY: Final = ip_address("192.0.2.1")
_LOGIN: Final = "admin:correct-horse"
_HEADER: Final = b"Basic YWRtaW46Y29ycmVjdC1ob3JzZQ=="


def check_flower(data: bytes) -> None:
    """Demand that only the login is one, and only a proxy says whose request it is."""
    authorization, _, forwarded_for = data.decode("latin-1").partition("\n")
    if is_login(authorization, [_LOGIN]):
        scheme, encoded = authorization.split(maxsplit=1)
        # As Flower itself reads it: what is no base64 is passed over.
        assert (scheme, b64decode(encoded.encode())) == ("Basic", _LOGIN.encode())
    for hops in (hops_of_x_forwarded_for(forwarded_for), hops_of_forwarded(forwarded_for)):
        address = client_address(_PROXY, hops, _PROXIES)
        assert address in {_PROXY, *filter(None, map(_address, hops))}
        # Whoever is no proxy says nothing.
        assert client_address(_NO_PROXY, hops, _PROXIES) == _NO_PROXY
        assert source_of(address)


def _address(hop: str) -> object:
    # An address alone, one with a port, and one of IPv6 in brackets (RFC 7239, 6).
    text = hop.strip()
    bare = text.split("]")[0].removeprefix("[") if text.startswith("[") else text
    for candidate in (bare, text.split(":")[0] if text.count(":") == 1 else bare):
        try:
            address = ip_address(candidate)
        except ValueError:
            continue
        return getattr(address, "ipv4_mapped", None) or address
    return None


TARGETS: Final = (
    Target(
        name="who-asks",
        check=check_flower,
        seeds=(
            _HEADER + b"\n192.0.2.7, 10.0.0.2",
            b"basic x\n::ffff:192.0.2.7",
            b"Basic =\n, ,2001:db8::1",
            b'Basic =\nfor="[2001:db8::7]:4711";proto=https, for=10.0.0.2:80',
            b"Bearer a\nfe80::1%eth0, 10.0.0.3",
        ),
        words=(
            b"Basic ",
            b", ",
            b"for=",
            b";",
            b'"[',
            b']:80"',
            b"10.0.0.2",
            b"2001:db8::2",
            b"::ffff:",
            b"%",
            b"=",
            b"\n",
            b"\xe9",
            b"1" * 40,
        ),
        max_bytes=256,
    ),
)
