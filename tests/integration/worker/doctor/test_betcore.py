"""`cashback doctor` names what is really wrong between us and BETCORE."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import httpx
import jwt
import pytest

from tests.integration.worker.doctor.conftest import Doctor
from tests.support.betcore import Endpoints, served, signer
from tests.support.simulator import CREDENTIALS, Clock, simulated_betcore

CLOCK = ("--only", "clock")
KEYS = ("--only", "keys")


@dataclass
class OtherClock(Endpoints):
    """A BETCORE whose clock is another one."""

    ahead_seconds: float = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.headers["Date"] = formatdate(time.time() + self.ahead_seconds, usegmt=True)
        return super().__call__(environ, start_response)


@pytest.fixture(scope="module")
def betcore() -> Iterator[httpx.Client]:
    with simulated_betcore(partner_url="http://127.0.0.1:1", clock=Clock()) as client:
        yield client


def base_url(betcore: httpx.Client) -> str:
    return str(betcore.base_url).rstrip("/")


def test_a_betcore_that_is_well_has_no_fault(doctor: Doctor, betcore: httpx.Client) -> None:
    found = doctor(
        *("--only", "clock,keys,credentials"),
        betcore_url=base_url(betcore),
        client_id=CREDENTIALS["PartnerClientId"],
        client_secret=CREDENTIALS["Secret"],
    )

    assert found.exit_code == 0
    assert found.names("good") == {"clock_betcore", "keys", "credentials"}
    assert CREDENTIALS["Secret"] not in found.text


def test_a_wrong_secret_is_named(doctor: Doctor, betcore: httpx.Client) -> None:
    found = doctor(
        *("--only", "credentials"),
        betcore_url=base_url(betcore),
        client_id=CREDENTIALS["PartnerClientId"],
        client_secret="n0t-the-secret",
    )

    assert (found.exit_code, found.names("fault")) == (1, {"credentials_refused"})
    assert "CASHBACK_CLIENT_SECRET" in found.of("credentials_refused")["what"]
    assert "n0t-the-secret" not in found.text


@pytest.mark.parametrize(("ahead_seconds", "where"), [(40.0, "behind"), (-40.0, "ahead")])
def test_a_clock_that_is_40_seconds_off_is_named(doctor: Doctor, ahead_seconds: float, where: str) -> None:
    endpoints = OtherClock(ahead_seconds=ahead_seconds)
    endpoints.publish(signer(1))

    with served(endpoints) as url:
        found = doctor(*CLOCK, betcore_url=url)

    assert (found.exit_code, found.names("fault")) == (1, {"clock_betcore"})
    assert f"this machine is {where}" in found.of("clock_betcore")["what"]


def test_the_clock_is_read_even_where_betcore_answers_with_an_error(doctor: Doctor) -> None:
    with served(OtherClock(ahead_seconds=40.0)) as url:
        found = doctor("--only", "clock,keys", betcore_url=url)

    assert found.names("fault") == {"clock_betcore", "keys_unreachable"}
    assert "HTTP 503" in found.of("keys_unreachable")["what"]


def test_expired_keys_are_named(doctor: Doctor) -> None:
    endpoints = Endpoints()
    endpoints.publish_members(signer(1).jwk(exp=int(time.time()) - 60), signer(2).jwk(exp=1))

    with served(endpoints) as url:
        found = doctor(*KEYS, betcore_url=url)

    assert (found.exit_code, found.names("fault")) == (1, {"keys_expired"})
    assert signer(1).kid in found.text


def test_one_expired_key_beside_a_good_one_is_advice(doctor: Doctor) -> None:
    endpoints = Endpoints()
    endpoints.publish_members(signer(1).jwk(exp=1), signer(2).jwk())

    with served(endpoints) as url:
        found = doctor(*KEYS, betcore_url=url)

    assert (found.exit_code, found.names("advice")) == (0, {"keys_some_expired"})


def test_keys_of_which_none_can_be_used_are_named(doctor: Doctor) -> None:
    endpoints = Endpoints()
    endpoints.publish_members({"kid": "1", "kty": "EC"})

    with served(endpoints) as url:
        found = doctor(*KEYS, betcore_url=url)

    assert "holds no usable key" in found.of("keys_unreachable")["what"]


@pytest.mark.parametrize(
    ("ends_in_seconds", "verdict", "name"),
    [
        (-60, "fault", "bearer_expired"),
        (3_600, "advice", "bearer_ends_soon"),
        (9_000_000, "good", "bearer_static"),
    ],
    ids=["ended", "soon", "later"],
)
def test_the_end_of_a_static_token_is_read(
    doctor: Doctor, ends_in_seconds: int, verdict: str, name: str
) -> None:
    token = jwt.encode({"exp": int(time.time()) + ends_in_seconds}, "a key of nobody's, long enough for it")

    found = doctor("--only", "credentials", betcore_url="http://127.0.0.1:1", bearer_token=token)

    assert found.names(verdict) == {name}
    assert token not in found.text
