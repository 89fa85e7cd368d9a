"""What stands before Flower: what is open, how guesses end, and what browsers are told."""

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest
from flower.urls import handlers

from deploy.flower_guard import HEADERS, OPEN
from deploy.flower_logins import LOCKED_SECONDS, MAX_FAILURES
from deploy.local.environment import ROOT
from tests.support.flower import FIRST

SECURITY_PAPER = (ROOT / "docs/security.md").read_text("utf-8")


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
