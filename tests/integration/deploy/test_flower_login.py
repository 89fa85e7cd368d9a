"""Flower as the Procfile starts it: not without a login, and open only to who knows it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from honcho.environ import parse_procfile

from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running, wait_until

BIN = Path(sys.executable).parent
FIRST, SECOND = ("lookout", "correct-horse"), ("night", "battery:staple")
READY_SECONDS = 120.0
SAYS_ONE_SENTENCE_WITHIN_SECONDS = 120.0
CLOSED = ["/", "/workers", "/tasks", "/task/anything", "/broker", "/api/workers", "/api/tasks"]


def flower_command() -> list[str]:
    return ["sh", "-c", parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes["flower"]]


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a Flower that was given these settings and nothing else."""
    return {"PATH": f"{BIN}{os.pathsep}{os.defpath}", **settings}


@pytest.fixture(scope="module")
def flower(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[httpx.Client]:
    """Lend a client of a running Flower that was told to leave its API open, and has two logins."""
    port = free_port()
    process = ManagedProcess(
        name="flower",
        argv=flower_command(),
        log_path=tmp_path_factory.mktemp("flower") / "flower.log",
        env=environment(
            PORT=str(port),
            CASHBACK_REDIS_URL=request.getfixturevalue("valkey_server").url,
            CASHBACK_FLOWER_BASIC_AUTH=f"{':'.join(FIRST)}, {':'.join(SECOND)}",
            FLOWER_UNAUTHENTICATED_API="true",
            FLOWER_BASIC_AUTH="stranger:stranger1",
        ),
        cwd=ROOT,
    )
    with running(process), httpx.Client(base_url=f"http://{LOCALHOST}:{port}", timeout=60) as client:
        wait_until(
            lambda: _answers(client), what="Flower answers", timeout_seconds=READY_SECONDS, process=process
        )
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthcheck").status_code == httpx.codes.OK
    except httpx.TransportError:
        # Not listening yet.
        return False


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        (None, "CASHBACK_FLOWER_BASIC_AUTH is not set"),
        ("", "CASHBACK_FLOWER_BASIC_AUTH is not set"),
        ("operator", "CASHBACK_FLOWER_BASIC_AUTH: must be user:password, several separated by commas"),
        (":correct-horse", "CASHBACK_FLOWER_BASIC_AUTH: must be user:password, several separated by commas"),
        ("operator:", "CASHBACK_FLOWER_BASIC_AUTH: each password must have at least 8 characters"),
        ("operator:1234567", "CASHBACK_FLOWER_BASIC_AUTH: each password must have at least 8 characters"),
        (
            "a:correct-horse,b:short",
            "CASHBACK_FLOWER_BASIC_AUTH: each password must have at least 8 characters",
        ),
        (
            "a:correct-horse,",
            "CASHBACK_FLOWER_BASIC_AUTH: must be user:password, several separated by commas",
        ),
        (
            "operator:pässword-1",
            "CASHBACK_FLOWER_BASIC_AUTH: users and passwords must consist of ASCII characters without spaces",
        ),
    ],
)
def test_flower_does_not_start_without_a_login_that_is_one(login: str | None, sentence: str) -> None:
    settings = {} if login is None else {"CASHBACK_FLOWER_BASIC_AUTH": login}

    result = subprocess.run(
        flower_command(),
        env=environment(PORT="1", CASHBACK_REDIS_URL="redis://127.0.0.1:1/0", **settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SAYS_ONE_SENTENCE_WITHIN_SECONDS,
        check=False,
    )

    assert result.returncode == 2
    assert result.stderr == f"cashback flower: {sentence}\n"
    assert result.stdout == ""


@pytest.mark.parametrize("path", CLOSED)
def test_flower_answers_401_without_a_login(flower: httpx.Client, path: str) -> None:
    reply = flower.get(path)

    assert reply.status_code == httpx.codes.UNAUTHORIZED
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    "login",
    [
        ("lookout", "battery:staple"),
        ("lookout", ""),
        ("", ""),
        ("stranger", "stranger1"),
        ("lookout", "correct-hors"),
    ],
)
def test_flower_answers_401_to_a_wrong_login(flower: httpx.Client, login: tuple[str, str]) -> None:
    assert flower.get("/workers", auth=login).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("login", [FIRST, SECOND])
@pytest.mark.parametrize("path", ["/workers", "/tasks", "/api/workers", "/api/tasks"])
def test_flower_opens_to_each_of_its_logins(flower: httpx.Client, login: tuple[str, str], path: str) -> None:
    assert flower.get(path, auth=login).status_code == httpx.codes.OK


def test_the_browser_is_told_to_ask_for_the_login(flower: httpx.Client) -> None:
    assert flower.get("/").headers["www-authenticate"] == 'Basic realm="flower"'


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/revoke/00000000-0000-8000-8000-000000000000",
        "/api/task/send-task/cashback.settle",
        "/api/worker/shutdown/worker-1@host",
        "/api/worker/queue/cancel-consumer/worker-1@host?queue=cashback",
    ],
)
def test_not_even_who_is_logged_in_can_end_an_event_or_a_worker_from_here(
    flower: httpx.Client, path: str
) -> None:
    reply = flower.post(path, auth=FIRST, json={})

    assert reply.status_code == httpx.codes.FORBIDDEN
