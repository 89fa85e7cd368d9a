"""The bare hops of an event's path, measured one by one on the running stack: what it costs at least."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import httpx
import psycopg
import redis
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from psycopg import sql

from cashback_client.contract import event_id_of
from deploy.local.steps import step
from worker.schema.migrate import migrate

ROUNDS: Final = 100
_WARM_UP: Final = 10
# The end of a hang, far above what a slow machine takes.
_TIMEOUT_SECONDS: Final = 60.0
_DATABASE: Final = "hops"
_QUEUE: Final = "cashback-demo-hops"
_USER: Final = "hops"
# As long as those of the path.
_TOKEN_BYTES: Final = 700
_TOKEN: Final = "x" * _TOKEN_BYTES
_MESSAGE: Final = "x" * 2_000
# The least that PostgreSQL can be asked to keep: one record, flushed to disk at its commit.
_WRITE: Final = f"SELECT pg_logical_emit_message(true, 'hop', '{_TOKEN}')"
_OPEN_ACCOUNT: Final = (
    "INSERT INTO accounts (kind, user_id, currency, balance_minor) VALUES ('user', %s, 'EUR', 0)"
)
# Cut-off and deadline far ahead: all receipts are made first, and the last is settled much later.
_RECORD: Final = "SELECT record_receipt(%s, %s, %s, %s, 3500, 3600, 3)"
_SETTLE: Final = (
    "SELECT * FROM settle_event(%s, %s, %s, %s, 3500, 3600, 6, 'payout', 1, %s, 10.50, 0, false, true, true)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the running stack has its parts."""

    receiver_url: str
    simulator_url: str
    redis_url: str
    database_url: str


def measure_hops(places: Places, *, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Return the median of each hop in milliseconds, in the order of the path.

    The ledger's hop settles payouts in a database of its own on the same server, so that the books of the
    demo stay as they are.
    """
    with ExitStack() as stack:
        door = stack.enter_context(_client(places.receiver_url))
        accept = stack.enter_context(_client(places.simulator_url))
        broker = stack.enter_context(redis.Redis.from_url(places.redis_url, socket_timeout=_TIMEOUT_SECONDS))
        database = stack.enter_context(psycopg.connect(places.database_url, autocommit=True))
        ledger = stack.enter_context(psycopg.connect(_scratch_ledger(database, places), autocommit=True))
        verify = _verification()
        events = iter([_new_event(ledger, number) for number in range(1, 1 + _WARM_UP + ROUNDS)])
        hops: dict[str, Callable[[], object]] = {
            "door": lambda: door.get("/healthz").raise_for_status(),
            "verify": verify,
            "receipt": lambda: database.execute(_WRITE),
            "message": lambda: _pass_message(broker),
            "verify_again": verify,
            "ledger": lambda: ledger.execute(_SETTLE, next(events)),
            "accept": lambda: accept.get("/healthz").raise_for_status(),
        }
        return _medians_ms(hops, clock=clock)


def _medians_ms(hops: Mapping[str, Callable[[], object]], *, clock: Callable[[], float]) -> dict[str, float]:
    # Round by round along the path, as events go: one hop repeated alone would run from warm caches.
    times: dict[str, list[float]] = {name: [] for name in hops}
    for _ in range(_WARM_UP + ROUNDS):
        for name, hop in hops.items():
            with step(f"the bare hop {name!r}"):
                begun = clock()
                hop()
                times[name].append(clock() - begun)
    return {name: round(statistics.median(taken[_WARM_UP:]) * 1_000, 3) for name, taken in times.items()}


def _client(base_url: str) -> httpx.Client:
    return httpx.Client(base_url=base_url, timeout=_TIMEOUT_SECONDS, trust_env=False)


def _verification() -> Callable[[], object]:
    """Return one RS256 verification of a text as long as a make token's."""
    private_key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    algorithm = RSAAlgorithm(RSAAlgorithm.SHA256)
    text = b"x" * _TOKEN_BYTES
    signature = algorithm.sign(text, private_key)
    public_key = private_key.public_key()
    return lambda: algorithm.verify(text, public_key, signature)


def _pass_message(broker: redis.Redis) -> None:
    broker.lpush(_QUEUE, _MESSAGE)
    broker.brpop([_QUEUE], timeout=_TIMEOUT_SECONDS)


def _scratch_ledger(database: psycopg.Connection, places: Places) -> str:
    """Make a ledger in a database of its own, with one account, and return its URL."""
    database.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))
    url = urlsplit(places.database_url)._replace(path=f"/{_DATABASE}").geturl()
    migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute(_OPEN_ACCOUNT, (_USER,))
    return url


def _new_event(ledger: psycopg.Connection, cashback_id: int) -> tuple[object, ...]:
    token = f"{cashback_id}{_TOKEN}"[:_TOKEN_BYTES]
    event = (event_id_of(token), token, cashback_id, datetime.now(UTC))
    ledger.execute(_RECORD, event)
    return (*event, _USER)
