"""A secret can come through a pipe, which gives it once: each process reads its settings once."""

import os
import threading
from pathlib import Path

import pytest
from honcho.environ import parse_procfile

from deploy.local.environment import ROOT
from deploy.local.ports import free_port
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.stack.readiness import answers_well, worker_answers
from tests.support.betcore import CLIENT_ID
from tests.support.flower import BIN

WAIT_SECONDS = 120.0


@pytest.mark.parametrize("name", ["web", "worker", "flower"])
def test_a_secret_that_comes_through_a_pipe_is_asked_for_once(
    redis_url: str, database_url: str, tmp_path: Path, name: str
) -> None:
    pipe, port = tmp_path / "redis-url", free_port()
    os.mkfifo(pipe)
    # It waits for its reader.
    threading.Thread(target=pipe.write_text, args=(redis_url,), daemon=True).start()
    process = ManagedProcess(
        name=name,
        argv=["sh", "-c", parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes[name]],
        log_path=tmp_path / f"{name}.log",
        env={
            "PATH": f"{BIN}{os.pathsep}{os.defpath}",
            "PORT": str(port),
            "CASHBACK_REDIS_URL_FILE": str(pipe),
            "CASHBACK_DATABASE_URL": database_url,
            "CASHBACK_BETCORE_URL": "http://127.0.0.1:1",
            "CASHBACK_TOKEN_CLIENT_ID": CLIENT_ID,
            "CASHBACK_BEARER_TOKEN": "x",
            "CASHBACK_FLOWER_BASIC_AUTH": "lookout:correct-horse",
        },
        cwd=ROOT,
    )

    def works() -> bool:
        if name == "worker":
            return worker_answers(redis_url, process.pid)
        return answers_well(port, "/healthz" if name == "web" else "/healthcheck")

    with running(process):
        wait_until(works, what="it works", timeout_seconds=WAIT_SECONDS, process=process)
