"""Flower as the Procfile starts it: not without a login, and open only to who knows it."""

import subprocess

import httpx
import pytest

from deploy.local.environment import ROOT
from tests.support.flower import FIRST, SECOND, environment, flower_command

SAYS_ONE_SENTENCE_WITHIN_SECONDS = 120.0
CLOSED = [
    *("/", "/workers", "/tasks", "/task/anything", "/broker", "/api/workers", "/api/tasks"),
    *("/login", "/logout", "/nothing", "/static/js/flower.js", "/favicon.ico"),
    *("/metrics/", "//metrics", "/healthcheck/x"),
]


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

    assert_refuses_to_start(settings, f"{sentence}\n")


@pytest.mark.parametrize("proxies", ["proxy.example", "10.0.0.1/8", "10.0.0.0/8; ::1", "*"])
def test_flower_does_not_start_with_proxies_that_are_none(proxies: str) -> None:
    settings = {
        "CASHBACK_FLOWER_BASIC_AUTH": ":".join(FIRST),
        "CASHBACK_FLOWER_TRUSTED_PROXIES": proxies,
    }

    assert_refuses_to_start(
        settings, "CASHBACK_FLOWER_TRUSTED_PROXIES: must be addresses and networks, separated by commas: "
    )


def assert_refuses_to_start(settings: dict[str, str], sentence: str) -> None:
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
    assert result.stderr.startswith(f"cashback flower: {sentence}")
    assert result.stderr.count("\n") == 1
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
