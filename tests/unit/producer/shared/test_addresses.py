"""Whose request it is: by what our own proxies vouch for, and by nothing else."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from producer.shared.addresses import (
    MAX_HOPS,
    client_address,
    hops_of_forwarded,
    hops_of_x_forwarded_for,
    read_address,
    read_networks,
    source_of,
    source_of_peer,
)

PROXIES = read_networks("10.0.0.0/8, ::1")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        # Whoever is no proxy of ours can write what they like.
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, <script>", "10.0.0.1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        # Some write the port, too.
        ("10.0.0.1", "203.0.113.7:51234", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::1]:51234", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
    ],
)
def test_whose_request_it_is(peer: str, forwarded_for: str, address: str) -> None:
    hops = hops_of_x_forwarded_for(forwarded_for)

    assert client_address(read_address(peer), hops, PROXIES) == ip_address(address)


def test_without_proxies_only_the_connection_counts() -> None:
    assert client_address(ip_address("127.0.0.1"), ["203.0.113.7"], ()) == ip_address("127.0.0.1")


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ("For=198.51.100.1, FOR=203.0.113.7;proto=http", "203.0.113.7"),
        ('proto=https; for="[2001:db8::1]:4711"', "2001:db8::1"),
        ("for=198.51.100.1, for=203.0.113.7, for=10.0.0.2", "203.0.113.7"),
        # Who hides, or is not named, is whoever the last proxy is.
        ("for=203.0.113.7, for=_hidden", "10.0.0.1"),
        ("for=203.0.113.7, for=unknown", "10.0.0.1"),
        ("for=203.0.113.7, proto=http", "10.0.0.1"),
        ("for=203.0.113.7,", "10.0.0.1"),
        ("", "10.0.0.1"),
        # What a client names in its Host stays within its quotes.
        ('for=203.0.113.7;host="x,for=198.51.100.1";proto=http', "203.0.113.7"),
        ('host="x;for=198.51.100.1";for=203.0.113.7', "203.0.113.7"),
        ('for=203.0.113.7;host="x\\",for=198.51.100.1"', "203.0.113.7"),
        # A quote that a client leaves open swallows nothing of what a proxy adds.
        ('for="198.51.100.1, for=203.0.113.7', "203.0.113.7"),
        ('for="198.51.100.1\\, for="[2001:db8::1]"', "2001:db8::1"),
    ],
)
def test_whose_request_it_is_by_forwarded(forwarded: str, address: str) -> None:
    hops = hops_of_forwarded(forwarded)

    assert client_address(ip_address("10.0.0.1"), hops, PROXIES) == ip_address(address)


@pytest.mark.parametrize("hops_of", [hops_of_x_forwarded_for, hops_of_forwarded])
def test_of_a_long_header_only_the_last_hops_are_looked_at(hops_of: Callable[[str], list[str]]) -> None:
    assert len(hops_of("for=10.0.0.2," * 1_000)) == MAX_HOPS


def test_a_host_of_ipv6_is_counted_by_its_network() -> None:
    assert source_of(ip_address("2001:db8:0:1:ffff::1")) == "2001:db8:0:1::/64"
    assert source_of_peer("2001:db8:0:1:ffff::1") == "2001:db8:0:1::/64"
    assert source_of_peer("fe80::1%eth0") == "fe80::/64"
    assert source_of_peer("::ffff:203.0.113.7") == source_of_peer("203.0.113.7") == "203.0.113.7"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.test", "10.0.0.0/8 ::1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear to be|has host bits set"):
        read_networks(text)
