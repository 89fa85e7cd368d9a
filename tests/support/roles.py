"""A deployment's roles in PostgreSQL, for the length of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql

from deploy.local.postgres import DATABASE
from worker.schema.migrate import migrate
from worker.schema.roles import OWNER, ROLES, RoleNames

TEST_ROLES: Final = RoleNames(prefix=DATABASE)
"""The roles of every database that tests are given; the URL that comes with it is the administrator's."""


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


def as_role(database_url: str, role: str) -> str:
    """Return the URL of a database that tests are given for one of ROLES.

    Whatever else it is (a server of a test's own, which may have no roles, a URL for somebody) stays.
    """
    given = urlsplit(database_url).path.startswith(("/test_", "/shared_"))
    if not given or "user=" in database_url:
        return database_url
    return url_as(database_url, TEST_ROLES.name(role))


@contextmanager
def roles_of(database_url: str, *, prefix: str | None = None) -> Iterator[Roles]:
    """Have `migrate` make roles with a prefix of their own, which are gone again after the block."""
    with dropped_roles(database_url, prefix or new_prefix()) as names:
        migrate(database_url, roles=names)
        yield Roles(database_url, names)


def new_prefix() -> str:
    """Return a prefix that no other test has: roles belong to the whole server."""
    return f"test_{uuid4().hex[:12]}"


@contextmanager
def dropped_roles(database_url: str, prefix: str) -> Iterator[RoleNames]:
    """Drop what stands of these roles after the block, with all that is theirs."""
    names = RoleNames(prefix=prefix)
    try:
        yield names
    finally:
        for role in (*ROLES, OWNER):
            drop_role(database_url, names.name(role))


def drop_role(database_url: str, name: str) -> None:
    """Drop a role, if it is there, with all that it has in this database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def refusal(url: str, statement: str) -> str | None:
    """Return why PostgreSQL refuses a statement for want of a right; None where it does not.

    Nothing of it stays.
    """
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            return str(error)
        except psycopg.Error:
            # Refused it was, and not for that.
            return None
        finally:
            connection.rollback()
    return None
