"""The senders of the siege on real sockets: what they send, and what they note of it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle

import pytest

from deploy.local.ports import LOCALHOST
from producer.app import MAKE_PATH
from tests.benchmarks.line import make_request
from tests.siege.errors import TokensUsedUp
from tests.siege.senders.floods import Flood
from tests.siege.senders.honest import ClosedHonest, OpenHonest
from tests.siege.senders.makes import Honest
from tests.siege.senders.plans import AttackOrders, HonestOrders, Kind, Tally
from tests.siege.senders.stalls import Stall

REQUEST = make_request("a.b.c", path=MAKE_PATH)
ANSWERED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"
HANGS_UP = b""
NEVER = b"-"
MAKES = 30
CONNECTIONS = 4
# Ends of a hang, far above what any of it takes on a slow machine.
END_OF_A_HANG_SECONDS = 120.0
PATIENT = 60.0


class Receiver:
    """Answers requests by turns; counts peers, and how many requests at most were there unanswered."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.peers: Counter[str] = Counter()
        self.most_bytes = 0
        self.writers: list[asyncio.StreamWriter] = []
        self._answers = cycle(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._note(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await reader.readexactly(len(REQUEST))
                answer = next(self._answers)
                if answer == NEVER:
                    await reader.read()
                if answer in {HANGS_UP, NEVER}:
                    break
                writer.write(answer)
        writer.close()

    async def hang_up_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._note(writer)
        with suppress(OSError):
            self.most_bytes = max(self.most_bytes, len(await reader.read(65_536)))
        writer.close()

    def _note(self, writer: asyncio.StreamWriter) -> None:
        self.peers[writer.get_extra_info("peername")[0]] += 1
        self.writers.append(writer)


@asynccontextmanager
async def listening(
    answers: Sequence[bytes] = (), *, hangs_up: bool = False
) -> AsyncIterator[tuple[Receiver, int]]:
    receiver = Receiver(answers)
    serve = receiver.hang_up_on if hangs_up else receiver.serve
    async with await asyncio.start_server(serve, LOCALHOST, 0) as server:
        yield receiver, server.sockets[0].getsockname()[1]
        for _ in range(10):
            # Whoever has connected gets to its writer: a server that is closed before forgets them.
            await asyncio.sleep(0)
        for writer in receiver.writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


def honest_orders(port: int, **changed: object) -> HonestOrders:
    values = {
        "port": port,
        "directory": "/nowhere",
        "name": "honest",
        "kind": "open",
        "tokens_path": "",
        "skip": 0,
        "seconds": 0.2,
        "per_second": MAKES / 0.2,
        "connections": 2,
    }
    return HonestOrders(**(values | changed))  # type: ignore[arg-type]


def attack_orders(port: int, kind: Kind = "flood", **changed: object) -> AttackOrders:
    values = {
        "port": port,
        "directory": "/nowhere",
        "name": "attacker",
        "kind": kind,
        "begins_after": 0.0,
        "seconds": 0.5,
        "seed": 1,
        "token": "a.b.c",
        "sources": ("127.0.0.2", "127.0.0.3"),
        "connections": CONNECTIONS,
    }
    return AttackOrders(**(values | changed))  # type: ignore[arg-type]


def requests(number: int = 1_000_000) -> Iterator[bytes]:
    return (REQUEST for _ in range(number))


async def until(running: Coroutine[object, object, object], check: Callable[[], bool]) -> None:
    """Run something until the check holds."""
    task = asyncio.ensure_future(running)
    async with asyncio.timeout(END_OF_A_HANG_SECONDS):
        while not check():
            assert not task.done()
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def statuses_of(sender: Honest) -> Counter[int]:
    return Counter(status for _, status, _ in sender.records)


@pytest.mark.parametrize(
    ("answers", "patience_seconds", "noted"),
    [
        ([ANSWERED, REFUSED, HANGS_UP], PATIENT, {200: 10, 503: 10, 0: 10}),
        # A peer that never answers is the same to who waits.
        ([NEVER], 0.1, {0: MAKES}),
    ],
)
def test_each_honest_make_is_noted_once_whatever_becomes_of_it(
    *, answers: Sequence[bytes], patience_seconds: float, noted: dict[int, int]
) -> None:
    async def run() -> Honest:
        async with listening(answers) as (_, port):
            sender = OpenHonest(honest_orders(port), requests(), patience_seconds=patience_seconds)
            await sender.run(time.monotonic())
        return sender

    assert statuses_of(asyncio.run(run())) == noted


def test_nobody_there_is_noted_for_each_honest_make() -> None:
    async def run() -> Honest:
        async with listening([ANSWERED]) as (_, port):
            pass
        sender = OpenHonest(honest_orders(port), requests())
        await sender.run(time.monotonic())
        return sender

    assert statuses_of(asyncio.run(run())) == {0: MAKES}


def test_honest_connections_go_on_after_refusals_and_losses() -> None:
    async def run() -> None:
        async with listening([ANSWERED, REFUSED, ANSWERED, HANGS_UP]) as (_, port):
            orders = honest_orders(port, kind="closed", seconds=END_OF_A_HANG_SECONDS)
            sender = ClosedHonest(orders, requests(), patience_seconds=PATIENT)
            await until(
                sender.run(time.monotonic()),
                lambda: min(statuses_of(sender)[status] for status in (200, 503, 0)) > 2,
            )

    asyncio.run(run())


def test_honest_makes_that_run_out_are_a_failure() -> None:
    async def run() -> None:
        async with listening([ANSWERED]) as (_, port):
            orders = honest_orders(port, kind="closed", seconds=END_OF_A_HANG_SECONDS)
            sender = ClosedHonest(orders, requests(3), patience_seconds=PATIENT)
            await until(
                sender.run(time.monotonic()),
                lambda: any(isinstance(error, TokensUsedUp) for error in sender.errors),
            )

    asyncio.run(run())


@pytest.mark.parametrize("paced", [0.0, 1_000.0])
def test_a_flood_has_one_batch_under_way_on_each_connection(paced: float) -> None:
    async def run() -> tuple[Receiver, Tally]:
        tally = Tally()
        async with listening([ANSWERED]) as (receiver, port):
            flood = Flood(attack_orders(port, per_second=paced, batch=2), [REQUEST], tally)
            await until(
                flood.run(time.monotonic() + END_OF_A_HANG_SECONDS),
                lambda: tally.opened == CONNECTIONS and tally.statuses.get("200", 0) > 100,
            )
        return receiver, tally

    receiver, tally = asyncio.run(run())

    assert set(receiver.peers) == {"127.0.0.2", "127.0.0.3"}
    assert tally.opened == CONNECTIONS
    assert tally.statuses["200"] <= tally.requests <= tally.statuses["200"] + CONNECTIONS * 2


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_flood_opens_what_was_closed_again(*, hangs_up: bool) -> None:
    async def run() -> Tally:
        tally = Tally()
        # Who hangs up by itself awaits no answer; the others are hung up on.
        async with listening([NEVER if hangs_up else HANGS_UP]) as (_, port):
            orders = attack_orders(port, per_second=1_000.0 if hangs_up else 0.0, hangs_up=hangs_up)
            flood = Flood(orders, [REQUEST], tally)
            await until(
                flood.run(time.monotonic() + END_OF_A_HANG_SECONDS),
                lambda: tally.opened > 3 * CONNECTIONS,
            )
        return tally

    tally = asyncio.run(run())

    # A connection that has just been opened may not have been used yet.
    assert tally.opened - CONNECTIONS <= tally.requests <= tally.opened


@pytest.mark.parametrize("kind", ["head", "unfinished", "slow body", "endless body"])
def test_a_stall_that_is_hung_up_on_comes_again(kind: Kind) -> None:
    async def run() -> tuple[Receiver, Tally]:
        tally = Tally()
        async with listening(hangs_up=True) as (receiver, port):
            orders = attack_orders(port, kind, size_bytes=10_000_000, pause_seconds=0.01)
            await until(
                Stall(orders, tally).run(time.monotonic() + END_OF_A_HANG_SECONDS),
                lambda: receiver.peers.total() > 3 * CONNECTIONS,
            )
        return receiver, tally

    receiver, tally = asyncio.run(run())

    assert set(receiver.peers) == {"127.0.0.2", "127.0.0.3"}
    assert receiver.most_bytes > 0
    assert tally.bytes_sent > 0
