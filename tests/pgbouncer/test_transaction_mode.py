"""Behind PgBouncer in transaction mode clients share sessions: receiver and worker say so and end."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.environment import ROOT
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from producer.shared.postgres.session import keeps_session_state
from tests.support.command import environment
from tests.support.pgbouncer import pgbouncer_of, url_through

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
