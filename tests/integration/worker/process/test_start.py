"""A worker that cannot work ends: within seconds, non-zero, and its last line says why."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import psycopg
import pytest
import redis

from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.readiness import worker_answers

# The end of a hang, far above what a slow machine takes.
END_SECONDS = 240.0
WORKER = ["worker", "--hostname", "worker-{pid}@%h", "--without-gossip", "--without-mingle"]


@pytest.fixture
def environment(redis_url: str, database_url: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "CASHBACK_REDIS_URL": redis_url,
        "CASHBACK_DATABASE_URL": database_url,
        # Nothing listens there: a worker works while BETCORE is away.
        "CASHBACK_BETCORE_URL": "http://127.0.0.1:1",
        "CASHBACK_BEARER_TOKEN": "static",
    }


def worker(directory: Path, environment: dict[str, str], *, name: str, before: str = "") -> ManagedProcess:
    """Return a worker, not started; `before` is Python that it runs first."""
    code = (
        f"import os, sys\n{before}\n"
        "sys.argv = ['celery', '--app', 'worker.app', "
        f"*(each.format(pid=os.getpid()) for each in {WORKER})]\n"
        "from celery.__main__ import main\nsys.exit(main())\n"
    )
    return ManagedProcess(
        name=name,
        argv=[sys.executable, "-c", code],
        log_path=directory / f"{name}.log",
        env=environment,
        cwd=ROOT,
    )


def ended(process: ManagedProcess) -> tuple[int, str]:
    """Wait for the end; return the status and the last line."""
    with running(process):
        status = process.wait(timeout_seconds=END_SECONDS)
    return status, process.log_tail(lines=1)


@contextmanager
def stranger(port: int) -> Iterator[None]:
    """Have something listen on the port that answers HTTP, and not as a worker does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"# HELP something else\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("", port), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def test_a_stranger_on_its_metrics_port_ends_the_start_with_a_sentence(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    environment["CASHBACK_METRICS_PORT"] = str(port)

    with stranger(port):
        status, last_line = ended(worker(tmp_path, environment, name="worker"))

    assert status == 1
    assert last_line.startswith(f"cashback worker: CASHBACK_METRICS_PORT: port {port} is in use by something")


def test_a_redis_that_may_not_be_popped_from_ends_the_start_with_a_sentence(
    environment: dict[str, str], tmp_path: Path, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-@blocking")
        try:
            environment["CASHBACK_REDIS_URL"] = redis_url.replace("//", "//plain:secret@")
            status, last_line = ended(worker(tmp_path, environment, name="worker"))
        finally:
            client.execute_command("ACL", "DELUSER", "plain")

    assert status == 1
    assert last_line.startswith("cashback worker: Redis refuses the service's user (User plain has no perm")
    assert "'blmove'" in last_line
    assert "CASHBACK_REDIS_URL" in last_line


def test_a_proxy_variable_that_cannot_be_read_ends_the_start_with_a_sentence(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment["NO_PROXY"] = "[::1]"

    status, last_line = ended(worker(tmp_path, environment, name="worker"))

    assert status == 2
    assert last_line.startswith("cashback worker: NO_PROXY: '[::1]' cannot be read")


def test_a_database_without_the_schema_ends_the_start_with_a_sentence(
    environment: dict[str, str], tmp_path: Path, postgres_server: PostgresServer
) -> None:
    environment["CASHBACK_DATABASE_URL"] = postgres_server.url

    status, last_line = ended(worker(tmp_path, environment, name="worker"))

    assert status == 1
    assert last_line.startswith("cashback worker: the database does not have the schema of this program: run")


def test_what_turns_out_while_it_runs_ends_it_when_it_stays(
    environment: dict[str, str], tmp_path: Path, redis_url: str
) -> None:
    soon = (
        "import producer.shared.preconditions.watch as w; w.LOOK_SECONDS = 0.1\n"
        "import producer.shared.preconditions.postgres as p\nfrom dataclasses import replace\n"
        "before = p.of_state\n"
        "p.of_state = lambda *a: [replace(each, confirm_seconds=1) for each in before(*a)]\n"
    )
    process = worker(tmp_path, environment, name="worker", before=soon)
    with running(process):
        wait_until(
            lambda: worker_answers(redis_url, process.pid),
            what="the worker works",
            timeout_seconds=END_SECONDS,
            process=process,
        )
        with psycopg.connect(environment["CASHBACK_DATABASE_URL"], autocommit=True) as connection:
            connection.execute("ALTER TABLE schema_versions RENAME TO schema_versions_of_old")

        status = process.wait(timeout_seconds=END_SECONDS)

    assert status == 1
    assert process.log_tail(lines=1).startswith("cashback worker: the database does not have the schema")


def test_it_starts_while_its_servers_are_away(environment: dict[str, str], tmp_path: Path) -> None:
    environment["CASHBACK_REDIS_URL"] = f"redis://{LOCALHOST}:{free_port()}/0"
    environment["CASHBACK_DATABASE_URL"] = f"postgresql://{LOCALHOST}:{free_port()}/x"
    process = worker(tmp_path, environment, name="worker")

    with running(process):
        wait_until(
            lambda: "Trying again" in process.log_path.read_text("utf-8"),
            what="it looks for Redis",
            timeout_seconds=END_SECONDS,
            process=process,
        )

    begun = process.log_path.read_text("utf-8")
    assert begun.count('"redis_unreachable"') == begun.count('"postgresql_unreachable"') == 1


def test_whatever_fails_in_start_ends_the_process_and_its_traceback_is_not_the_last_word(
    environment: dict[str, str], tmp_path: Path
) -> None:
    broken = (
        "import worker.runtime as r\ndef fails(*_, **__): raise KeyError('a fault')\nr.open_pool = fails\n"
    )

    status, last_line = ended(worker(tmp_path, environment, name="worker", before=broken))

    assert status == 1
    assert last_line.startswith("cashback worker: it ends, as it cannot work: KeyError: 'a fault'")


def test_what_celery_cannot_start_ends_the_process_in_the_same_way(
    environment: dict[str, str], tmp_path: Path
) -> None:
    broken = (
        "import celery.concurrency.thread as t\n"
        "def fails(*_, **__): raise KeyError('no pool')\nt.TaskPool.on_start = fails\n"
    )

    status, last_line = ended(worker(tmp_path, environment, name="worker", before=broken))

    assert status == 1
    assert last_line.startswith("cashback worker: it ends, as it cannot work: KeyError: 'no pool'")


@pytest.mark.parametrize(
    ("thread", "broken"),
    [
        ("sweeper", "from worker.recovery.sweeper import Sweeper as T; T.run = dies"),
        ("answered-marks", "from worker.ledger.answered_marks import AnsweredMarks as T; T._run = dies"),
    ],
)
def test_a_worker_one_of_whose_threads_has_died_ends_and_names_it(
    environment: dict[str, str], tmp_path: Path, thread: str, broken: str
) -> None:
    before = f"def dies(*_): raise KeyError('a surprise')\n{broken}\n"

    status, last_line = ended(worker(tmp_path, environment, name="worker", before=before))

    assert status == 1
    assert last_line.startswith(f"cashback worker: its thread {thread} has died (KeyError: 'a surprise')")


def test_a_worker_whose_event_loop_meets_a_fault_ends(environment: dict[str, str], tmp_path: Path) -> None:
    before = (
        "from worker.queue.consumer import QuarantiningConsumer as T\n"
        "def dies(*_): raise RuntimeError('a surprise')\nT.create_task_handler = dies\n"
    )

    status, last_line = ended(worker(tmp_path, environment, name="worker", before=before))

    assert status == 1
    assert last_line.startswith("cashback worker: it ends, as it cannot work: RuntimeError: a surprise")


def test_a_process_that_does_not_stop_in_good_order_is_cut_off(
    environment: dict[str, str], tmp_path: Path
) -> None:
    before = (
        "def dies(*_): raise KeyError('a surprise')\n"
        "from worker.recovery.sweeper import Sweeper as T; T.run = dies\n"
        "import time\nfrom worker.runtime import Runtime\n"
        "Runtime.close = lambda self: time.sleep(100_000)\n"
    )
    environment["CASHBACK_SHUTDOWN_GRACE_SECONDS"] = "0.5"

    status, last_line = ended(worker(tmp_path, environment, name="worker", before=before))

    assert status == 1
    assert "its thread sweeper has died" in last_line
    assert last_line.endswith("it did not end in 0.5 s and is cut off")


def test_two_workers_with_the_same_settings_get_along_on_one_host(
    environment: dict[str, str], tmp_path: Path, redis_url: str
) -> None:
    port = free_port()
    environment["CASHBACK_METRICS_PORT"] = str(port)
    first, second = (worker(tmp_path, environment, name=f"worker.{number}") for number in (1, 2))

    with running(first):
        wait_until(
            lambda: worker_answers(redis_url, first.pid),
            what="the first worker works",
            timeout_seconds=END_SECONDS,
            process=first,
        )
        # Its port is taken also while it does not answer.
        first.freeze()
        with running(second):
            wait_until(
                lambda: worker_answers(redis_url, second.pid),
                what="the second worker works",
                timeout_seconds=END_SECONDS,
                process=second,
            )
            first.thaw()
            assert alive(port)["pid"] == first.pid
            assert served_by(second) != port
            assert alive(served_by(second))["pid"] == second.pid
            assert "cashback_settle_seconds" in httpx.get(f"http://{LOCALHOST}:{port}/metrics").text


def alive(port: int) -> dict[str, object]:
    document: dict[str, object] = httpx.get(f"http://{LOCALHOST}:{port}/healthz", timeout=120).json()
    assert (document["alive"], document["process"]) == (True, "cashback-worker")
    return document


def served_by(process: ManagedProcess) -> int:
    """Return the port that a worker logged."""
    lines = process.log_path.read_text("utf-8").splitlines()
    [line] = [line for line in lines if '"status_served"' in line]
    return int(line.partition('"port": ')[2].partition(",")[0])


def test_a_worker_that_is_asked_to_stop_ends_well(
    environment: dict[str, str], tmp_path: Path, redis_url: str
) -> None:
    process = worker(tmp_path, environment, name="worker")
    with running(process):
        wait_until(
            lambda: worker_answers(redis_url, process.pid),
            what="the worker works",
            timeout_seconds=END_SECONDS,
            process=process,
        )
        status = process.stop(timeout_seconds=END_SECONDS)

    assert status == 0
    assert "cashback worker:" not in process.log_path.read_text("utf-8")
