"""What the command says when it cannot do its work: one sentence and an exit code, never a traceback."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from tests.support import command

COMMANDS = [
    ["migrate"],
    ["accounts", "import", "-"],
    ["accounts", "show", "1"],
    ["show", "1"],
    ["list", "--state", "expired"],
    ["tail", "--for", "0s"],
]
NEEDS_SCHEMA = COMMANDS[1:]


@pytest.fixture
def unmigrated_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of a database without the program's schema."""
    name = sql.Identifier(f"bare_{uuid4().hex}")
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield postgres_server.url_of(name.as_string().strip('"'))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_a_database_url_every_command_names_the_variable(arguments: list[str]) -> None:
    done = command.run(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "Error: CASHBACK_DATABASE_URL is not set\n"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://localhost/x", "CASHBACK_DATABASE_URL: must start with postgresql:// or postgres://"),
        (
            "postgresql://user:pass%zz@localhost/x",
            "CASHBACK_DATABASE_URL: is no URL that PostgreSQL's client can read",
        ),
    ],
)
def test_a_wrong_database_url_is_named_without_its_password(url: str, sentence: str) -> None:
    done = command.run("show", "1", database_url=url)

    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"Error: {sentence}\n")


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_database_that_is_away_is_said_in_one_sentence(arguments: list[str]) -> None:
    url = f"postgresql://operator:secret@127.0.0.1:{free_port()}/cashback"

    done = command.run(*arguments, database_url=url)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "Error: PostgreSQL cannot be reached, check CASHBACK_DATABASE_URL and that it runs: "
    )
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize("arguments", NEEDS_SCHEMA, ids=" ".join)
def test_a_database_without_the_schema_says_to_migrate(arguments: list[str], unmigrated_url: str) -> None:
    done = command.run(*arguments, stdin=b"user_id,currency,status,balance\n", database_url=unmigrated_url)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: the database does not have the schema of this program: run `cashback migrate`\n"
    )


def test_migrate_prints_what_it_applied_and_then_that_there_is_nothing_to_do(unmigrated_url: str) -> None:
    first = command.run("migrate", database_url=unmigrated_url)
    second = command.run("migrate", database_url=unmigrated_url)

    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.startswith("applied 0001 books\n")
    assert (second.exit_code, second.stderr) == (0, "")
    assert second.stdout.startswith("the schema is at version ")
    assert second.stdout.endswith(", nothing to do\n")


def test_a_database_that_refuses_the_operator_is_said_in_one_sentence(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        role = sql.Identifier(f"guest_{uuid4().hex}")
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'guest'").format(role))
        guest = role.as_string().strip('"')

        host = database_url.partition("@")[2]
        done = command.run("show", "1", database_url=f"postgresql://{guest}:guest@{host}")

        connection.execute(sql.SQL("DROP ROLE {}").format(role))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: PostgreSQL refused: permission denied for table receipts: CASHBACK_DATABASE_URL is to name a "
        "role that may, which is the owner for `cashback migrate` and the operator for all else\n"
    )


def test_an_import_that_waits_for_another_one_goes_on_when_that_is_undone(database_url: str) -> None:
    rows = b"user_id,currency,status,balance\n1,EUR,active,1\n"
    with psycopg.connect(database_url) as other:
        other.execute("SELECT prepare_accounts_import()")
        other.execute("SELECT * FROM check_accounts_import(20)")
        with command.start("accounts", "import", "-", "--json", database_url=database_url) as waiting:
            assert waiting.stdin is not None
            waiting.stdin.write(rows)
            waiting.stdin.close()
            waiting.stdin = None
            _wait_for_a_waiting_session(other)
            assert waiting.poll() is None
            other.rollback()
            done = command.finish(waiting)

    assert done.document == {"opened": 1, "updated": 0, "unchanged": 0}


def _wait_for_a_waiting_session(connection: psycopg.Connection) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while connection.execute(query).fetchone() != (1,):
        connection.execute("SELECT pg_sleep(0.05)")


def test_help_needs_no_settings_and_names_every_command() -> None:
    done = command.run("--help")

    assert (done.exit_code, done.stderr) == (0, "")
    for name in ("accounts", "list", "migrate", "show", "tail"):
        assert f"\n  {name} " in done.stdout


def test_a_pipe_that_is_closed_early_is_no_traceback(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text("user_id,currency,status,balance\n1,EUR,active,1\n")
    with command.start("accounts", "import", str(file), database_url=database_url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdout = None
        stderr = process.stderr.read().decode()

    assert "Traceback" not in stderr
    assert process.returncode == 1


def test_list_after_an_unknown_event_ends_with_1(database_url: str) -> None:
    unknown = "00000000-0000-8000-8000-000000000001"

    listed = command.run("list", "--state", "settled", "--after", unknown, database_url=database_url)

    assert (listed.exit_code, listed.stdout) == (1, "")
    assert listed.stderr == f"Error: no event {unknown} is on record\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["list"], "say which events: --state or --unconfirmed, --user"),
        (["list", "--producer", "edge"], "--producer has no index of its own: give one of --since"),
        (["list", "--state", "answered", "--error", "x"], "--error has no index of its own"),
        (["list", "--code", "200"], "--code 200 has no index of its own"),
        (["list", "--unconfirmed", "--all"], "--all goes with --csv or --json"),
        (["list", "--unconfirmed", "--csv", "--json"], "--csv and --json exclude each other"),
        (["list", "--state", "lost"], "'lost' is not one of"),
        (["list", "--state", "settled", "--limit", "1001"], "1001 is not in the range"),
        (
            ["list", "--state", "settled", "--since", "soon"],
            "'soon' is no ISO 8601 time and no age such as 30m",
        ),
        (["list", "--state", "settled", "--after", "7"], "'7' is not a valid UUID"),
        (["show", "0"], "0 is not in the range"),
        (["show", str(2**63)], "is not in the range"),
        (["show", "x"], "'x' is neither a CashbackId (a number) nor an event id (a UUID)"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(
    database_url: str, arguments: list[str], sentence: str
) -> None:
    done = command.run(*arguments, database_url=database_url)

    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
