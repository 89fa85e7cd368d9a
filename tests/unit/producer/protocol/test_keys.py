"""BETCORE's keys: a bad fetch never replaces good keys, and nobody can make us hammer the endpoint."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.local.processes import wait_until
from producer.protocol.errors import KeysFetchFailed, LookupNeeded, RefetchTooSoon
from producer.protocol.keys import KeySet
from tests.support.betcore import Endpoints, signer
from tests.support.key_sets import Clock, key_set


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def results() -> list[str]:
    return []


@pytest.fixture
def keys(betcore: Endpoints, clock: Clock, results: list[str]) -> KeySet:
    return key_set(betcore, clock=clock, on_fetch=results.append)


def test_before_the_first_fetch_there_is_no_key(keys: KeySet) -> None:
    assert keys.get(signer(1).kid) is None
    assert keys.is_empty
    assert keys.age_seconds is None


def test_a_fetch_gives_the_published_keys(keys: KeySet, clock: Clock, results: list[str]) -> None:
    keys.fetch()
    clock.now += 7

    found = keys.get(signer(1).kid)
    assert found is not None
    assert found.public_numbers() == signer(1).private_key.public_key().public_numbers()
    assert keys.get(signer(2).kid) is None
    assert keys.age_seconds == 7
    assert results == ["ok"]


@pytest.mark.parametrize(
    "reply",
    [
        (500, b""),
        (404, b'{"keys": []}'),
        (302, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"keys": {}}'),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [1, null, "x", {}]}'),
        (200, b'{"keys": [' + b" " * 300_000 + b"]}"),
        (200, b'{"keys":' * 10_000),
        (200, b"\xff\xfe"),
    ],
)
def test_a_reply_without_a_usable_key_leaves_the_keys_as_they_are(
    keys: KeySet, betcore: Endpoints, clock: Clock, results: list[str], reply: tuple[int, bytes]
) -> None:
    keys.fetch()
    betcore.keys = reply
    clock.now += 5

    with pytest.raises(KeysFetchFailed):
        keys.fetch()

    assert keys.get(signer(1).kid) is not None
    assert keys.age_seconds == 5
    assert results == ["ok", "keys_unavailable"]


def test_a_redirect_is_not_followed(keys: KeySet, betcore: Endpoints) -> None:
    betcore.headers = {"Location": "http://betcore.test/mis-api/api/v2/auth/jwks"}
    betcore.keys = (302, b"")

    with pytest.raises(KeysFetchFailed):
        keys.fetch()
    assert betcore.fetches == 1


def test_a_key_that_is_no_longer_published_is_kept_for_its_time_and_then_dropped(
    keys: KeySet, betcore: Endpoints, clock: Clock
) -> None:
    keys.fetch()
    betcore.publish(signer(2))
    keys.fetch()

    clock.now += 29
    keys.fetch()
    assert keys.get(signer(1).kid) is not None
    clock.now += 1
    assert keys.get(signer(1).kid) is None
    keys.fetch()
    assert keys.get(signer(2).kid) is not None


def test_a_key_that_is_published_again_is_no_longer_retired(
    keys: KeySet, betcore: Endpoints, clock: Clock
) -> None:
    keys.fetch()
    betcore.publish(signer(2))
    keys.fetch()
    betcore.publish(signer(1))
    keys.fetch()

    clock.now += 1_000
    assert keys.get(signer(1).kid) is not None


def test_a_known_key_is_never_fetched_for(keys: KeySet, betcore: Endpoints) -> None:
    keys.fetch()

    assert keys.fetch_for_unknown(signer(1).kid) is not None
    assert betcore.fetches == 1


def test_unknown_keys_cause_one_fetch_per_interval(keys: KeySet, betcore: Endpoints, clock: Clock) -> None:
    keys.fetch()

    assert keys.fetch_for_unknown("a") is None
    assert keys.fetch_for_unknown("a") is None
    for name in ("b", "c", "d"):
        with pytest.raises(RefetchTooSoon):
            keys.fetch_for_unknown(name)
    assert betcore.fetches == 2

    clock.now += 10
    assert keys.fetch_for_unknown("b") is None
    assert betcore.fetches == 3


def test_what_is_known_of_an_unknown_key_is_told_without_blocking(
    keys: KeySet, betcore: Endpoints, clock: Clock
) -> None:
    keys.fetch()
    with pytest.raises(LookupNeeded):
        keys.fetch_for_unknown("a", may_block=False)
    # Nothing was used up by asking so.
    assert keys.fetch_for_unknown("a") is None

    assert keys.fetch_for_unknown("a", may_block=False) is None
    with pytest.raises(RefetchTooSoon):
        keys.fetch_for_unknown("b", may_block=False)
    assert betcore.fetches == 2

    clock.now += 10
    with pytest.raises(LookupNeeded):
        keys.fetch_for_unknown("a", may_block=False)


def test_while_a_fetch_is_under_way_its_result_has_to_be_waited_for(keys: KeySet, betcore: Endpoints) -> None:
    keys.fetch()
    keys.fetch_for_unknown("a")
    betcore.gate = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(keys.fetch)
        wait_until(lambda: betcore.fetches == 3, what="it is under way", timeout_seconds=120)
        try:
            with pytest.raises(LookupNeeded):
                keys.fetch_for_unknown("a", may_block=False)
        finally:
            betcore.gate.set()
        under_way.result(timeout=120)


def test_while_the_endpoint_is_away_it_is_not_asked_again_for_an_unknown_key(
    keys: KeySet, betcore: Endpoints
) -> None:
    keys.fetch()
    betcore.keys = (503, b"")

    for _ in range(5):
        with pytest.raises(KeysFetchFailed):
            keys.fetch_for_unknown(signer(2).kid)

    assert betcore.fetches == 2
    assert keys.get(signer(1).kid) is not None


def test_keys_that_could_not_be_fetched_for_too_long_are_used_no_more(
    keys: KeySet, betcore: Endpoints, clock: Clock
) -> None:
    keys.fetch()
    betcore.keys = (503, b"")
    # As long as the rules say, and then as long as a key that was withdrawn.
    clock.now += 86_400 + 29
    assert keys.get(signer(1).kid) is not None

    clock.now += 1

    assert keys.get(signer(1).kid) is None
    with pytest.raises(KeysFetchFailed):
        keys.fetch_for_unknown(signer(1).kid)


@pytest.mark.parametrize(("seconds", "is_empty"), [(86_400 + 29, False), (86_400 + 30, True)])
def test_keys_that_are_too_old_are_as_good_as_none(
    keys: KeySet, clock: Clock, *, seconds: float, is_empty: bool
) -> None:
    keys.fetch()

    clock.now += seconds

    assert keys.is_empty is is_empty


def test_keys_that_were_too_old_are_good_again_once_they_are_fetched(
    keys: KeySet, betcore: Endpoints, clock: Clock
) -> None:
    keys.fetch()
    clock.now += 200_000

    assert keys.fetch_for_unknown(signer(1).kid) is not None
    assert betcore.fetches == 2
    assert not keys.is_empty


def test_callers_at_the_same_time_share_one_fetch(keys: KeySet, betcore: Endpoints) -> None:
    betcore.publish(signer(1), signer(2))
    betcore.gate = threading.Event()
    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(keys.fetch_for_unknown, signer(2).kid) for _ in range(8)]
        betcore.gate.set()

        assert all(each.result(timeout=120) is not None for each in found)
    assert betcore.fetches == 1
