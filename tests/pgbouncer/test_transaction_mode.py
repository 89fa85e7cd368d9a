"""Behind PgBouncer in transaction mode clients share sessions: receiver and worker say so and end."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy.local.environment import ROOT
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from producer.shared.postgres.session import keeps_session_state
from tests.support.books import add_user, ledger_on, new_event, payout
from tests.support.command import environment
from tests.support.pgbouncer import pgbouncer_of, url_through
from worker.cli.queries.events.live import Live, LiveFilter
from worker.cli.shared.database import open_database

END_SECONDS = 240.0
SENTENCE = (
    "CASHBACK_DATABASE_URL: leads through a pooler that shares sessions between clients, whose settings and "
    "statements then meet: have PgBouncer use pool_mode = session, or go past it"
)
RECEIVER = ("-m", "producer", "--port", "{port}")
WORKER = ("-m", "celery", "--app", "worker.app", "worker", "--loglevel", "WARNING")


@pytest.fixture(scope="module", params=["transaction", "statement"])
def url(
    postgres_server: PostgresServer,
    server_directory: Path,
    request: pytest.FixtureRequest,
) -> Iterator[str]:
    mode = str(request.param)
    with pgbouncer_of(postgres_server, server_directory / mode, pool_mode=mode) as port:
        yield url_through(port, "cashback")


def test_tail_needs_no_session_of_its_own(
    postgres_server: PostgresServer,
    server_directory: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "188509")
    with pgbouncer_of(postgres_server, server_directory / "tail", pool_mode="transaction") as port:
        shared = url_through(port, str(conninfo_to_dict(database_url)["dbname"]))
        monkeypatch.setenv("CASHBACK_DATABASE_URL", shared)
        live = Live(LiveFilter(), since=None)
        seen: list[int] = []
        with open_database(timeout_seconds=END_SECONDS) as tail, ledger_on(database_url) as ledger:
            live.look(tail)
            # So many that psycopg would have prepared a statement that it may.
            for number in range(1, 11):
                event = new_event(number)
                ledger.settle(event, payout(number, "188509", "1"))
                ledger.mark_answered([event.event_id])
                with psycopg.connect(shared, autocommit=True) as other:
                    other.execute("SELECT pg_backend_pid()")
                seen += [each.cashback_id for each in live.look(tail)]

    assert seen == list(range(1, 11))


def test_it_is_seen(url: str) -> None:
    assert [keeps_session_state(url) for _ in range(10)] == [False] * 10


@pytest.mark.parametrize(
    ("arguments", "begins"), [(RECEIVER, "cashback receiver: "), (WORKER, "cashback worker: ")]
)
def test_a_process_ends_with_a_sentence(
    url: str, redis_url: str, arguments: tuple[str, ...], begins: str
) -> None:
    ended = subprocess.run(
        [sys.executable, *(each.format(port=free_port()) for each in arguments)],
        cwd=ROOT,
        env=environment(
            database_url=url,
            redis_url=redis_url,
            betcore_url="http://127.0.0.1:1",
            token_client_id="PartnerClient-1556",
            bearer_token="static",
            log_level="WARNING",
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=END_SECONDS,
    )

    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (2, begins + SENTENCE)
