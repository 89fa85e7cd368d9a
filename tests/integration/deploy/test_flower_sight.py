"""A real Flower on a real Valkey sees what workers send, finds back to it, and its health check knows."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import yaml
from celery import Celery
from celery.events import EventDispatcher
from honcho.environ import parse_procfile

from deploy.flower_health import Blind, newest_event, watch
from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.valkey import ValkeyServer
from tests.support.certificates import Authority
from tests.support.tcp_proxy import Proxy, proxy_to
from tests.support.tls_server import tls_before

READY_SECONDS = 120.0
HEARTBEAT_SECONDS = 0.5

Heartbeats = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def proxy(valkey_server: ValkeyServer) -> Iterator[Proxy]:
    """Lend the way by which Flower reaches Valkey."""
    with proxy_to(LOCALHOST, valkey_server.port) as proxy:
        yield proxy


@pytest.fixture
def environment(proxy: Proxy) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "PORT": str(free_port()),
        "CASHBACK_REDIS_URL": f"redis://{LOCALHOST}:{proxy.port}/0",
        "CASHBACK_FLOWER_BASIC_AUTH": "lookout:correct-horse",
    }


def flower_with(environment: dict[str, str], directory: Path) -> ManagedProcess:
    """Return Flower as the Procfile has it, not started."""
    return ManagedProcess(
        name="flower",
        argv=["sh", "-c", parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes["flower"]],
        log_path=directory / "flower.log",
        env=environment,
        cwd=ROOT,
    )


@pytest.fixture
def flower(environment: dict[str, str], tmp_path: Path) -> Iterator[ManagedProcess]:
    """Run Flower."""
    process = flower_with(environment, tmp_path)
    with running(process):
        yield process


@pytest.fixture
def heartbeats(redis_url: str) -> Heartbeats:
    """Return what sends a worker's heartbeats, past the proxy, for as long as the block lasts."""

    @contextmanager
    def send() -> Iterator[None]:
        app = Celery("worker", broker=redis_url, set_as_current=False)
        ended = threading.Event()

        def beat() -> None:
            with app.connection_for_write() as connection:
                dispatcher = EventDispatcher(connection, hostname="worker-1@here", app=app)
                while not ended.wait(HEARTBEAT_SECONDS):
                    dispatcher.send("worker-heartbeat", freq=2, active=0, processed=0)

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    return send


def wait_for_an_event(flower: ManagedProcess, environment: dict[str, str], *, since: float = 1.0) -> None:
    def has_come() -> bool:
        try:
            return newest_event(int(environment["PORT"])) > since
        except Blind:
            # Not listening yet.
            return False

    wait_until(has_come, what="Flower sees an event", timeout_seconds=READY_SECONDS, process=flower)


def check(environment: dict[str, str], **settings: str) -> tuple[int, str]:
    """Run the health check of docker-compose.yml; return how it ended and what it said."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    kind, python, *arguments = compose["services"]["flower"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    result = subprocess.run(
        [sys.executable, *arguments],
        env={**environment, **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    return result.returncode, result.stderr


def test_flower_finds_back_by_itself_when_the_host_of_redis_has_vanished(
    flower: ManagedProcess, environment: dict[str, str], proxy: Proxy, heartbeats: Heartbeats
) -> None:
    with heartbeats():
        wait_for_an_event(flower, environment)

        proxy.vanish()

        # What was under way has arrived by then.
        wait_for_an_event(flower, environment, since=time.time() + 2 * HEARTBEAT_SECONDS)
        assert check(environment) == (0, "")


def test_flower_that_sees_nothing_of_what_workers_send_is_not_healthy(
    flower: ManagedProcess, environment: dict[str, str], proxy: Proxy, heartbeats: Heartbeats, redis_url: str
) -> None:
    with heartbeats():
        wait_for_an_event(flower, environment)

        proxy.is_silent.set()

        exit_code, sentence = check(environment, CASHBACK_REDIS_URL=redis_url)
        assert exit_code == 1
        assert "workers send events, but Flower sees none, its newest is" in sentence


def test_without_redis_flower_is_not_healthy(
    flower: ManagedProcess, environment: dict[str, str], proxy: Proxy, heartbeats: Heartbeats
) -> None:
    with heartbeats():
        wait_for_an_event(flower, environment)

        proxy.is_silent.set()

        exit_code, sentence = check(environment)
        assert exit_code == 1
        assert "Redis cannot be reached, check CASHBACK_REDIS_URL" in sentence


def test_flower_can_be_stopped_while_redis_is_away(
    flower: ManagedProcess, environment: dict[str, str], proxy: Proxy, heartbeats: Heartbeats
) -> None:
    with heartbeats():
        wait_for_an_event(flower, environment)
        proxy.is_silent.set()
        # Its broadcasts are under way, and its listener has given up.
        exit_code, _ = check(environment)
        assert exit_code == 1

        flower.stop()

    # Not -9: it had not to be killed.
    assert flower.returncode == 0


def test_a_watch_says_when_flower_turns_blind_and_when_it_sees_again(
    flower: ManagedProcess, environment: dict[str, str], proxy: Proxy, heartbeats: Heartbeats, redis_url: str
) -> None:
    said: list[str] = []
    stopping = threading.Event()
    app = Celery("watch", broker=redis_url, set_as_current=False)
    arguments = {"say": said.append, "stopping": stopping, "pause_seconds": 0.1}
    with heartbeats():
        wait_for_an_event(flower, environment)
        watching = threading.Thread(target=watch, args=(app, int(environment["PORT"])), kwargs=arguments)
        watching.start()
        try:
            proxy.is_silent.set()
            wait_until(lambda: len(said) == 1, what="it says", timeout_seconds=READY_SECONDS, process=flower)
            proxy.is_silent.clear()
            wait_until(
                lambda: len(said) == 2, what="and again", timeout_seconds=READY_SECONDS, process=flower
            )
        finally:
            stopping.set()
            watching.join()

    assert said[0].startswith("workers send events, but Flower sees none")
    assert said[1] == "Flower sees what the workers send again"


def test_where_no_worker_runs_flower_has_nothing_to_miss(
    flower: ManagedProcess, environment: dict[str, str], heartbeats: Heartbeats
) -> None:
    with heartbeats():
        wait_for_an_event(flower, environment)

    assert check(environment) == (0, "")


def test_a_check_without_flower_says_so(environment: dict[str, str]) -> None:
    exit_code, sentence = check(environment)

    assert exit_code == 1
    assert f"Flower does not answer on port {environment['PORT']}" in sentence


def test_flower_sees_over_tls_what_workers_send(
    environment: dict[str, str], valkey_server: ValkeyServer, heartbeats: Heartbeats, tmp_path: Path
) -> None:
    ours = Authority(tmp_path / "authority", "ours")
    with tls_before(valkey_server.port, ours.server_context(ours.holder("server"))) as tls, heartbeats():
        environment |= {
            "CASHBACK_REDIS_URL": f"rediss://{LOCALHOST}:{tls.port}/0",
            "CASHBACK_REDIS_CA_FILE": str(ours.file),
        }
        with running(flower_with(environment, tmp_path)) as process:
            wait_for_an_event(process, environment)
            assert check(environment) == (0, "")
        assert tls.with_tls > 0
