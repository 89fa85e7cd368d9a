"""How many makes a receiver takes, and how long each waits, at 1, 32 and 256 connections.

- **ours**: the Procfile's command with default settings. Every 200 is checked after the run: as many receipts
  in PostgreSQL and as many messages in Redis as 200s.
- **limit**: the same server around nothing but the verification of the token (receivers/limit.py).
- **textbook**: FastAPI, PyJWKClient and Celery's `apply_async`, without a receipt (receivers/textbook.py).

The loop is closed: each connection sends its next make when the last one is answered. Each sample has a
process and books of its own, and some hundred makes to warm up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import redis

from cashback_client.contract import QUEUE
from deploy.local.ports import free_port
from deploy.local.processes import ManagedProcess
from producer.app import MAKE_PATH
from tests.benchmarks.drive import cost_of, send_load, write_tokens
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.measure import Table, interleave, percentile
from tests.benchmarks.receivers import names
from tests.benchmarks.rig import Rig
from tests.benchmarks.senders import Plan, Result

NAME: Final = "receiver"
CONNECTIONS: Final = (1, 32, 256)
COMPARED: Final = 32
RATE: Final = "accepts_per_second"
_OURS_APP: Final = "producer"
_LIMIT_APP: Final = "tests.benchmarks.receivers tests.benchmarks.receivers.limit:create_app"
_TEXTBOOK_APP: Final = "tests.benchmarks.receivers tests.benchmarks.receivers.textbook:create_app"
_COMMAND: Final = "python -m {app} --port $PORT"
_REDIS_SECONDS: Final = 30.0
_TRIAL_SECONDS: Final = 3.0
# No receiver here takes more in a second.
_MOST_PER_SECOND: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One receiver: the module that the Procfile's command runs, and the path of its make."""

    name: str
    app: str
    path: str = MAKE_PATH
    queue: str | None = None
    keeps_receipts: bool = False


OURS: Final = Measured(name="ours", app=_OURS_APP, queue=QUEUE, keeps_receipts=True)
LIMIT: Final = Measured(name="limit", app=_LIMIT_APP)
TEXTBOOK: Final = Measured(name="textbook", app=_TEXTBOOK_APP, queue=names.QUEUE)
TEXTBOOK_ASYNC: Final = Measured(name="textbook", app=_TEXTBOOK_APP, path=names.ASYNC_PATH, queue=names.QUEUE)


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure the table; returns it and receiver_vs_textbook and receiver_vs_limit."""
    seconds = 1.0 if quick else 4.0
    textbooks = {"async def": TEXTBOOK_ASYNC, "def": TEXTBOOK}
    # A quick run takes what was better before.
    best = "async def" if quick else _better(rig, textbooks, say=say)
    rows: dict[str, Callable[[], Mapping[str, float]]] = {}
    for connections in CONNECTIONS:
        for receiver in (OURS, LIMIT, textbooks[best]):
            row = row_name(receiver, connections)
            rows[row] = partial(_sample, rig, receiver, connections=connections, seconds=seconds)
    table = interleave(
        NAME,
        f"Receiver: makes taken per second (the textbook's with `{best}`)",
        "make",
        rows,
        rounds=rounds,
        say=say,
    )
    return table, ratios(table)


def row_name(receiver: Measured, connections: int) -> str:
    """Return the name of a row."""
    return f"{receiver.name}, {connections} connection{'s' if connections > 1 else ''}"


def ratios(table: Table) -> dict[str, float]:
    """Return this table's entries of the report's ratios, from medians at COMPARED connections."""
    rate = {
        receiver.name: table.median(row_name(receiver, COMPARED), RATE)
        for receiver in (OURS, LIMIT, TEXTBOOK)
    }
    return {
        "receiver_vs_textbook": rate["ours"] / rate["textbook"],
        "receiver_vs_limit": rate["ours"] / rate["limit"],
    }


def start_receiver(rig: Rig, receiver: Measured) -> tuple[ManagedProcess, int]:
    """Start a receiver with the Procfile's own command; return it and its port once it serves."""
    port = free_port()
    [*shell, command] = rig.procfile("web")
    ours = _COMMAND.format(app=_OURS_APP)
    if ours not in command:
        raise BenchmarkFailed(f"the Procfile's web command is not `{ours}`")
    # The same server with the same options around another application.
    argv = [*shell, command.replace(ours, _COMMAND.format(app=receiver.app))]
    process = rig.start("web", argv, {**rig.environment(), "PORT": str(port)})
    rig.wait_http(process, port, "/readyz" if receiver.keeps_receipts else "/docs" if receiver.queue else "/")
    return process, port


def _better(rig: Rig, receivers: Mapping[str, Measured], *, say: Callable[[str], None]) -> str:
    tried = {
        kind: _sample(rig, receiver, connections=COMPARED, seconds=_TRIAL_SECONDS)[RATE]
        for kind, receiver in receivers.items()
    }
    for kind, rate in tried.items():
        say(f"{NAME} trial, the textbook with `{kind}`: {rate:,.0f} accepts/s")
    return max(tried, key=lambda kind: tried[kind])


def _sample(rig: Rig, receiver: Measured, *, connections: int, seconds: float) -> dict[str, float]:
    rig.reset()
    warm_up = 300 + connections
    makes = warm_up + int(seconds * _MOST_PER_SECOND)
    tokens_path = write_tokens(rig, rig.tokens(makes, first_cashback_id=1))
    process, port = start_receiver(rig, receiver)
    plan = Plan(
        kind="closed",
        port=port,
        path=receiver.path,
        tokens_path=tokens_path,
        connections=connections,
        warm_up=warm_up,
        seconds=seconds,
    )
    result, usage = send_load(rig, plan, processes={"web": process}, makes=makes)
    process.stop()
    _check_copies(rig, receiver, result)
    return {
        RATE: result.accepted / (result.ended_at - result.begun_at),
        "p50_ms": percentile(result.latencies_ms, 0.50),
        "p99_ms": percentile(result.latencies_ms, 0.99),
        **cost_of(result, usage),
    }


def _check_copies(rig: Rig, receiver: Measured, result: Result) -> None:
    taken = sum(result.statuses.values())
    if receiver.queue is not None:
        with redis.Redis.from_url(rig.redis_url, socket_timeout=_REDIS_SECONDS) as client:
            messages = client.llen(receiver.queue)
        if messages != taken:
            raise BenchmarkFailed(f"{receiver.name}: {messages} messages for {taken} makes answered with 200")
    if receiver.keeps_receipts and (receipts := rig.books().receipts) != taken:
        raise BenchmarkFailed(f"{receiver.name}: {receipts} receipts for {taken} makes answered with 200")
