"""The background refresh of BETCORE's keys over real HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from deploy.local.processes import wait_until
from producer.protocol.errors import KeysFetchFailed
from producer.protocol.keys import KeySet
from tests.support.betcore import Endpoints, served, signer


@contextmanager
def key_set(base_url: str, *, refresh_seconds: float = 0.05, timeout_seconds: float = 60) -> Iterator[KeySet]:
    with httpx.Client() as client:
        keys = KeySet(
            betcore_url=base_url,
            client=client,
            refresh_seconds=refresh_seconds,
            unknown_key_seconds=0,
            timeout_seconds=timeout_seconds,
            retired_key_seconds=0,
            max_age_seconds=86_400,
        )
        try:
            yield keys
        finally:
            keys.close()


def test_the_background_refresh_follows_a_rotation() -> None:
    betcore = Endpoints()
    betcore.publish(signer(1))
    with served(betcore) as url, key_set(url) as keys:
        keys.start()
        wait_until(
            lambda: keys.get(signer(1).kid) is not None, what="the first key is there", timeout_seconds=120
        )

        betcore.publish(signer(2))

        wait_until(
            lambda: keys.get(signer(2).kid) is not None, what="the second key is there", timeout_seconds=120
        )
        assert keys.get(signer(1).kid) is None


def test_the_background_refresh_recovers_from_an_endpoint_that_was_away() -> None:
    betcore = Endpoints()
    with served(betcore) as url, key_set(url) as keys:
        keys.start()
        wait_until(lambda: betcore.fetches >= 2, what="it was tried again", timeout_seconds=120)
        assert keys.is_empty

        betcore.publish(signer(1))

        wait_until(lambda: not keys.is_empty, what="the keys are there", timeout_seconds=120)


def test_keys_outlive_the_endpoint() -> None:
    betcore = Endpoints()
    betcore.publish(signer(1))
    with served(betcore) as url, key_set(url) as keys:
        keys.fetch()
    with pytest.raises(KeysFetchFailed), httpx.Client() as client:
        KeySet(
            betcore_url=url,
            client=client,
            refresh_seconds=1,
            unknown_key_seconds=0,
            timeout_seconds=60,
            retired_key_seconds=0,
            max_age_seconds=86_400,
        ).fetch()
    assert keys.get(signer(1).kid) is not None


def test_an_endpoint_that_does_not_answer_fails_the_fetch() -> None:
    betcore = Endpoints(gate=threading.Event())
    assert betcore.gate is not None
    with served(betcore) as url, key_set(url, timeout_seconds=0.2) as keys:
        try:
            with pytest.raises(KeysFetchFailed):
                keys.fetch()
        finally:
            betcore.gate.set()


def test_closing_ends_the_thread() -> None:
    betcore = Endpoints()
    betcore.publish(signer(1))
    with served(betcore) as url, key_set(url, refresh_seconds=300) as keys:
        keys.start()
        wait_until(lambda: not keys.is_empty, what="the keys are there", timeout_seconds=120)
        keys.close()

        assert "betcore-keys" not in {thread.name for thread in threading.enumerate()}
