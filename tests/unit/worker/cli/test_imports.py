"""Help, and a word on wrong use, come at once: they import click and the definitions of the commands only."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from cashback_client.contract import MAX_CASHBACK_ID
from deploy.local.environment import ROOT
from worker.cli import cashback

# What a command works with, each a tenth of a second and more.
WORKING = {
    "celery",
    "kombu",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "pydantic_settings",
    "redis",
    "rich",
    "structlog",
}
PROGRAM = """
import atexit, sys
from worker.cli import main
atexit.register(lambda: print("imported:", *sorted({name.partition(".")[0] for name in sys.modules})))
main()
"""


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name)


def run(*arguments: str, **environ: str) -> tuple[int, set[str]]:
    """Return how `cashback` ended and the packages that it had imported by then."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    _, _, imported = result.stdout.rpartition("imported: ")
    return result.returncode, set(imported.split())


@pytest.mark.parametrize("names", list(commands(cashback)), ids=" ".join)
def test_help_imports_nothing_that_a_command_works_with(names: tuple[str, ...]) -> None:
    exit_code, imported = run(*names, "--help")

    assert exit_code == 0
    assert "click" in imported
    assert imported & WORKING == set()


@pytest.mark.parametrize("arguments", [("--versions",), ("list",), ("show", "0"), ("quarantine", "requeue")])
def test_neither_does_a_word_on_wrong_use(arguments: tuple[str, ...]) -> None:
    exit_code, imported = run(*arguments)

    assert exit_code == 2
    assert imported & WORKING == set()


@pytest.mark.parametrize("arguments", [("--version",), ("completion", "fish")])
def test_neither_do_version_and_completion(arguments: tuple[str, ...]) -> None:
    exit_code, imported = run(*arguments)

    assert exit_code == 0
    assert imported & WORKING == set()


def test_neither_does_the_tab_key() -> None:
    exit_code, imported = run(_CASHBACK_COMPLETE="fish_complete", COMP_WORDS="cashback lis", COMP_CWORD="lis")

    assert exit_code == 0
    assert "click" in imported
    assert imported & WORKING == set()


def test_a_command_that_runs_imports_what_it_works_with() -> None:
    exit_code, imported = run("list", "--unconfirmed")

    assert exit_code == 2  # CASHBACK_DATABASE_URL is not set
    assert {"psycopg", "pydantic"} <= imported


def test_the_largest_cashback_id_is_the_contracts() -> None:
    listing = cashback.commands["list"]

    (cashback_id,) = (each for each in listing.params if each.name == "cashback_id")

    assert isinstance(cashback_id.type, click.IntRange)
    assert (cashback_id.type.min, cashback_id.type.max) == (1, MAX_CASHBACK_ID)
