"""The receiver as the process that an operator starts: from the environment, as the Procfile says."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from deploy.local.environment import ROOT
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, running, wait_until
from tests.support.betcore import CLIENT_ID, Endpoints, served, signer

RECEIVER = [sys.executable, "-m", "producer"]


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CASHBACK_")}
    return inherited | settings


def good_environment(redis_url: str, database_url: str) -> dict[str, str]:
    """Return what a receiver needs that works but for BETCORE, which is nowhere."""
    return environment(
        CASHBACK_REDIS_URL=redis_url,
        CASHBACK_DATABASE_URL=database_url,
        CASHBACK_BETCORE_URL="http://127.0.0.1:1",
        CASHBACK_TOKEN_CLIENT_ID=CLIENT_ID,
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"CASHBACK_REDIS_URL": ""}, "CASHBACK_REDIS_URL is not set"),
        ({"CASHBACK_REDIS_URL": "redis://cache.test/x"}, "CASHBACK_REDIS_URL: "),
        ({"CASHBACK_DATABASE_URL": "postgresql://db.test/x?nonsense=1"}, "CASHBACK_DATABASE_URL: "),
        ({"CASHBACK_TOKEN_CLIENT_ID": ""}, "CASHBACK_TOKEN_CLIENT_ID is not set"),
        ({"CASHBACK_LOG_LEVEL": "LOUD"}, "CASHBACK_LOG_LEVEL: "),
        ({"NO_PROXY": "localhost,[::1]"}, "NO_PROXY: 'localhost,[::1]' cannot be read: "),
        ({"no_proxy": "[::1]"}, "no_proxy: '[::1]' cannot be read: "),
        ({"ALL_PROXY": "socks5h://user:hidden@proxy.test:1080"}, "ALL_PROXY: is no proxy that can be used: "),
        ({"https_proxy": "http://[::1"}, "https_proxy: is no proxy that can be used: "),
        ({"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE: '/nowhere.pem' cannot be read ("),
    ],
)
def test_with_a_wrong_setting_it_says_so_in_one_sentence_and_exits(
    changed: dict[str, str], sentence: str
) -> None:
    good = {
        "CASHBACK_REDIS_URL": "redis://cache.test/0",
        "CASHBACK_DATABASE_URL": "postgresql://db.test/cashback",
        "CASHBACK_BETCORE_URL": "https://betcore.test",
        "CASHBACK_TOKEN_CLIENT_ID": CLIENT_ID,
    }

    ended = subprocess.run(
        [*RECEIVER, "--port", str(free_port())],
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
    assert line.startswith(f"cashback receiver: {sentence}")


def test_a_database_that_is_not_what_it_needs_ends_the_start_with_a_sentence(
    redis_url: str, postgres_server: PostgresServer
) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    try:
        ended = subprocess.run(
            [*RECEIVER, "--port", str(free_port())],
            cwd=ROOT,
            env=environment(
                CASHBACK_REDIS_URL=redis_url,
                CASHBACK_DATABASE_URL=postgres_server.url_of("latin"),
                CASHBACK_BETCORE_URL="https://betcore.test",
                CASHBACK_TOKEN_CLIENT_ID=CLIENT_ID,
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


def test_it_serves_logs_json_notes_what_is_switched_off_and_ends_in_good_order(
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
            argv=[*RECEIVER, "--port", str(port)],
            log_path=tmp_path / "receiver.log",
            cwd=ROOT,
            env=environment(
                CASHBACK_REDIS_URL=redis_url,
                CASHBACK_DATABASE_URL=database_url,
                CASHBACK_BETCORE_URL=betcore_url,
                CASHBACK_TOKEN_CLIENT_ID=CLIENT_ID,
                CASHBACK_LOG_LEVEL="INFO",
                CASHBACK_VERIFY_FALLBACK="true",
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
    # Its server, done with its shutdown, ends by the signal that asked for it.
    assert returncode == -signal.SIGTERM
    lines = [json.loads(line) for line in (tmp_path / "receiver.log").read_text("utf-8").splitlines()]
    assert {"make_not_received", "Application shutdown complete."} <= {line["event"] for line in lines}
    assert token not in (tmp_path / "receiver.log").read_text("utf-8")
    assert [line for line in lines if line["level"] in {"error", "critical"}] == []
    [off] = [line for line in lines if line["event"] == "check_switched_off"]
    assert (off["setting"], off["value"]) == ("CASHBACK_VERIFY_FALLBACK", "true")
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT subject, split_part(person, '@', 1) FROM audit").fetchall() == [
            ("CASHBACK_VERIFY_FALLBACK", "receiver")
        ]


def test_it_listens_on_both_families_of_addresses(redis_url: str, database_url: str, tmp_path: Path) -> None:
    port = free_port()
    process = ManagedProcess(
        name="receiver",
        argv=[*RECEIVER, "--port", str(port)],
        log_path=tmp_path / "receiver.log",
        cwd=ROOT,
        env=good_environment(redis_url, database_url),
    )
    with running(process):
        for host in ("127.0.0.1", "[::1]"):
            wait_until(
                lambda host=host: is_alive(f"http://{host}:{port}"),  # type: ignore[misc]  # a default binds it
                what=f"{host} answers",
                timeout_seconds=120,
                process=process,
            )
        good = good_environment(redis_url, database_url)
        again, inside = (
            subprocess.run(
                [*RECEIVER, "--port", str(own_port)],
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            for own_port, env in ((port, good), (free_port(), good | {"CASHBACK_INNER_PORT": str(port)}))
        )

    taken = f"cashback receiver: port {port} cannot be listened on"
    assert (again.returncode, inside.returncode) == (1, 1)
    assert again.stderr.splitlines()[-1].startswith(taken)
    assert again.stderr.splitlines()[-1].endswith("or set PORT to another one")
    assert inside.stderr.splitlines()[-1].startswith(taken)
    assert inside.stderr.splitlines()[-1].endswith("or set CASHBACK_INNER_PORT to another one")


def test_what_turns_out_while_it_runs_ends_it_when_it_stays(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    soon = (
        "import sys\n"
        "import producer.shared.preconditions.watch as w; w.LOOK_SECONDS = 0.1\n"
        "import producer.shared.preconditions.postgres as p\nfrom dataclasses import replace\n"
        "before = p.of_state\n"
        "p.of_state = lambda *a: [replace(each, confirm_seconds=1) for each in before(*a)]\n"
        f"sys.argv = ['producer', '--port', '{port}']\n"
        "from producer.__main__ import main\nmain()\n"
    )
    process = ManagedProcess(
        name="receiver",
        argv=[sys.executable, "-c", soon],
        log_path=tmp_path / "receiver.log",
        cwd=ROOT,
        env=good_environment(redis_url, database_url),
    )
    with running(process):
        wait_until(
            lambda: is_alive(f"http://127.0.0.1:{port}"),
            what="it serves",
            timeout_seconds=120,
            process=process,
        )
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE schema_versions RENAME TO schema_versions_of_old")

        status = process.wait(timeout_seconds=240)

    assert status == 1
    assert process.log_tail(lines=1).startswith("cashback receiver: the database does not have the schema")


def test_more_connections_than_it_may_have_files_keep_nobody_out(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    port, files = free_port(), 200
    few_files = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n"
        f"sys.argv = ['producer', '--port', '{port}']\n"
        "from producer.__main__ import main\nmain()\n"
    )
    process = ManagedProcess(
        name="receiver",
        argv=[sys.executable, "-c", few_files],
        log_path=tmp_path / "receiver.log",
        cwd=ROOT,
        env=good_environment(redis_url, database_url),
    )
    with running(process), ExitStack() as stack:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_alive(url), what="it serves", timeout_seconds=120, process=process)
        for _ in range(2 * files):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=120))
            peer.sendall(b"POST /cashback-payments/make HTTP/1.1\r\n")

        reply = httpx.get(f"{url}/healthz", trust_env=False, timeout=120)

    assert reply.status_code == 200
    log = (tmp_path / "receiver.log").read_text("utf-8")
    assert "open_files_few" in log
    assert "Too many open files" not in log


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
