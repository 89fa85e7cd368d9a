"""The benchmarks' own parts on real sockets: the load, BETCORE, the limit."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import wait_until
from deploy.local.simulator.settings import DEFAULT_CLIENT_ID
from deploy.local.stack.readiness import answers_well
from producer.app import MAKE_PATH
from producer.receiver.answers import RECEIVED
from tests.benchmarks.betcore import BetcoreClient
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.line import make_request
from tests.benchmarks.measure import Usage
from tests.benchmarks.paced import OpenLoad
from tests.benchmarks.senders import ClosedLoad, Load, Plan
from tests.benchmarks.tokens import LIFETIME_SECONDS, TokenStore
from tests.support.bench_processes import betcore, started
from worker.betcore.accept import ACCEPT_PATH

PLAN = Plan(kind="closed", port=0, tokens_path="", connections=4, warm_up=8, seconds=60.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    return TokenStore(tmp_path_factory.mktemp("tokens"))


@asynccontextmanager
async def receiver(
    *, answer: bytes = OK, hold_until: int = 0, cut_at: int = 0, cuts_idle: bool = False
) -> AsyncIterator[int]:
    """Serve makes: each gets `answer` in two pieces, once `hold_until` have come; at `cut_at` it hangs up.

    With `cuts_idle` it hangs up after each answer.
    """
    taken = 0
    enough = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r")[0]))
                taken += 1
                if cut_at and taken >= cut_at:
                    break
                if taken >= hold_until:
                    enough.set()
                await enough.wait()
                writer.write(answer[:20])
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(answer[20:])
                if cuts_idle:
                    break
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOCALHOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def requests(count: int) -> list[bytes]:
    return [make_request(f"token-{number}", path=MAKE_PATH) for number in range(count)]


def test_a_closed_load_sends_every_make_once_and_times_what_follows_the_warm_up() -> None:
    async def run() -> Load:
        async with receiver() as port:
            load = ClosedLoad(replace(PLAN, port=port), requests(50))
            await load.run()
            return load

    load = asyncio.run(run())

    assert load.result.statuses == {"200": 50}
    # Without the eight before it, and the three that were under way when a line had nothing more to send.
    assert load.result.accepted == 50 - 8 - 3
    assert load.result.ended_at > load.result.begun_at > 0


def test_a_closed_load_counts_what_was_turned_away() -> None:
    async def run() -> dict[str, int]:
        async with receiver(answer=OK.replace(b"200 OK", b"503 No")) as port:
            return (await ClosedLoad(replace(PLAN, port=port), requests(20)).run()).statuses

    assert asyncio.run(run()) == {"503": 20}


def test_a_load_whose_connection_is_cut_fails_instead_of_waiting_for_ever() -> None:
    async def run() -> None:
        async with receiver(cut_at=10) as port:
            await ClosedLoad(replace(PLAN, port=port), requests(50)).run()

    with pytest.raises(BenchmarkFailed, match="a connection was lost"):
        asyncio.run(run())


def test_an_open_load_keeps_its_moments_whatever_the_door_does() -> None:
    """A receiver that answers nobody before all have come would stop a closed loop; here lines are opened."""

    async def run() -> Load:
        async with receiver(hold_until=40) as port:
            plan = replace(PLAN, kind="open", port=port, connections=1, warm_up=1, rate_per_second=200.0)
            load = OpenLoad(plan, requests(40))
            await load.run()
            return load

    load = asyncio.run(run())

    steps = [later - earlier for earlier, later in itertools.pairwise(load.result.due_ns)]
    assert steps == pytest.approx([5_000_000] * 39, abs=2)
    assert load.result.statuses == {"200": 40}
    assert len(load.lines) == 40


def test_an_open_load_takes_another_line_where_the_door_hung_up_on_an_idle_one() -> None:
    async def run() -> dict[str, int]:
        async with receiver(cuts_idle=True) as port:
            plan = replace(PLAN, kind="open", port=port, connections=1, warm_up=1, rate_per_second=50.0)
            return (await OpenLoad(plan, requests(10)).run()).statuses

    assert asyncio.run(run()) == {"200": 10}


def test_betcore_acknowledges_accepts_in_pieces_and_notes_who_came_when(
    tmp_path: Path, store: TokenStore
) -> None:
    body = json.dumps({"ErrorCode": 200, "Message": "Success", "Value": {"CashbackId": 480}}).encode()

    def in_pieces() -> Iterator[bytes]:
        yield body[:5]
        yield body[5:]

    with betcore(tmp_path, store) as url, httpx.Client(base_url=url, timeout=60) as client:
        before_ns = time.monotonic_ns()
        replies = [
            client.post(ACCEPT_PATH, content=body),
            client.post(ACCEPT_PATH, content=in_pieces(), headers={"Content-Length": str(len(body))}),
            client.post(ACCEPT_PATH, content=body.replace(b"200", b"102145")),
        ]
        after_ns = time.monotonic_ns()
        bench = BetcoreClient(url)
        state, arrivals = bench.state(), bench.arrivals()
        bench.reset()
        emptied = bench.state()
        bench.close()

    assert [reply.json()["ErrorCode"] for reply in replies] == [200] * 3
    assert (state.accepts, state.successes) == (3, 2)
    assert [(cashback, code) for cashback, _, code in arrivals] == [(480, 200), (480, 200), (480, 102145)]
    moments = [at_ns for _, at_ns, _ in arrivals]
    assert before_ns < moments[0] <= moments[1] <= moments[2] < after_ns
    assert (state.first_ns, state.last_ns) == (moments[0], moments[2])
    assert (emptied.accepts, emptied.first_ns, emptied.last_ns) == (0, 0, 0)


def test_the_limit_verifies_and_answers_the_very_bytes_that_our_receiver_answers(
    tmp_path: Path, store: TokenStore
) -> None:
    [token] = store.tokens(1, first_cashback_id=7)
    port = free_port()
    with betcore(tmp_path, store) as betcore_url:
        env = {
            **os.environ,
            "CASHBACK_BETCORE_URL": betcore_url,
            "CASHBACK_TOKEN_CLIENT_ID": DEFAULT_CLIENT_ID,
            "CASHBACK_TOKEN_MAX_LIFE_SECONDS": str(LIFETIME_SECONDS),
            "CASHBACK_REDIS_URL": "redis://nobody",
            "CASHBACK_DATABASE_URL": "postgresql://nobody",
        }
        app = "tests.benchmarks.receivers.limit:create_app"
        argv = ("-m", "uvicorn", "--factory", app, "--port", str(port), "--lifespan", "on")
        with started(tmp_path, "limit", *argv, env=env) as process:
            wait_until(
                lambda: answers_well(port, "/"), what="it serves", timeout_seconds=120, process=process
            )
            with httpx.Client(base_url=f"http://{LOCALHOST}:{port}", timeout=60) as client:
                good = client.post(MAKE_PATH, json=token)
                forged = client.post(MAKE_PATH, json=token[:-4] + "AAAA")

    assert (good.status_code, good.content) == (200, RECEIVED.response().body)
    assert forged.status_code == 500


def test_tokens_are_the_same_whoever_asks_for_them_and_in_whatever_portion(store: TokenStore) -> None:
    many = store.tokens(30, first_cashback_id=1_990)

    assert len(set(many)) == 30
    assert store.tokens(5, first_cashback_id=2_000) == many[10:15]


def test_a_key_that_is_too_old_is_thrown_away_with_its_tokens(tmp_path: Path) -> None:
    keys = TokenStore(tmp_path).key_set()

    assert TokenStore(tmp_path).key_set() == keys
    assert TokenStore(tmp_path, now=time.time() + 61 * 86_400).key_set() != keys


def test_the_cpu_time_of_a_child_that_has_ended_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"

    with Usage({"me": os.getpid()}) as usage:
        subprocess.run([sys.executable, "-c", burn], check=True)

    assert usage.cpu_seconds["me"] > 0.45
    assert usage.peak_rss_mb["me"] > 5
