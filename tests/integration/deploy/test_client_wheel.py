"""The client alone: its wheel and what that needs, where nothing else of ours can be found."""

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.local.environment import ROOT

CLIENT = ROOT / "producer/client"
MOST_PACKAGES = 15

# A partner's first program: what it holds of the client is typed, and it ends in bounded time.
PROGRAM = """
import asyncio
import socket
import sys
from uuid import UUID

from cashback_client.client import AsyncCashbackClient, CashbackClient
from cashback_client.errors import NotSubmitted, QuotaExceeded, Refused
from cashback_client.receiver_api import EventStatus
from cashback_client.submission import Outcome


def submit(url: str, token: str) -> tuple[str, float | None]:
    with CashbackClient(url, producer="edge", timeout_seconds=0.1) as client:
        try:
            outcome: Outcome = client.submit(token, 1_800_000_000_000)
            status: EventStatus | None = client.status(outcome.event_id)
            return (status.state if status is not None else outcome.result), None
        except Refused as error:
            return error.reason, None
        except QuotaExceeded as error:
            return error.reason, error.retry_after_seconds
        except NotSubmitted as error:
            return error.reason, None


async def submit_many(url: str, tokens: list[str]) -> list[UUID]:
    async with AsyncCashbackClient(url, api_key="k", timeout_seconds=0.1) as client:
        return [outcome.event_id for outcome in await client.submit_many(tokens) if outcome.is_submitted]


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        print(submit(f"redis://127.0.0.1:{port}", "a.b.c")[0])
        print(submit(f"redis://127.0.0.1:{port}", "no token")[0])
        try:
            asyncio.run(submit_many(f"http://127.0.0.1:{port}", ["a.b.c"]))
        except NotSubmitted as error:
            print(error.reason)
    packages = {name.partition(".")[0] for name in sys.modules}
    print(sorted(packages & {"producer", "worker", "deploy", "celery", "kombu"}))


main()
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with what the client's wheel installs."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("client")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(dist)]
    subprocess.run(command, cwd=CLIENT, check=True, capture_output=True)
    [wheel] = dist.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    return site


@pytest.fixture(scope="module")
def needed(client: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the distributions that it needs, as they are installed here."""
    site = tmp_path_factory.mktemp("needed")
    for name in needed_by(client):
        for file in metadata.distribution(name).files or ():
            source, target = Path(str(file.locate())), site / file
            if ".." not in file.parts and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source)
    return site


def needed_by(site: Path) -> set[str]:
    """Return the names of what the distributions in a folder need, and what those need, and so on."""
    [distribution] = metadata.distributions(path=[str(site)])
    found: set[str] = set()
    waiting = list(distribution.requires or ())
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += metadata.distribution(name).requires or ()
    return found


def test_it_needs_few_packages_and_none_of_the_service(client: Path) -> None:
    names = needed_by(client)

    assert {"pydantic", "redis"} <= names
    assert len(names) + 1 < MOST_PACKAGES
    assert names.isdisjoint({"celery", "kombu", "cashback-worker", "psycopg", "httpx"})


def test_alone_it_submits_or_says_why_not(client: Path, needed: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")

    # Isolated, and without this environment's own packages.
    path = [str(client), str(needed)]
    start = f"import runpy, sys; sys.path += {path!r}; runpy.run_path({str(program)!r})"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", start],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["timed_out", "no_token", "timed_out", "[]"]


def test_what_a_partner_writes_with_it_is_typed(client: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(PROGRAM.replace("client.submit(token,", "client.submit(5,"), "utf-8")

    assert checked(program, client) == ""
    assert "arg-type" in checked(wrong, client)


def checked(program: Path, client: Path) -> str:
    """Return what mypy says of a program, strictly, with the client as it is installed."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", str(program)]
    done = subprocess.run(
        [*command, "--cache-dir", str(program.parent / "cache")],
        capture_output=True,
        text=True,
        check=False,
        cwd=program.parent,
        env={"MYPYPATH": str(client)},
    )
    return done.stdout + done.stderr
