"""Flower as the Procfile starts it: not without a login, and open only to who knows it."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flower.urls import handlers
from honcho.environ import parse_procfile

from deploy.flower_guard import HEADERS, OPEN
from deploy.flower_logins import LOCKED_SECONDS, MAX_FAILURES
from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running, wait_until

BIN = Path(sys.executable).parent
FIRST, SECOND = ("lookout", "correct-horse"), ("night", "battery:staple")
READY_SECONDS = 120.0
SAYS_ONE_SENTENCE_WITHIN_SECONDS = 120.0
CLOSED = [
    *("/", "/workers", "/tasks", "/task/anything", "/broker", "/api/workers", "/api/tasks"),
    *("/login", "/logout", "/nothing", "/static/js/flower.js", "/favicon.ico"),
    *("/metrics/", "//metrics", "/healthcheck/x"),
]
SECURITY_PAPER = (ROOT / "docs/security.md").read_text("utf-8")


def flower_command() -> list[str]:
    return ["sh", "-c", parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes["flower"]]


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a Flower that was given these settings and nothing else."""
    return {"PATH": f"{BIN}{os.pathsep}{os.defpath}", **settings}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where Flower's log is written."""
    return tmp_path_factory.mktemp("flower") / "flower.log"


@pytest.fixture(scope="module")
def flower(log: Path, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Lend a client of a running Flower that was told to leave its API open, and has two logins."""
    port = free_port()
    process = ManagedProcess(
        name="flower",
        argv=flower_command(),
        log_path=log,
        env=environment(
            PORT=str(port),
            CASHBACK_REDIS_URL=request.getfixturevalue("valkey_server").url,
            CASHBACK_FLOWER_BASIC_AUTH=f"{':'.join(FIRST)}, {':'.join(SECOND)}",
            CASHBACK_FLOWER_TRUSTED_PROXIES="127.0.0.0/8",
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


def from_(address: str) -> dict[str, str]:
    """Return the headers of a request that a proxy of ours passes on."""
    return {"X-Forwarded-For": f"198.51.100.99, {address}", "X-Real-Ip": "198.51.100.98"}


def test_what_is_open_without_a_login_is_what_the_paper_says(flower: httpx.Client) -> None:
    documented = re.findall(r"^\| Flower `(/\w+)` \|", SECURITY_PAPER, re.MULTILINE)

    assert documented
    assert sorted(documented) == sorted(OPEN)
    for path in OPEN:
        assert flower.get(path).status_code == httpx.codes.OK, path


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_every_page_that_flower_has_is_closed_to_every_method(flower: httpx.Client, method: str) -> None:
    # As its own table has them, with something in each place that takes something.
    patterns = [rule[0] if isinstance(rule, tuple) else rule.regex.pattern for rule in handlers]
    paths = {re.sub(r"\(\.[*+]\)", "anything", pattern).rstrip("?$") for pattern in patterns}

    assert len(paths) > 25
    for path in sorted({f"/{path.lstrip('/')}" for path in paths} - set(OPEN)):
        assert flower.request(method, path).status_code == httpx.codes.UNAUTHORIZED, path


def test_a_guesser_is_locked_out_by_address_and_logged_and_nobody_else_is(
    flower: httpx.Client, log: Path
) -> None:
    guesser, other = from_("203.0.113.7"), from_("203.0.113.8")
    for _ in range(MAX_FAILURES):
        reply = flower.get("/workers", auth=("lookout", "battery:staple"), headers=guesser)
        assert reply.status_code == httpx.codes.UNAUTHORIZED

    # Not even the right one is looked at.
    locked = flower.get("/workers", auth=FIRST, headers=guesser)

    assert locked.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert 0 < int(locked.headers["Retry-After"]) <= LOCKED_SECONDS
    assert flower.get("/healthcheck", headers=guesser).status_code == httpx.codes.OK
    assert flower.get("/workers", auth=FIRST, headers=other).status_code == httpx.codes.OK
    lines = log.read_text("utf-8").splitlines()
    assert len([line for line in lines if "failed login from 203.0.113.7" in line]) == MAX_FAILURES
    assert not [line for line in lines if "198.51.100" in line]
    assert not [line for line in lines if "staple" in line]


def test_who_was_not_asked_yet_has_not_failed(flower: httpx.Client) -> None:
    for _ in range(MAX_FAILURES + 1):
        assert flower.get("/", headers=from_("203.0.113.9")).status_code == httpx.codes.UNAUTHORIZED

    assert flower.get("/", auth=FIRST, headers=from_("203.0.113.9")).status_code == httpx.codes.OK


@pytest.mark.parametrize(
    "header", ["Basic", "Basic %%%", "Basic w6RiYw==", "Bearer x", "", "Basic " + "QQ==" * 999]
)
def test_what_is_no_login_is_refused_like_a_wrong_one(flower: httpx.Client, header: str) -> None:
    reply = flower.get("/", headers={"Authorization": header, **from_("203.0.113.10")})

    assert reply.status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize(
    ("path", "login"),
    [
        ("/workers", FIRST),
        ("/static/js/flower.js", FIRST),
        ("/nothing", FIRST),
        ("/", None),
        ("/metrics", None),
    ],
)
def test_every_reply_says_to_the_browser_what_it_may_do(
    flower: httpx.Client, path: str, login: tuple[str, str] | None
) -> None:
    headers = flower.get(path, auth=login or httpx.USE_CLIENT_DEFAULT).headers

    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers


@pytest.mark.parametrize("path", ["/workers", "/tasks", "/broker", "/nothing"])
def test_the_policy_allows_the_scripts_of_flowers_pages_and_no_others(
    flower: httpx.Client, path: str
) -> None:
    page = flower.get(path, auth=FIRST)

    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL)
    policy = page.headers["Content-Security-Policy"]
    assert scripts
    for attributes, text in scripts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert 'src="/static/' in attributes or f"'sha256-{digest}'" in policy, text
    assert not re.search(r"\son\w+=", page.text)
