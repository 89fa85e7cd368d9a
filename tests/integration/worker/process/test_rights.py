"""The rights on Redis that README.md names are enough for a worker, and are the ones that it names."""

import re
from pathlib import Path

import pytest
import redis

from deploy.local.environment import ROOT
from tests.support import bad_messages

README = (ROOT / "README.md").read_text("utf-8")


def rights() -> list[str]:
    """Return the rules that README.md gives a user."""
    match = re.search(r"`ACL SETUSER cashback … ([^`]+)`", README)
    assert match is not None
    return match[1].split()


def keys() -> list[str]:
    """Return the keys that README.md says a worker needs, as rules."""
    match = re.search(r"reads and writes on (.+?), `PUBLISH`", README, re.DOTALL)
    assert match is not None
    return [f"~{pattern}" for pattern in re.findall(r"`([^`]+)`", match[1])]


@pytest.mark.parametrize("rules", [rights(), [*keys(), *rights()[1:]]], ids=["all keys", "its keys alone"])
def test_a_worker_with_these_rights_settles_what_comes(
    rules: list[str], redis_url: str, database_url: str, tmp_path: Path
) -> None:
    assert rights()[0] == "~*"
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "narrow", "on", ">secret", *rules)
        try:
            with bad_messages.bench(redis_url, database_url, tmp_path) as bench:
                bench.start_worker(redis_url=redis_url.replace("//", "//narrow:secret@"))
                bench.credit(481)
                bench.wait_until_idle()
                log = bench.log()
        finally:
            client.execute_command("ACL", "DELUSER", "narrow")

    assert "no permissions" not in log
