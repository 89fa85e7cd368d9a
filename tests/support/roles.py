"""A deployment's roles in PostgreSQL, for the length of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg
from psycopg import sql

from worker.schema.migrate import migrate
from worker.schema.roles import ROLES, RoleNames


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of one database."""

    owner_url: str
    names: RoleNames

    def url(self, role: str) -> str:
        """Return the URL of the database for one of ROLES."""
        return url_as(self.owner_url, self.names.name(role))


def url_as(database_url: str, name: str) -> str:
    """Return the URL for another role; the tests' server asks nobody for a password."""
    return f"{database_url}{'&' if '?' in database_url else '?'}user={name}"


@contextmanager
def roles_of(database_url: str, *, prefix: str | None = None) -> Iterator[Roles]:
    """Have `migrate` make roles with a prefix of their own, which are gone again after the block."""
    with dropped_roles(database_url, prefix or f"test_{uuid4().hex[:12]}") as names:
        migrate(database_url, roles=names)
        yield Roles(database_url, names)


@contextmanager
def dropped_roles(database_url: str, prefix: str) -> Iterator[RoleNames]:
    """Drop what stands of these roles after the block."""
    names = RoleNames(prefix=prefix)
    try:
        yield names
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            for role in map(names.name, ROLES):
                if (
                    connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
                    is not None
                ):
                    connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
                    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
