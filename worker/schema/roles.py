"""PostgreSQL roles: who may call which functions and read which tables. Decision 39.

Nobody but the owner, who migrates, writes to the books: the others call functions that act with its rights.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from worker.errors import WorkerError

RECEIVER: Final = "receiver"
WORKER: Final = "worker"
OPERATOR: Final = "operator"
READER: Final = "reader"
ROLES: Final = (RECEIVER, WORKER, OPERATOR, READER)

CALLS: Final[Mapping[str, tuple[str, ...]]] = {
    RECEIVER: ("record_receipts", "progress_of"),
    WORKER: (
        *("settle_event", "settle_events", "give_up_event", "mark_answered", "close_event", "postpone_event"),
        *("hold_events", "give_up_overdue", "expire_overdue", "claim_overdue", "received_first"),
        *("raise_sweep_bound", "lower_sweep_bound", "prune_receipts", "prune_tokens", "prune_quarantine"),
        "quarantine_message",
    ),
    OPERATOR: ("prepare_accounts_import", "check_accounts_import", "apply_accounts_import"),
    READER: (),
}
"""The functions that each role may call. They act as the owner; what they call themselves nobody else may."""

# Deferred to the commit, where PostgreSQL before 18 has it act as whoever commits.
_DEFERRED: Final = ("require_entries",)
ENTRY_POINTS: Final = frozenset(name for calls in CALLS.values() for name in calls) | frozenset(_DEFERRED)

_VERSIONS: Final = ("schema_versions", "schema_functions")
_BOOKS: Final = ("currencies", "accounts", "transactions", "entries", "receipts", "sweep_bound")
READS: Final[Mapping[str, tuple[str, ...]]] = {
    RECEIVER: _VERSIONS,
    # Whether what Redis knows of is in these books (recovery/rewind.py).
    WORKER: (*_VERSIONS, "transactions"),
    OPERATOR: (*_VERSIONS, *_BOOKS, "quarantine"),
    # No tokens, and no messages, which hold tokens.
    READER: (*_VERSIONS, *_BOOKS),
}
"""The tables that each role may read."""
# The operator marks what was put back into its queue.
_UPDATES: Final = (OPERATOR, "quarantine", ("requeued_at", "requeue_count"))

# Who sees the snapshots, the standbys, and the transactions that still write, of other roles too.
_STATISTICS: Final = "pg_read_all_stats"
_EXISTS: Final = "SELECT FROM pg_roles WHERE rolname = %s"
_TOO_MUCH: Final[LiteralString] = """
    SELECT rolname, CASE
        WHEN rolsuper OR rolcreaterole OR rolbypassrls OR rolreplication
            THEN 'is a superuser, makes roles, replicates, or passes row security by'
        WHEN pg_has_role(rolname, current_user, 'MEMBER') THEN 'is a member of the owner ' || current_user
        WHEN has_schema_privilege(rolname, current_schema(), 'CREATE')
            THEN 'may make things in the schema ' || current_schema()
        ELSE (
            SELECT 'may write to the table ' || min(relname) FROM pg_class
            WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
                AND relkind IN ('r', 'p')
                AND has_table_privilege(rolname, oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER'))
        END AS why
    FROM pg_roles WHERE rolname = ANY (%s)
"""


class RoleMissing(WorkerError):
    """A role is missing, or lacks what it needs, and this one may not give it."""

    reason = "role_missing"


class RoleTooMighty(WorkerError):
    """A role may do more than what it is there for."""

    reason = "role_too_mighty"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleNames:
    """The roles of a deployment: `prefix_receiver` and so on, as roles belong to the whole server.

    `passwords`, by role without prefix, are set; a role without one keeps what it has.
    """

    prefix: str
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    def name(self, role: str) -> str:
        """Return the full name of one of ROLES."""
        return f"{self.prefix}_{role}"


def pin(connection: psycopg.Connection[Any], signatures: Iterable[str]) -> None:
    """Have the entry points act as the owner, in the schema that they were made in; nobody else may call any.

    PostgreSQL lets everybody call a new function.
    """
    for signature in signatures:
        name = sql.SQL(signature)
        connection.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(name))
        if signature.partition("(")[0] in ENTRY_POINTS:
            connection.execute(
                sql.SQL("ALTER FUNCTION {} SECURITY DEFINER SET search_path = {}, pg_temp").format(
                    name, sql.Identifier(_schema(connection))
                )
            )


def grant(connection: psycopg.Connection[Any], names: RoleNames, signatures: Iterable[str]) -> None:
    """Make the roles that are missing and give each what it needs. Raises RoleMissing or RoleTooMighty."""
    ours = list(signatures)
    for role in ROLES:
        _make(connection, names.name(role))
        _set_password(connection, names.name(role), names.passwords.get(role))
    schema = sql.Identifier(_schema(connection))
    connection.execute(sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(schema))
    for role in ROLES:
        to = sql.Identifier(names.name(role))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, to))
        for table in READS[role]:
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(table), to))
        for signature in ours:
            if signature.partition("(")[0] in CALLS[role]:
                function = sql.SQL(signature)
                connection.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(function, to))
    role, table, columns = _UPDATES
    connection.execute(
        sql.SQL("GRANT UPDATE ({}) ON {} TO {}").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Identifier(table),
            sql.Identifier(names.name(role)),
        )
    )
    [(owner,)] = connection.execute("SELECT current_user").fetchall()
    for reader in (owner, names.name(WORKER)):
        _show_statistics(connection, reader)
    _refuse_too_mighty(connection, names)


def _make(connection: psycopg.Connection[Any], name: str) -> None:
    if connection.execute(_EXISTS, (name,)).fetchone() is not None:
        return
    try:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        raise RoleMissing(
            f"there is no role {name}, and this one may make none: have an administrator run CREATE ROLE "
            f'"{name}" LOGIN, or unset CASHBACK_DATABASE_ROLES'
        ) from None
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        # Somebody who migrates another database of this server has just made it.
        return


def _set_password(connection: psycopg.Connection[Any], name: str, password: str | None) -> None:
    if password is None:
        return
    # As PostgreSQL keeps it: the password itself is in no statement, and so in no log.
    kept = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(kept))
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        raise RoleMissing(
            f"this role may not set the password of {name}: have an administrator set it, and unset "
            "it for `cashback migrate`"
        ) from None


def _show_statistics(connection: psycopg.Connection[Any], name: str) -> None:
    asked = "SELECT pg_has_role(%s, %s, 'USAGE')"
    if connection.execute(asked, (name, _STATISTICS)).fetchall() == [(True,)]:
        return
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(_STATISTICS), sql.Identifier(name))
            )
    except psycopg.errors.InsufficientPrivilege:
        raise RoleMissing(
            f"the role {name} does not see how long others' transactions have run: have an administrator run "
            f'GRANT {_STATISTICS} TO "{name}"'
        ) from None


def _refuse_too_mighty(connection: psycopg.Connection[Any], names: RoleNames) -> None:
    found = connection.execute(_TOO_MUCH, ([names.name(role) for role in ROLES],)).fetchall()
    if faults := [f"{name} {why}" for name, why in found if why is not None]:
        raise RoleTooMighty(f"a role may do more than what it is there for: {'; '.join(sorted(faults))}")


def _schema(connection: psycopg.Connection[Any]) -> str:
    [(schema,)] = connection.execute("SELECT current_schema()").fetchall()
    return str(schema)
