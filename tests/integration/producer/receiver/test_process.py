"""The receiver as the process that an operator starts: from the environment, under uvicorn."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from deploy.local.environment import ROOT
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, wait_until
from tests.support.betcore import Endpoints, served, signer

UVICORN = [sys.executable, "-m", "uvicorn", "--factory", "producer.app:create_app", "--no-access-log"]


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CASHBACK_")}
    return inherited | settings


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"CASHBACK_REDIS_URL": ""}, "CASHBACK_REDIS_URL is not set"),
        ({"CASHBACK_REDIS_URL": "redis://cache.test/x"}, "CASHBACK_REDIS_URL: "),
        ({"CASHBACK_DATABASE_URL": "postgresql://db.test/x?nonsense=1"}, "CASHBACK_DATABASE_URL: "),
        ({"CASHBACK_LOG_LEVEL": "LOUD"}, "CASHBACK_LOG_LEVEL: "),
    ],
)
def test_with_a_wrong_setting_it_says_so_in_one_sentence_and_exits(
    changed: dict[str, str], sentence: str
) -> None:
    good = {
        "CASHBACK_REDIS_URL": "redis://cache.test/0",
        "CASHBACK_DATABASE_URL": "postgresql://db.test/cashback",
        "CASHBACK_BETCORE_URL": "https://betcore.test",
    }

    ended = subprocess.run(
        [*UVICORN, "--port", str(free_port())],
        cwd=ROOT,
        env=environment(**(good | changed)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith(sentence)


def test_a_database_that_is_not_what_it_needs_ends_the_start_with_a_sentence(
    redis_url: str, postgres_server: PostgresServer
) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    try:
        ended = subprocess.run(
            [*UVICORN, "--port", str(free_port())],
            cwd=ROOT,
            env=environment(
                CASHBACK_REDIS_URL=redis_url,
                CASHBACK_DATABASE_URL=postgres_server.url_of("latin"),
                CASHBACK_BETCORE_URL="https://betcore.test",
            ),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE latin")

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    last_line = ended.stderr.splitlines()[-1]
    assert last_line.startswith("cashback receiver: the database's encoding is LATIN1")


def test_it_serves_logs_json_and_ends_in_good_order(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    betcore = Endpoints()
    betcore.publish(signer(1))
    port = free_port()
    with (
        served(betcore) as betcore_url,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client,
    ):
        process = ManagedProcess(
            name="receiver",
            argv=[*UVICORN, "--port", str(port)],
            log_path=tmp_path / "receiver.log",
            cwd=ROOT,
            env=environment(
                CASHBACK_REDIS_URL=redis_url,
                CASHBACK_DATABASE_URL=database_url,
                CASHBACK_BETCORE_URL=betcore_url,
                CASHBACK_LOG_LEVEL="INFO",
            ),
        )
        process.start()
        try:
            wait_until(
                lambda: is_ready(client), what="the receiver is ready", timeout_seconds=120, process=process
            )
            token = signer(1).token(at=time.time())
            replies = [
                client.post("/cashback-payments/make", content=body) for body in (json.dumps(token), "junk")
            ]
        finally:
            returncode = process.stop(timeout_seconds=120)

    assert [reply.status_code for reply in replies] == [200, 400]
    # uvicorn, done with its shutdown, ends by the signal that asked for it.
    assert returncode == -signal.SIGTERM
    lines = [json.loads(line) for line in (tmp_path / "receiver.log").read_text("utf-8").splitlines()]
    assert {"make_not_received", "Application shutdown complete."} <= {line["event"] for line in lines}
    assert token not in (tmp_path / "receiver.log").read_text("utf-8")
    assert [line for line in lines if line["level"] in {"error", "critical"}] == []


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
