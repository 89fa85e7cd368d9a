"""Tries to break what the schema protects, with the protection and, as proof of the test, without it."""

from dataclasses import dataclass

import psycopg
import pytest


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Statements of one transaction that must be refused, what refuses them, and what it says."""

    name: str
    statements: tuple[str, ...]
    protections: tuple[str, ...]
    says: str

    def __str__(self) -> str:
        return self.name


def no_trigger(name: str, table: str) -> str:
    """Return the statement that takes a trigger away."""
    return f"DROP TRIGGER {name} ON {table}"


def no_constraint(name: str, table: str) -> str:
    """Return the statement that takes a constraint away."""
    return f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"


def expect_refused(connection: psycopg.Connection, forbidden: Forbidden) -> None:
    """Expect a refusal for the right reason, and success once the named protections are gone."""
    with pytest.raises(psycopg.IntegrityError, match=forbidden.says):
        run(connection, forbidden.statements)
    for protection in forbidden.protections:
        connection.execute(protection.encode())
    run(connection, forbidden.statements)


def run(connection: psycopg.Connection, statements: tuple[str, ...]) -> None:
    """Run the statements of one transaction, inside a larger one or not."""
    with connection.transaction():
        # What a commit would look at is looked at when the statements are through.
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        for statement in statements:
            connection.execute(statement.encode())
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
