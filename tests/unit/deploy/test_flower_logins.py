"""How guesses at Flower's login are counted: by address, and bounded."""

from ipaddress import ip_address

import pytest

from deploy.flower_logins import (
    LOCKED_SECONDS,
    MAX_ADDRESSES,
    MAX_FAILURES,
    FailedLogins,
)

GUESSER, OTHER = ip_address("203.0.113.7"), ip_address("203.0.113.8")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def failed(clock: Clock, said: list[str]) -> FailedLogins:
    return FailedLogins(clock=clock, say=said.append)


def guess(failed: FailedLogins, times: int) -> None:
    for _ in range(times):
        failed.note(GUESSER)


def test_an_address_is_locked_out_after_its_failures_and_no_other(failed: FailedLogins) -> None:
    guess(failed, MAX_FAILURES - 1)
    assert failed.locked_seconds(GUESSER) == 0

    guess(failed, 1)

    assert failed.locked_seconds(GUESSER) == LOCKED_SECONDS
    assert failed.locked_seconds(OTHER) == 0


def test_the_lock_ends_and_the_count_begins_anew(failed: FailedLogins, clock: Clock) -> None:
    guess(failed, MAX_FAILURES)

    clock.now += LOCKED_SECONDS

    assert failed.locked_seconds(GUESSER) == 0
    guess(failed, MAX_FAILURES - 1)
    assert failed.locked_seconds(GUESSER) == 0


def test_each_failure_is_a_line_and_what_is_refused_unseen_is_a_number_in_the_next(
    failed: FailedLogins, clock: Clock, said: list[str]
) -> None:
    guess(failed, MAX_FAILURES)
    assert len(said) == MAX_FAILURES
    assert said[0] == "failed login from 203.0.113.7, 1 of 20"
    assert said[-1].endswith("20 of 20: no login from 203.0.113.7 is looked at for 300 s")

    for _ in range(431):
        failed.locked_seconds(GUESSER)
    assert len(said) == MAX_FAILURES
    clock.now += LOCKED_SECONDS
    guess(failed, 1)

    assert said[-1] == "failed login from 203.0.113.7, 1 of 20 (431 were refused unseen since the last)"


def test_a_site_with_many_addresses_of_ipv6_is_one(failed: FailedLogins) -> None:
    for host in range(MAX_FAILURES):
        failed.note(ip_address(f"2001:db8:0:1::{host:x}"))

    assert failed.locked_seconds(ip_address("2001:db8:0:1:ffff::1")) > 0
    assert failed.locked_seconds(ip_address("2001:db8:0:2::1")) == 0


def test_only_so_many_addresses_are_remembered(failed: FailedLogins) -> None:
    guess(failed, MAX_FAILURES)

    for number in range(MAX_ADDRESSES - 1):
        failed.note(ip_address("10.0.0.0") + number)
    assert failed.locked_seconds(GUESSER) > 0
    failed.note(ip_address("10.255.0.0"))

    assert failed.locked_seconds(GUESSER) == 0
