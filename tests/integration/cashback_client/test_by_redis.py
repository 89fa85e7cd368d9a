"""Submitting by Redis: onto a real Valkey, as a user that may put onto one list and do nothing else."""

import json
import socket
import threading
import time
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cashback_client.contract import event_id_of
from cashback_client.envelope import envelope, message_in
from cashback_client.errors import NotSubmitted
from cashback_client.summary import summary_of
from tests.support.betcore import cashback, signer
from tests.support.cashback_clients import (
    AMPLE_SECONDS,
    BOTH,
    PARTNER,
    PASSWORD,
    QUEUE,
    Making,
    tcp_server,
)
from tests.support.certificates import Authority
from tests.support.redis_users import Server
from tests.support.sentinel import MASTER, sentinel_of
from tests.support.tcp_proxy import proxy_to
from tests.support.tls_server import tls_before

AT_MS = 1_795_386_237_585
both = pytest.mark.parametrize("make", BOTH.values(), ids=BOTH.keys())


def token(number: int) -> str:
    return signer(1).token(at=AT_MS / 1000, data=cashback(number))


def url_at(port: int, *, scheme: str = "redis", user: str = PARTNER, password: str = PASSWORD) -> str:
    return f"{scheme}://{user}:{quote(password, safe='')}@127.0.0.1:{port}/0"


def entries(server: Server, queue: str = QUEUE) -> list[bytes]:
    """Return what lies on a list, the oldest first."""
    found = server.operator.lrange(queue, 0, -1)
    return [entry for entry in reversed(found) if isinstance(entry, bytes)]


@both
def test_an_event_lies_on_its_producers_list_as_the_receiver_writes_it(make: Making, server: Server) -> None:
    with make(url_at(server.valkey.port), producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
        outcome = client.submit(token(480), AT_MS)

    [entry] = entries(server)
    message = message_in(entry)
    assert message is not None
    assert (message.token, message.received_at_ms) == (token(480), AT_MS)
    assert (outcome.result, outcome.event_id) == ("accepted", event_id_of(token(480)))
    written = json.loads(entry)
    assert written == envelope(
        message,
        summary=summary_of(cashback(480)),
        origin=written["headers"]["origin"],
        delivery_tag=written["properties"]["delivery_tag"],
    )
    assert json.loads(b64decode(written["body"]))[1] == message.model_dump()
    assert server.refused() == set()


@both
def test_many_lie_there_in_their_order_and_what_is_no_token_is_refused(make: Making, server: Server) -> None:
    before_ms = time.time_ns() // 1_000_000
    with make(url_at(server.valkey.port), producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
        found = client.submit_many([token(1), "no token", (token(2), AT_MS), (token(3), -1), token(4)])

    assert [outcome.result for outcome in found] == ["accepted", "refused", "accepted", "refused", "accepted"]
    assert [outcome.reason for outcome in found] == ["", "no_token", "", "bad_message", ""]
    messages = [message_in(entry) for entry in entries(server)]
    assert [message and message.token for message in messages] == [token(1), token(2), token(4)]
    times = [message.received_at_ms for message in messages if message]
    assert times[1] == AT_MS
    assert before_ms <= times[0] == times[2] <= time.time_ns() // 1_000_000


@both
def test_nothing_is_sent_where_there_is_nothing(make: Making) -> None:
    with make("redis://127.0.0.1:1", timeout_seconds=AMPLE_SECONDS) as client:
        assert client.submit_many([]) == []
        assert [outcome.result for outcome in client.submit_many(["x", "y"])] == ["refused", "refused"]


@both
@pytest.mark.parametrize(
    ("user", "password", "producer"),
    [(PARTNER, PASSWORD, "betcore"), (PARTNER, PASSWORD, "mobile"), (PARTNER, "wrong", PARTNER)],
)
def test_who_may_not_is_told_that_nothing_was_submitted_and_tries_once(
    make: Making, server: Server, user: str, password: str, producer: str
) -> None:
    url = url_at(server.valkey.port, user=user, password=password)
    with (
        make(url, producer=producer, timeout_seconds=AMPLE_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(token(480))

    assert (error.value.reason, error.value.may_be_there) == ("access_refused", False)
    assert password not in f"{error.value!r} {error.value.__cause__!r}"
    [logged] = server.operator.acl_log()
    assert logged["count"] == 1
    assert entries(server, "cashback") == []


@both
def test_who_comes_without_a_login_is_refused_access(make: Making, server: Server) -> None:
    with (
        make(server.bare_url, producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(token(480))

    assert (error.value.reason, error.value.may_be_there) == ("access_refused", False)


@both
@pytest.mark.parametrize("word", ["LOADING", "READONLY", "NOREPLICAS", "MISCONF", "CLUSTERDOWN", "ERR"])
def test_a_server_that_says_no_has_taken_nothing_and_is_asked_once(make: Making, word: str) -> None:
    asked = []

    def serve(connection: socket.socket, closing: threading.Event) -> None:
        while not closing.is_set() and connection.recv(65_536):
            asked.append(word)
            connection.sendall(f"-{word} not now\r\n".encode())

    with (
        tcp_server(serve) as port,
        make(f"redis://127.0.0.1:{port}", timeout_seconds=AMPLE_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit("eyJ.e30.sig")

    assert (error.value.reason, error.value.may_be_there) == ("unavailable", False)
    assert asked == [word]


@both
def test_a_redis_that_is_full_is_said_to_be_unavailable(make: Making, server: Server) -> None:
    server.operator.config_set("maxmemory", 1)
    try:
        with (
            make(url_at(server.valkey.port), producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client,
            pytest.raises(NotSubmitted, match="OutOfMemory") as error,
        ):
            client.submit(token(480))
    finally:
        server.operator.config_set("maxmemory", 0)

    assert (error.value.reason, error.value.may_be_there) == ("unavailable", False)


@both
def test_an_answer_that_was_lost_costs_one_more_try_and_the_event_stays_one(
    make: Making, server: Server
) -> None:
    with proxy_to("127.0.0.1", server.valkey.port) as proxy:
        proxy.cut_on = b"LPUSH"
        with make(url_at(proxy.port), producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
            client.submit(token(480), AT_MS)

    assert proxy.cuts == 1
    assert [message_in(entry) for entry in entries(server)] == [message_in(entries(server)[0])] * 2


@both
def test_a_connection_that_was_cut_between_calls_is_made_anew(make: Making, server: Server) -> None:
    with make(url_at(server.valkey.port), producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
        for number in range(3):
            client.submit(token(number))
            kill: Any = server.operator.execute_command
            kill("CLIENT", "KILL", "USER", PARTNER)

    assert len(entries(server)) == 3


@both
def test_it_finds_the_primary_by_its_sentinels(make: Making, server: Server, tmp_path: Path) -> None:
    operator = server.valkey.users
    assert operator is not None
    options = {"auth-user": "cashback-operator", "auth-pass": operator.passwords["operator"]}
    with sentinel_of(server.valkey, tmp_path, options=options, password="of-sentinels") as port:
        url = ";".join([url_at(port, scheme="sentinel"), f"sentinel://127.0.0.1:{port}"])
        with make(
            url,
            producer=PARTNER,
            timeout_seconds=AMPLE_SECONDS,
            sentinel_master=MASTER,
            sentinel_password="of-sentinels",
        ) as client:
            client.submit(token(480))

    assert len(entries(server)) == 1


@both
@pytest.mark.parametrize("trusted", [True, False])
def test_redis_over_tls_is_who_it_says_or_nothing_is_submitted(
    make: Making, *, trusted: bool, server: Server, tmp_path: Path
) -> None:
    ours, others = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "others", "others")
    file = quote(str(ours.file if trusted else others.file))
    with tls_before(server.valkey.port, ours.server_context(ours.holder("server"))) as tls:
        url = f"{url_at(tls.port, scheme='rediss')}?ssl_ca_certs={file}"
        with make(url, producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
            if trusted:
                client.submit(token(480))
                assert len(entries(server)) == 1
                return
            with pytest.raises(NotSubmitted, match="certificate verify failed") as error:
                client.submit(token(480))

    assert (error.value.reason, error.value.may_be_there) == ("unreachable", False)
    assert tls.with_tls == 0
