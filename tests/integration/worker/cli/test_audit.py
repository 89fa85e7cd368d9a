"""`cashback audit list`, and that nobody can touch what it shows."""

from typing import Any

import psycopg
import pytest

from tests.support import command
from tests.support.in_process import invoke
from tests.support.roles import as_role
from worker.schema.roles import OPERATOR, ROLES

NOTE = (
    "SELECT note_action('accounts.block', %s, 'anna@desk', %s, "
    '\'{"status": "active"}\', \'{"status": "blocked"}\')'
)


def note(database_url: str, subject: str, reason: str = "ticket 7") -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(NOTE, (subject, reason))


def test_actions_are_listed_newest_first_a_page_at_a_time(database_url: str) -> None:
    for number in range(3):
        note(database_url, f"user {number}")

    first = command.run("audit", "list", "--limit", "2", "--json", database_url=database_url).document
    second = command.run(
        "audit", "list", "--after", str(first["next_after"]), "--json", database_url=database_url
    ).document

    assert [record["subject"] for record in first["records"]] == ["user 2", "user 1"]
    assert [record["subject"] for record in second["records"]] == ["user 0"]
    assert second["next_after"] is None
    record = second["records"][0]
    assert (record["action"], record["person"], record["reason"]) == (
        "accounts.block",
        "anna@desk",
        "ticket 7",
    )
    assert (record["before"], record["after"]) == ({"status": "active"}, {"status": "blocked"})
    assert record["database_user"]


def test_actions_are_found_by_what_was_done_and_to_whom(database_url: str) -> None:
    note(database_url, "alice")
    note(database_url, "bob")

    found = command.run(
        *("audit", "list", "--action", "accounts.block", "--subject", "bob", "--since", "1h"),
        database_url=database_url,
    )

    assert found.exit_code == 0
    assert "bob" in found.stdout
    assert "alice" not in found.stdout


def test_actions_are_found_by_who_did_them(database_url: str) -> None:
    note(database_url, "alice")
    [(database_user,)] = _read(database_url, "SELECT session_user")

    def found(*options: str) -> list[str]:
        ended = invoke("audit", "list", *options, "--json", database_url=database_url)
        return [record["subject"] for record in ended.document("audit-list")["records"]]

    assert found("--person", "anna@desk") == found("--user", database_user) == ["alice"]
    assert found("--person", "ben@desk") == found("--user", "nobody") == []


def _read(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET person = 'x'", "DELETE FROM audit", "TRUNCATE audit"]
)
def test_not_even_the_owner_changes_the_audit(database_url: str, statement: str) -> None:
    note(database_url, "alice")

    with psycopg.connect(database_url) as owner, pytest.raises(psycopg.errors.RestrictViolation):
        owner.execute(statement.encode())


@pytest.mark.parametrize("role", ROLES)
def test_no_role_writes_to_the_audit(database_url: str, role: str) -> None:
    with psycopg.connect(as_role(database_url, role), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(NOTE, ("alice", "made up"))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO audit (action, subject, person) VALUES ('x', 'y', 'z')")


def test_the_operator_reads_it(database_url: str) -> None:
    note(database_url, "alice")

    with psycopg.connect(as_role(database_url, OPERATOR)) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchall() == [(1,)]
