"""The attacks: bounded, from and to this machine alone, and the same bytes from the same seed."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.siege.catalogue import ATTACKS
from tests.siege.errors import NotLoopback, SenderFailed
from tests.siege.senders.junk import requests_of
from tests.siege.senders.plans import MAX_SECONDS, Ammunition, AttackOrders, HonestOrders, require_loopback

# What the receiver takes at most; a siege with bodies that are refused unread would say little.
MAX_BODY_BYTES = 16_384
HEADER = "eyJhbGciOiJSUzI1NiIsImtpZCI6IkEifQ"
TOKEN = f"{HEADER}.cGF5bG9hZA.c2lnbmF0dXJl"
ORDERS = AttackOrders(
    port=1,
    directory="/nowhere",
    name="attacker",
    kind="flood",
    begins_after=0.0,
    seconds=1.0,
    seed=1,
    token=TOKEN,
    sources=("127.0.0.2",),
)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.12", "::1"])
def test_this_machine_may_be_attacked(address: str) -> None:
    require_loopback(address)


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "localhost", "betcore.test", ""]
)
def test_no_other_address_may_be_attacked_or_attack(address: str) -> None:
    for changed in ({"host": address}, {"sources": ("127.0.0.2", address)}):
        with pytest.raises(NotLoopback):
            replace(ORDERS, **changed)
    with pytest.raises(NotLoopback):
        HonestOrders(
            port=1,
            directory="/nowhere",
            name="honest",
            host=address,
            kind="open",
            tokens_path="",
            skip=0,
            seconds=1.0,
        )


def test_no_attack_is_longer_than_it_may_be() -> None:
    replace(ORDERS, seconds=MAX_SECONDS)
    with pytest.raises(SenderFailed):
        replace(ORDERS, seconds=MAX_SECONDS + 0.1)


def test_all_attacks_come_from_this_machine_and_differ_in_what_they_are_called() -> None:
    assert all(ip_address(each).is_loopback for attack in ATTACKS.values() for each in attack.sources)
    assert len({attack.title for attack in ATTACKS.values()}) == len(ATTACKS)


@pytest.mark.parametrize("ammunition", ["garbage", "long token", "bad signature", "unknown kid", "replay"])
def test_the_same_seed_gives_the_same_requests(ammunition: Ammunition) -> None:
    first, again, other = (requests_of(ammunition, token=TOKEN, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert (first == other) == (ammunition == "replay")
    assert all(len(body_of(request)) <= MAX_BODY_BYTES for request in first)


def test_bad_signatures_have_the_known_key_and_unknown_keys_do_not() -> None:
    bad = {json.loads(body_of(each)) for each in requests_of("bad signature", token=TOKEN, seed=1)}
    unknown = [json.loads(body_of(each)) for each in requests_of("unknown kid", token=TOKEN, seed=1)]

    assert {each.rpartition(".")[0] for each in bad} == {TOKEN.rpartition(".")[0]}
    assert TOKEN not in bad
    kids = {json.loads(urlsafe_b64decode(each.partition(".")[0] + "=="))["kid"] for each in unknown}
    assert len(kids) == len(unknown)
    assert "A" not in kids


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]
