"""The life of a client: shared by threads, closed, cancelled, forked; and what the papers say of it."""

import asyncio
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from cashback_client.client import AsyncCashbackClient, CashbackClient
from cashback_client.contract import event_id_of
from cashback_client.envelope import message_in
from cashback_client.errors import ClientClosed, NotSubmitted, Refused, WrongSettings
from cashback_client.http_exchange import MAX_CONNECTIONS
from deploy.local.environment import ROOT
from tests.support.cashback_clients import (
    AMPLE_SECONDS,
    BOTH,
    PARTNER,
    PASSWORD,
    QUEUE,
    Making,
    silent,
    tcp_server,
)
from tests.support.partner_api import KEY, PartnerApi
from tests.support.raw_betcore import Peer, Request, serving
from tests.support.redis_users import Server
from tests.support.tcp_proxy import proxy_to

both = pytest.mark.parametrize("make", BOTH.values(), ids=BOTH.keys())

FORKING = """
import os, sys
from cashback_client.client import CashbackClient

with CashbackClient(sys.argv[1], producer="edge", timeout_seconds=30) as client:
    client.submit("a.b.parent")
    child = os.fork()
    if child == 0:
        client.submit("a.b.child")
        client.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    client.submit("a.b.again")
"""


def token(number: int) -> str:
    return f"eyJ.e30.sig{number}"


def url_at(port: int) -> str:
    return f"redis://{PARTNER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"


def tokens_on(server: Server, queue: str = QUEUE) -> list[str]:
    """Return the tokens on a list, the oldest first."""
    found: Any = server.operator.lrange(queue, 0, -1)
    messages = [message_in(entry) for entry in reversed(found)]
    return [message.token for message in messages if message]


def connections_of_edge(server: Server) -> int:
    clients: Any = server.operator.client_list()
    return sum(1 for client in clients if client["user"] == PARTNER)


def test_threads_share_a_client(server: Server) -> None:
    with (
        CashbackClient(url_at(server.valkey.port), producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client,
        ThreadPoolExecutor(32) as threads,
    ):
        found = list(threads.map(lambda number: client.submit(token(number)), range(200)))
        connections = connections_of_edge(server)

    assert [outcome.event_id for outcome in found] == [event_id_of(token(number)) for number in range(200)]
    assert sorted(tokens_on(server)) == sorted(token(number) for number in range(200))
    assert 1 <= connections <= 8


def test_many_calls_at_once_of_one_loop(server: Server) -> None:
    async def submit() -> int:
        url = url_at(server.valkey.port)
        async with AsyncCashbackClient(url, producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
            await asyncio.gather(*(client.submit(token(number)) for number in range(200)))
            return await asyncio.to_thread(connections_of_edge, server)

    assert 1 <= asyncio.run(submit()) <= 8
    assert len(set(tokens_on(server))) == 200


def test_so_many_requests_of_one_client_are_under_way_at_once() -> None:
    calls = 2 * MAX_CONNECTIONS
    seen: list[int] = []
    under_way = 0
    lock = threading.Condition()

    def answer(peer: Peer, connection: socket.socket, request: Request) -> None:
        nonlocal under_way
        with lock:
            under_way += 1
            seen.append(under_way)
            lock.notify_all()
            # Nobody is answered before one too many is here, which never comes.
            lock.wait_for(lambda: len(seen) > MAX_CONNECTIONS, timeout=0.5)
            under_way -= 1
        PartnerApi()(peer, connection, request)

    async def submit(url: str) -> None:
        async with AsyncCashbackClient(url, api_key=KEY, timeout_seconds=AMPLE_SECONDS) as client:
            await asyncio.gather(*(client.submit(token(number)) for number in range(calls)))

    with serving(answer) as peer:
        asyncio.run(submit(f"{peer.url}/base"))

    assert len(seen) == calls
    assert max(seen) <= MAX_CONNECTIONS


def test_a_call_that_was_cancelled_leaves_its_answer_to_nobody(server: Server) -> None:
    async def submit() -> None:
        with proxy_to("127.0.0.1", server.valkey.port) as proxy:
            url = url_at(proxy.port)
            async with AsyncCashbackClient(url, producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
                await client.submit(token(1))
                proxy.is_silent.set()
                cancelled = asyncio.create_task(client.submit("a.b.cancelled"))
                await asyncio.sleep(0.05)
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
                proxy.is_silent.clear()
                await client.submit(token(2))

    asyncio.run(submit())

    assert [each for each in tokens_on(server) if each != "a.b.cancelled"] == [token(1), token(2)]


@both
def test_a_client_that_was_closed_says_so_and_leaves_nothing(make: Making, server: Server) -> None:
    threads = threading.active_count()
    with make(url_at(server.valkey.port), producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
        client.submit(token(1))

    assert threading.active_count() == threads
    if make is CashbackClient:
        with pytest.raises(ClientClosed):
            client.submit(token(2))
        with pytest.raises(ClientClosed):
            client.status(event_id_of(token(1)))


def test_a_call_whose_client_is_closed_meanwhile_ends_at_once() -> None:
    taken = threading.Event()

    def serve(connection: socket.socket, closing: threading.Event) -> None:
        connection.recv(1)
        taken.set()
        closing.wait()

    errors: list[NotSubmitted] = []

    def submit(client: CashbackClient) -> None:
        with pytest.raises(NotSubmitted) as error:
            client.submit(token(1))
        errors.append(error.value)

    with tcp_server(serve) as port:
        client = CashbackClient(f"redis://127.0.0.1:{port}", timeout_seconds=AMPLE_SECONDS)
        thread = threading.Thread(target=submit, args=(client,))
        thread.start()
        taken.wait()
        client.close()
        thread.join()

    [error] = errors
    assert error.may_be_there


def test_a_client_that_was_never_used_is_closed_without_a_thread() -> None:
    threads = threading.active_count()
    with CashbackClient("redis://redis.test") as client:
        assert threading.active_count() == threads
    client.close()


def test_a_forked_process_has_connections_of_its_own(server: Server) -> None:
    # Later Pythons warn of any fork where threads run: this client's has nothing that a child needs.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, url_at(server.valkey.port)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)

    assert tokens_on(server) == ["a.b.parent", "a.b.child", "a.b.again"]


def test_the_client_for_threads_works_where_a_loop_runs(server: Server) -> None:
    async def submit() -> None:
        url = url_at(server.valkey.port)
        with CashbackClient(url, producer=PARTNER, timeout_seconds=AMPLE_SECONDS) as client:
            client.submit(token(1))

    asyncio.run(submit())

    assert tokens_on(server) == [token(1)]


@both
def test_a_client_by_redis_asks_at_a_receiver(make: Making) -> None:
    api = PartnerApi(events={str(event_id_of(token(1))): {"event_id": str(event_id_of(token(1)))}})
    with serving(api) as peer, make("redis://r.test", status_url=f"{peer.url}/base", api_key=KEY) as client:
        status = client.status(event_id_of(token(1)))
    with make("redis://r.test") as client, pytest.raises(WrongSettings, match="status_url"):
        client.status(event_id_of(token(1)))

    assert status is not None
    assert status.state == "answered"


def example_in(paper: str, word: str) -> str:
    texts = re.findall(r"```python\n(.*?)```", (ROOT / paper).read_text("utf-8"), re.DOTALL)
    [found] = [text for text in texts if word in text]
    assert isinstance(found, str)
    return found


def test_the_readmes_example_submits_as_a_partner_service(server: Server) -> None:
    names = {"redis_url": server.url("partner"), "token": token(1), "received_at_ms": 1_000}
    text = example_in("README.md", "CashbackClient").replace("timeout_seconds=2", "timeout_seconds=30")
    exec(compile(text, "README.md", "exec"), names)  # noqa: S102 - it is our own README

    assert tokens_on(server, "cashback") == [token(1)]
    assert server.refused() == set()


def test_the_papers_example_tells_betcore_what_is_known(server: Server) -> None:
    names: dict[str, Any] = {}
    exec(compile(example_in("docs/partners.md", "def on_make"), "partners.md", "exec"), names)  # noqa: S102 - as above
    on_make = names["on_make"]

    with CashbackClient(server.url("partner"), timeout_seconds=AMPLE_SECONDS) as client:
        assert on_make(client, token(1), 1_000) == 200
        assert on_make(client, "no token", 1_000) == 400
    with (
        tcp_server(silent) as port,
        CashbackClient(f"redis://127.0.0.1:{port}", timeout_seconds=0.1) as client,
    ):
        assert on_make(client, token(1), 1_000) == 503


def test_the_clients_own_readme_has_an_example_that_runs(server: Server) -> None:
    text = example_in("producer/client/README.md", "CashbackClient").replace(
        "rediss://edge:PASSWORD@redis.example/0", url_at(server.valkey.port)
    )
    exec(compile(text, "README.md", "exec"), {"token": token(1), "received_at_ms": 1_000})  # noqa: S102 - as above
    with pytest.raises(Refused), CashbackClient("redis://r.test") as client:
        client.submit("no token")

    assert tokens_on(server) == [token(1)]
