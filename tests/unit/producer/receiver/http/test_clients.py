"""Whose request it is, by the connection or by our proxies, and whether makes may come from there."""

import pytest

from producer.receiver.http.clients import Client, Clients
from producer.shared.addresses import read_networks

PROXIES = read_networks("10.0.0.0/8")


def request(peer: str, *headers: tuple[bytes, bytes]) -> dict[str, object]:
    return {"type": "http", "client": (peer, 1), "headers": list(headers)}


def test_without_proxies_it_is_the_connection_that_counts() -> None:
    clients = Clients(proxies=(), header="x-forwarded-for")

    client = clients.of(request("::ffff:203.0.113.7", (b"x-forwarded-for", b"198.51.100.1")))

    assert client == Client("203.0.113.7", "203.0.113.7", is_allowed=True)
    assert not clients.are_restricted


def test_of_proxies_it_is_what_their_header_says_and_not_what_the_other_one_does() -> None:
    headers = [
        (b"x-forwarded-for", b"198.51.100.1"),
        (b"forwarded", b"for=198.51.100.2"),
        (b"x-forwarded-for", b"2001:db8::1"),
    ]
    request_of_a_proxy = request("10.0.0.1", *headers)

    by_default = Clients(proxies=PROXIES, header="x-forwarded-for").of(request_of_a_proxy)
    by_forwarded = Clients(proxies=PROXIES, header="forwarded").of(request_of_a_proxy)

    assert by_default == Client("2001:db8::1", "2001:db8::/64", is_allowed=True)
    assert by_forwarded.address == "198.51.100.2"


@pytest.mark.parametrize("junk", [b"a" * 10_000, b"," * 10_000, b"\xff", b'for="'])
def test_a_header_that_says_nothing_leaves_it_to_the_proxy(junk: bytes) -> None:
    for header in ("x-forwarded-for", "forwarded"):
        client = Clients(proxies=PROXIES, header=header).of(request("10.0.0.1", (header.encode(), junk)))

        assert client.address == "10.0.0.1"


def test_where_networks_are_named_all_others_are_not_allowed() -> None:
    clients = Clients(
        proxies=PROXIES, header="x-forwarded-for", allowed=read_networks("203.0.113.0/24,2001:db8::/32")
    )

    def is_allowed(peer: str, said: bytes = b"") -> bool:
        return clients.of(request(peer, (b"x-forwarded-for", said))).is_allowed

    assert clients.are_restricted
    assert is_allowed("203.0.113.7")
    assert is_allowed("2001:db8::1")
    assert is_allowed("10.0.0.1", b"203.0.113.7")
    # Neither a proxy by itself, nor what somebody says who is none.
    assert not is_allowed("10.0.0.1")
    assert not is_allowed("10.0.0.1", b"203.0.113.7, 198.51.100.1")
    assert not is_allowed("198.51.100.1", b"203.0.113.7")
    assert not is_allowed("")


def test_a_peer_without_an_address_stands_for_itself() -> None:
    clients = Clients(proxies=(), header="x-forwarded-for")

    assert clients.of({"type": "http", "headers": []}) == Client("", "", is_allowed=True)
