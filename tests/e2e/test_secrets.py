"""No secret stands in anything that a run writes where others read it, failures and DEBUG included."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis
from celery import Celery
from psycopg import sql

from deploy.local.environment import DATABASE_URL
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.stack import Stack, StackOptions
from deploy.redis.users import ROLES
from tests.support import leaks
from tests.support.leaks import parts_of, task_events
from tests.support.secret_run import (
    DEADLINE_SECONDS,
    SECRETS,
    WAIT_SECONDS,
    Run,
    have_betcore_refuse,
    send_what_is_refused,
    start_with_wrong_secrets,
    take_servers_away,
    work_with_a_wrong_access_token,
)

ACCOUNTS = "user_id,currency,status,balance\n7,EUR,active,0\n"


@pytest.fixture(scope="module")
def run(server_directory: Path) -> Iterator[Run]:
    """Lend one stack to both tests: what the first one plants is no secret of the second."""
    directory = server_directory / "secrets"
    postgres = PostgresServer(directory / "postgres").start()
    metrics_port = free_port()
    options = StackOptions(
        directory=directory / "run",
        accounts_csv=ACCOUNTS,
        simulator_arguments=("--accept-limit-seconds", str(DEADLINE_SECONDS)),
        environ={
            **os.environ,
            "CASHBACK_LOG_LEVEL": "DEBUG",
            "CASHBACK_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
            "CASHBACK_METRICS_PORT": str(metrics_port),
            "CASHBACK_CLIENT_SECRET": SECRETS["partner secret"],
            "CASHBACK_FLOWER_BASIC_AUTH": f"lookout:{SECRETS['password of Flower']}",
            DATABASE_URL: postgres.url.replace("postgres@", f"postgres:{SECRETS['password of PostgreSQL']}@"),
        },
    )
    try:
        with Stack(options) as stack, task_events(stack.redis_url) as events:
            assert stack.valkey is not None
            assert stack.valkey.users is not None
            passwords = {f"{role}'s password of Redis": stack.valkey.users.passwords[role] for role in ROLES}
            yield Run(stack, postgres, metrics_port, events, SECRETS | passwords)
    finally:
        postgres.stop()


def plant(on: Run, secret: str) -> set[str]:
    """Put a secret wherever is looked; return the kinds of these places."""
    with redis.Redis.from_url(on.stack.redis_url) as client:
        client.rpush("planted", f"x{secret}x")
    with psycopg.connect(on.postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLE planted AS SELECT {} AS text").format(sql.Literal(secret)))
    on.stack.log_path("planted").write_text(f'{{"url": "redis://:{quote(secret, safe="")}@host"}}', "utf-8")
    app = Celery("planted", broker=on.stack.redis_url, set_as_current=False)
    with (
        app.connection_for_write() as connection,
        app.events.Dispatcher(connection, hostname=secret) as events,
    ):
        events.send("worker-online")
        events.send("task-received", uuid="planted", name="x", kwargs=secret, retries=0)
    return {"Redis", "table", "log", "task", "Flower", "metrics", "command"}


@pytest.mark.timeout(600)
def test_a_secret_would_be_found_wherever_it_stood(run: Run) -> None:
    secret = "planted-s3cret"
    log_path = run.stack.log_path("told")
    told = ManagedProcess(
        name="told", argv=[sys.executable, "-c", "import time; time.sleep(3600)", secret], log_path=log_path
    )

    kinds = plant(run, secret)
    with running(told):
        wait_until(
            lambda: run.seen_by_flower(secret), what="Flower has the event", timeout_seconds=WAIT_SECONDS
        )
        run.look_at_all()

    found = leaks.leaks({"it": secret}, run.written | leaks.logs(run.stack))
    assert {each.removeprefix("it in ").split()[0].rstrip(",") for each in found} == kinds


@pytest.mark.timeout(1_500)
def test_no_secret_is_written_where_others_read_it_and_no_make_token_is_logged(run: Run) -> None:
    # given a run with failures of all kinds, at DEBUG
    for cashback_id in (1, 2, 3):
        run.make(cashback_id)
    run.answered(1, 2, 3)
    send_what_is_refused(run)
    have_betcore_refuse(run)
    take_servers_away(run)
    start_with_wrong_secrets(run)
    work_with_a_wrong_access_token(run)

    # when all is read that it has written
    run.look_at_all()
    for name in ("web", "worker.1", "flower"):
        run.stack.processes[name].stop()
    logs = leaks.logs(run.stack)

    # then no secret stands there,
    assert len({token for name, token in run.secrets.items() if name.startswith("access token")}) > 1
    assert "Traceback" in logs["log of worker.1"]
    assert leaks.leaks(run.secrets, run.written | logs) == []
    # nor a make token but in messages, receipts and quarantine.
    tokens = parts_of(run.make_tokens())
    others = {place: text for place, text in run.written.items() if not place.startswith(("Redis", "table"))}
    assert len(tokens) > 10
    assert leaks.leaks(tokens, others | logs) == []
