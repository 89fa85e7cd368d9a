"""The two headers by which Flower's guard tells who asks."""

from base64 import b64decode
from ipaddress import ip_address
from typing import Final

from deploy.flower_guard import is_login
from deploy.flower_logins import client_address, read_networks
from tests.fuzz.target import Target

_PROXIES: Final = read_networks("10.0.0.0/8, 2001:db8::/32")
_LOGIN: Final = "admin:correct-horse"
_HEADER: Final = b"Basic YWRtaW46Y29ycmVjdC1ob3JzZQ=="


def check_flower(data: bytes) -> None:
    """Demand that only the login is one, and only a proxy says whose request it is."""
    authorization, _, forwarded_for = data.decode("latin-1").partition("\n")
    if is_login(authorization, [_LOGIN]):
        scheme, encoded = authorization.split(maxsplit=1)
        # As Flower itself reads it: what is no base64 is passed over.
        assert (scheme, b64decode(encoded.encode())) == ("Basic", _LOGIN.encode())
    address = client_address("10.0.0.1", forwarded_for, _PROXIES)
    hops = [hop.strip() for hop in forwarded_for.split(",")]
    assert address in {ip_address("10.0.0.1"), *filter(None, map(_address, hops))}
    # Whoever is no proxy says nothing.
    assert client_address("192.0.2.1", forwarded_for, _PROXIES) == ip_address("192.0.2.1")


def _address(hop: str) -> object:
    try:
        address = ip_address(hop)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


TARGETS: Final = (
    Target(
        name="flower-headers",
        check=check_flower,
        seeds=(
            _HEADER + b"\n192.0.2.7, 10.0.0.2",
            b"basic x\n::ffff:192.0.2.7",
            b"Basic =\n, ,2001:db8::1",
            b"Bearer a\nfe80::1%eth0, 10.0.0.3",
        ),
        words=(
            b"Basic ",
            b", ",
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
