"""A server that is silent, endless or away: each call ends with an error by name, by the client's bound."""

import socket
import threading
from uuid import UUID

import pytest

from cashback_client.errors import NotSubmitted, StatusUnknown
from deploy.local.ports import free_port
from tests.support.cashback_clients import (
    AMPLE_SECONDS,
    BOTH,
    SHORT_SECONDS,
    Making,
    dripping,
    silent,
    tcp_server,
)

TOKEN = "eyJ.e30.sig"
EVENT = UUID("12345678-1234-8234-8234-123456789abc")
ENDLESS_HTTP = {
    "head": b"HTTP/1.1 200 OK\r\nX: ",
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n",
    "nothing of HTTP": b"",
}

both = pytest.mark.parametrize("make", BOTH.values(), ids=BOTH.keys())


def begun(connection: socket.socket, closing: threading.Event, first: bytes) -> None:
    connection.recv(1)
    connection.sendall(first)
    dripping(b"1")(connection, closing)


def http(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@both
@pytest.mark.parametrize("login", ["", "user:password@"])
def test_a_silent_redis_ends_a_call_in_its_time(make: Making, login: str) -> None:
    with (
        tcp_server(silent) as port,
        make(f"redis://{login}127.0.0.1:{port}/0", timeout_seconds=SHORT_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(TOKEN)

    assert error.value.reason == "timed_out"
    # With a login nothing is sent before it is known.
    assert error.value.may_be_there == (login == "")


@both
def test_silent_sentinels_end_a_call_in_its_time(make: Making) -> None:
    with (
        tcp_server(silent) as port,
        make(
            f"sentinel://127.0.0.1:{port};sentinel://127.0.0.1:{port}", timeout_seconds=SHORT_SECONDS
        ) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(TOKEN)

    assert error.value.reason in {"timed_out", "unreachable"}
    assert not error.value.may_be_there


@both
def test_many_silent_sentinels_are_not_all_waited_for(make: Making) -> None:
    asked = []

    def serve(connection: socket.socket, closing: threading.Event) -> None:
        asked.append(connection)
        silent(connection, closing)

    # Each is given a quarter of the time.
    with (
        tcp_server(serve) as port,
        make(";".join([f"sentinel://127.0.0.1:{port}"] * 20), timeout_seconds=SHORT_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(TOKEN)

    assert (error.value.reason, error.value.may_be_there) == ("timed_out", False)
    assert len(asked) < 20


@both
@pytest.mark.parametrize("scheme", ["redis", "http"])
def test_a_name_server_that_hangs_ends_a_call_in_its_time(
    make: Making, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def look_up(*_args: object, **_options: object) -> list[object]:
        released.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with make(f"{scheme}://partner.test", api_key="k", timeout_seconds=SHORT_SECONDS) as client:
        try:
            with pytest.raises(NotSubmitted) as error:
                client.submit(TOKEN)
        finally:
            # Python waits for its threads.
            released.set()

    assert (error.value.reason, error.value.may_be_there) == ("timed_out", False)


@both
@pytest.mark.parametrize("first", [b":", b"-", b"$", b"*", b"+"], ids=repr)
def test_a_redis_that_drips_ends_a_call_in_its_time(make: Making, first: bytes) -> None:
    def serve(connection: socket.socket, closing: threading.Event) -> None:
        begun(connection, closing, first)

    with (
        tcp_server(serve) as port,
        make(f"redis://127.0.0.1:{port}", timeout_seconds=SHORT_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(TOKEN)

    assert (error.value.reason, error.value.may_be_there) == ("timed_out", True)


@both
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_receiver_ends_a_call_in_its_time(make: Making, scheme: str) -> None:
    with (
        tcp_server(silent) as port,
        make(f"{scheme}://127.0.0.1:{port}", api_key="k", timeout_seconds=SHORT_SECONDS) as client,
    ):
        with pytest.raises(NotSubmitted) as error:
            client.submit(TOKEN)
        with pytest.raises(StatusUnknown) as unknown:
            client.status(EVENT)

    # Nothing is sent before the handshake is done.
    assert (error.value.reason, error.value.may_be_there) == ("timed_out", scheme == "http")
    assert unknown.value.reason == "timed_out"


@both
@pytest.mark.parametrize("first", ENDLESS_HTTP.values(), ids=ENDLESS_HTTP.keys())
def test_a_receiver_that_drips_ends_a_call_in_its_time(make: Making, first: bytes) -> None:
    def serve(connection: socket.socket, closing: threading.Event) -> None:
        begun(connection, closing, first)

    with tcp_server(serve) as port, make(http(port), api_key="k", timeout_seconds=SHORT_SECONDS) as client:
        with pytest.raises(NotSubmitted) as error:
            client.submit(TOKEN)
        with pytest.raises(StatusUnknown) as unknown:
            client.status(EVENT)

    assert (error.value.reason, error.value.may_be_there) == ("timed_out", True)
    assert unknown.value.reason == "timed_out"


@both
@pytest.mark.parametrize("scheme", ["redis", "sentinel", "http"])
def test_a_server_that_is_away_is_said_to_be(make: Making, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with (
        make(url, api_key="k", timeout_seconds=AMPLE_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(TOKEN)

    assert (error.value.reason, error.value.may_be_there) == ("unreachable", False)


@both
@pytest.mark.parametrize("scheme", ["redis", "http"])
def test_a_server_that_hangs_up_is_told_from_one_that_is_away(make: Making, scheme: str) -> None:
    def serve(connection: socket.socket, _closing: threading.Event) -> None:
        connection.recv(1)

    with (
        tcp_server(serve) as port,
        make(f"{scheme}://127.0.0.1:{port}", api_key="k", timeout_seconds=AMPLE_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(TOKEN)

    assert (error.value.reason, error.value.may_be_there) == ("cut_off", True)


@both
def test_a_receiver_that_floods_is_not_listened_to_for_ever(make: Making) -> None:
    def serve(connection: socket.socket, _closing: threading.Event) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 65_536)

    with (
        tcp_server(serve) as port,
        make(http(port), api_key="k", timeout_seconds=AMPLE_SECONDS) as client,
        pytest.raises(NotSubmitted) as error,
    ):
        client.submit(TOKEN)

    assert (error.value.reason, error.value.may_be_there) == ("broken_reply", True)
