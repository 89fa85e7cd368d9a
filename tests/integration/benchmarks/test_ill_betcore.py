"""The BETCORE of the benchmarks that can be ill, on real sockets."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.stack.readiness import answers_well
from tests.benchmarks.betcore import STATE_PATH
from tests.benchmarks.ill.betcore import WELL, Behaviour, IllBetcore
from worker.betcore.accept import ACCEPT_PATH
from worker.betcore.token_endpoint import TOKEN_PATH

MANY = 300


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    port, keys = free_port(), tmp_path / "jwks.json"
    keys.write_bytes(b'{"keys": []}')
    argv = [sys.executable, "-m", "tests.benchmarks.ill.betcore", str(port), str(keys)]
    with running(ManagedProcess(name="ill", argv=argv, log_path=tmp_path / "ill.log", cwd=ROOT)) as process:
        wait_until(
            lambda: answers_well(port, STATE_PATH), what="it serves", timeout_seconds=120, process=process
        )
        yield f"http://{LOCALHOST}:{port}"


@pytest.fixture
def betcore(url: str) -> Iterator[IllBetcore]:
    client = IllBetcore(url)
    yield client
    client.close()


@pytest.fixture
def partner(url: str) -> Iterator["Partner"]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield Partner(client)


class Partner:
    """What calls it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def bearer(self) -> str:
        reply = self._client.post(TOKEN_PATH, json={})
        return str(reply.json().get("AccessToken", reply.status_code))

    def accept(self, cashback_id: int, bearer: str) -> int:
        body = b'{"ErrorCode": 200, "Message": "Success", "Value": {"CashbackId": %d}}' % cashback_id
        headers = {"Authorization": f"Bearer {bearer}"}
        return self._client.post(ACCEPT_PATH, content=body, headers=headers).status_code


def raw_accept(cashback_id: int, bearer: str) -> bytes:
    body = b'{"ErrorCode": 200, "Value": {"CashbackId": %d}}' % cashback_id
    head = f"POST {ACCEPT_PATH} HTTP/1.1\r\nauthorization: Bearer {bearer}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def test_it_is_well_until_it_is_told_otherwise_and_knows_the_tokens_that_it_gave(
    betcore: IllBetcore, partner: Partner
) -> None:
    bearer = partner.bearer()

    assert [partner.accept(1, bearer), partner.accept(2, "bench-9x"), partner.accept(2, "other")] == [
        200,
        401,
        401,
    ]

    betcore.behave(Behaviour(revokes=True))
    assert partner.accept(3, bearer) == 401
    assert partner.accept(3, partner.bearer()) == 200
    notes = betcore.notes()
    assert list(notes.acknowledged[::2]) == [1, 3]
    assert len(notes.token_calls) == 2


def test_it_fails_as_it_is_told(betcore: IllBetcore, partner: Partner) -> None:
    bearer = partner.bearer()

    betcore.behave(Behaviour(accept="once"))
    assert [partner.accept(1, bearer), partner.accept(1, bearer), partner.accept(2, bearer)] == [
        500,
        200,
        500,
    ]
    betcore.behave(Behaviour(accept="young", seconds=600))
    assert [partner.accept(3, bearer), partner.accept(3, bearer)] == [500, 500]
    betcore.behave(Behaviour(accept="young", seconds=0))
    assert partner.accept(3, bearer) == 200
    betcore.behave(Behaviour(accept="401", token="500"))
    assert (partner.accept(4, bearer), partner.bearer()) == (401, "500")


def test_accepts_that_it_takes_and_does_not_answer_wait_in_any_number(
    url: str, betcore: IllBetcore, partner: Partner
) -> None:
    bearer = partner.bearer()
    betcore.behave(Behaviour(accept="hang"))
    port = int(url.rpartition(":")[2])
    with ExitStack() as lines:
        for number in range(MANY):
            line = lines.enter_context(socket.create_connection((LOCALHOST, port)))
            line.sendall(raw_accept(number, bearer))
        wait_until(lambda: betcore.notes().most_open == MANY, what="all wait", timeout_seconds=60)
        betcore.behave(WELL)
        # Those are lost; what comes now is answered.
        assert partner.accept(MANY, bearer) == 200
        assert list(betcore.notes().acknowledged[::2]) == [MANY]


def test_a_slow_answer_comes_after_its_time(betcore: IllBetcore, partner: Partner) -> None:
    bearer = partner.bearer()
    betcore.behave(Behaviour(accept="slow", seconds=0.3))

    begun = time.monotonic()

    assert partner.accept(1, bearer) == 200
    assert time.monotonic() - begun >= 0.3
    assert betcore.notes().most_open == 1
