"""A worker's /readyz: it would settle an event now, or what is in the way."""

import os
import sys
from pathlib import Path

import httpx

from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, running, wait_until
from tests.support.betcore import CLIENT_ID, Endpoints, served, signer
from tests.support.roles import TEST_ROLES, as_role
from worker.schema.migrate import migrate
from worker.schema.roles import WORKER

END_SECONDS = 240.0
COMMAND = "exec celery --app worker.app worker --hostname worker-$$@%h --without-gossip --without-mingle"


def test_it_is_ready_while_it_would_settle_an_event(redis_url: str, own_directory: Path) -> None:
    betcore, port = Endpoints(), free_port()
    postgres = PostgresServer(own_directory / "postgres").start()
    migrate(postgres.url, roles=TEST_ROLES)
    with served(betcore) as betcore_url:
        worker = ManagedProcess(
            name="worker",
            argv=["/bin/sh", "-c", COMMAND],
            log_path=own_directory / "worker.log",
            cwd=ROOT,
            env={
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
                "CASHBACK_REDIS_URL": redis_url,
                "CASHBACK_DATABASE_URL": as_role(postgres.url, WORKER),
                "CASHBACK_BETCORE_URL": betcore_url,
                "CASHBACK_BEARER_TOKEN": "static",
                "CASHBACK_TOKEN_CLIENT_ID": CLIENT_ID,
                "CASHBACK_METRICS_PORT": str(port),
            },
        )
        try:
            with running(worker):
                wait_for(worker, port, status=503, worker="ok", postgresql="ok", keys="none", threads="ok")

                betcore.publish(signer(1))
                wait_for(worker, port, status=200, worker="ok", postgresql="ok", keys="ok", threads="ok")

                postgres.stop_immediate()
                wait_until(lambda: asked(port)[0] == 503, what="it is not ready", timeout_seconds=END_SECONDS)
                assert asked(port)[1]["postgresql"].startswith("PostgreSQL: ")
                for host in (LOCALHOST, "[::1]"):
                    assert httpx.get(f"http://{host}:{port}/healthz").status_code == 200

                postgres.start()
                wait_for(worker, port, status=200, worker="ok", postgresql="ok", keys="ok", threads="ok")
        finally:
            postgres.stop()


def asked(port: int) -> tuple[int, dict[str, str]]:
    try:
        reply = httpx.get(f"http://{LOCALHOST}:{port}/readyz", timeout=60)
    except httpx.TransportError:
        return 0, {}
    document = reply.json()
    assert document["ready"] == (reply.status_code == 200)
    return reply.status_code, document["parts"]


def wait_for(process: ManagedProcess, port: int, *, status: int, **parts: str) -> None:
    wait_until(
        lambda: asked(port) == (status, parts),
        what=f"it answers {status} and {parts}",
        timeout_seconds=END_SECONDS,
        process=process,
    )
