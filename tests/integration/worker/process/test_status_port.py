"""The port of a worker's status: its own, another worker's, or a stranger's."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import psycopg

from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running
from tests.support.worker_process import ended, wait_until_it_works, worker_process


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
        status, last_line = ended(worker_process(tmp_path, environment, name="worker"))

    assert status == 1
    assert last_line.startswith(f"cashback worker: CASHBACK_METRICS_PORT: port {port} is in use by something")


def test_two_workers_with_the_same_settings_get_along_on_one_host(
    environment: dict[str, str], tmp_path: Path, redis_url: str, database_url: str
) -> None:
    port = free_port()
    environment["CASHBACK_METRICS_PORT"] = str(port)
    environment["CASHBACK_VERIFY_FALLBACK"] = "true"
    first, second = (worker_process(tmp_path, environment, name=f"worker.{number}") for number in (1, 2))

    with running(first):
        wait_until_it_works(first, redis_url)
        # Its port is taken also while it does not answer.
        first.freeze()
        with running(second):
            wait_until_it_works(second, redis_url)
            first.thaw()
            assert alive(port)["pid"] == first.pid
            assert served_by(second) != port
            assert alive(served_by(second))["pid"] == second.pid
            assert "cashback_settle_seconds" in httpx.get(f"http://{LOCALHOST}:{port}/metrics").text

    # Each start with a check switched off is on record.
    with psycopg.connect(database_url) as connection:
        noted = connection.execute("SELECT subject, split_part(person, '@', 1) FROM audit").fetchall()
    assert noted == [("CASHBACK_VERIFY_FALLBACK", "worker")] * 2


def alive(port: int) -> dict[str, object]:
    document: dict[str, object] = httpx.get(f"http://{LOCALHOST}:{port}/healthz", timeout=120).json()
    assert (document["alive"], document["process"]) == (True, "cashback-worker")
    return document


def served_by(process: ManagedProcess) -> int:
    """Return the port that a worker logged."""
    lines = process.log_path.read_text("utf-8").splitlines()
    [line] = [line for line in lines if '"status_served"' in line]
    return int(line.partition('"port": ')[2].partition(",")[0])
