"""PostgreSQL roles: who may call which functions and read which tables, and how they are made. Decision 39.

Nobody but the owner, whose migrate makes the schema, writes to the books: the others call functions that act
with its rights.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
import structlog
from psycopg import sql

from worker.errors import WorkerError

OWNER: Final = "owner"
RECEIVER: Final = "receiver"
WORKER: Final = "worker"
OPERATOR: Final = "operator"
READER: Final = "reader"
ROLES: Final = (RECEIVER, WORKER, OPERATOR, READER)

CALLS: Final[Mapping[str, tuple[str, ...]]] = {
    RECEIVER: (
        *("record_receipts", "progress_of", "states_of", "intake_state", "missing_parts"),
        "note_check_off",
    ),
    WORKER: (
        *("settle_event", "settle_events", "give_up_event", "mark_answered", "close_event", "postpone_event"),
        *("hold_events", "give_up_overdue", "expire_overdue", "claim_overdue", "received_first"),
        *("raise_sweep_bound", "lower_sweep_bound", "prune_receipts", "prune_tokens", "prune_quarantine"),
        *("quarantine_message", "claim_replays", "note_replays", "prune_replays", "missing_parts"),
        *("count_unconfirmed", "note_check_off"),
    ),
    OPERATOR: (
        *("prepare_accounts_import", "check_accounts_import", "new_accounts_share"),
        "apply_accounts_import",
        *("set_account_status", "adjust_account", "decide_adjustment", "requeue_message"),
        *("order_replay", "is_posted_since", "pause_intake", "resume_intake"),
        *("prepare_statement", "missing_parts"),
    ),
    READER: ("missing_parts",),
}
"""The functions that each role may call. They act as the owner; what they call themselves nobody else may."""

_VERSIONS: Final = ("schema_versions", "schema_functions")
_BOOKS: Final = (
    *("currencies", "accounts", "transactions", "entries", "receipts", "sweep_bound", "audit"),
    *("correction_rules", "adjustments", "intake"),
)
_REPLAYS: Final = ("replay_orders", "replays")
READS: Final[Mapping[str, tuple[str, ...]]] = {
    RECEIVER: _VERSIONS,
    # Whether what Redis knows of is in these books (recovery/rewind.py).
    WORKER: (*_VERSIONS, "transactions"),
    OPERATOR: (*_VERSIONS, *_BOOKS, *_REPLAYS, "quarantine"),
    # No tokens, and no messages, which hold tokens.
    READER: (*_VERSIONS, *_BOOKS, *_REPLAYS),
}
"""The tables that each role may read."""

# Who sees the snapshots, the standbys, and the transactions that still write, of other roles too.
STATISTICS: Final = "pg_read_all_stats"
_WHOSE: Final = """
    SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
        (SELECT pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = current_schema() AND relname = 'schema_versions')
"""

_log = structlog.get_logger(__name__)


class RoleMissing(WorkerError):
    """A role is missing, or lacks what it needs, and this one may not give it."""

    reason = "role_missing"


class SchemaMissing(WorkerError):
    """The search_path of CASHBACK_DATABASE_URL names no schema that stands: make it, or name another one."""

    reason = "schema_missing"


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
        """Return the full name of one of ROLES, or of OWNER."""
        return f"{self.prefix}_{role}"


def make(connection: psycopg.Connection[Any], names: RoleNames) -> None:
    """Make the roles that are missing, and let each come as far as the schema. Raises RoleMissing."""
    schema = schema_of(connection)
    connection.execute(sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(sql.Identifier(schema)))
    for role in ROLES:
        name = names.name(role)
        _make(connection, name, login=True)
        _set_password(connection, name, names.passwords.get(role))
        _let_into_database(connection, name, sql.SQL("CONNECT"))
        _give(
            connection,
            asked=sql.SQL("has_schema_privilege({}, {}, 'USAGE')").format(name, schema),
            statement=sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(
                sql.Identifier(schema), sql.Identifier(name)
            ),
        )
    _show_statistics(connection, names.name(WORKER))


def act_as_owner(connection: psycopg.Connection[Any], names: RoleNames | None) -> None:
    """Have the rest of the transaction act as the role that the schema belongs to. Raises RoleMissing.

    A new schema belongs to whoever migrates. Where that is a superuser and there are to be roles, one is made
    that it belongs to: what functions do as the owner is then not done by a superuser.
    """
    [(current, is_superuser, owner)] = connection.execute(_WHOSE).fetchall()
    if owner is None and names is not None and is_superuser:
        owner = names.name(OWNER)
        _make_owner(connection, owner)
    owner = owner or current
    if names is not None:
        _show_statistics(connection, owner)
        if _is_superuser(connection, owner):
            _log.warning(
                "owner_is_superuser",
                owner=owner,
                what="what the roles call acts as a superuser: the schema belongs to one",
                what_to_do="give its tables, types and functions to a role that is none (ALTER … OWNER TO)",
            )
    if owner == current:
        return
    if not _holds(connection, sql.SQL("pg_has_role({}, 'MEMBER')").format(owner)):
        raise RoleMissing(
            f"the schema belongs to the role {owner}, and {current} may not act as it: migrate with the URL "
            f'of {owner}, or have an administrator run GRANT "{owner}" TO "{current}"'
        )
    # With `"$user"` in it the path may begin elsewhere for another role.
    connection.execute("SELECT set_config('search_path', quote_ident(current_schema()), true)")
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner)))


def schema_of(connection: psycopg.Connection[Any]) -> str:
    """Return the schema that things are made in. Raises SchemaMissing."""
    [(schema,)] = connection.execute("SELECT current_schema()").fetchall()
    if schema is None:
        raise SchemaMissing
    return str(schema)


def _make_owner(connection: psycopg.Connection[Any], name: str) -> None:
    _make(connection, name, login=False)
    if _is_superuser(connection, name):
        raise RoleTooMighty(
            f"the role {name}, as which all functions would act, is a superuser or can become one: take that "
            "from it"
        )
    connection.execute(
        sql.SQL("GRANT CREATE, USAGE ON SCHEMA {} TO {}").format(
            sql.Identifier(schema_of(connection)), sql.Identifier(name)
        )
    )
    # For the tables that an import of accounts and a statement go through.
    _let_into_database(connection, name, sql.SQL("TEMPORARY"))


def _is_superuser(connection: psycopg.Connection[Any], name: str) -> bool:
    return _holds(
        connection,
        sql.SQL("EXISTS (SELECT FROM pg_roles WHERE rolsuper AND pg_has_role({}, oid, 'MEMBER'))").format(
            name
        ),
    )


def _make(connection: psycopg.Connection[Any], name: str, *, login: bool) -> None:
    create = sql.SQL("CREATE ROLE {} {}").format(
        sql.Identifier(name), sql.SQL("LOGIN" if login else "NOLOGIN")
    )
    try:
        _give(
            connection,
            asked=sql.SQL("EXISTS (SELECT FROM pg_roles WHERE rolname = {})").format(name),
            statement=create,
        )
    except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        # Somebody who migrates another database of this server has just made it.
        return


def _set_password(connection: psycopg.Connection[Any], name: str, password: str | None) -> None:
    if password is None:
        return
    # As PostgreSQL keeps it: the password itself is in no statement, and so in no log.
    kept = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), kept)
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        raise RoleMissing(
            f"this role may not set the password of {name}: have an administrator set it, and unset "
            "it for `cashback migrate`"
        ) from None


def _let_into_database(connection: psycopg.Connection[Any], name: str, right: sql.SQL) -> None:
    [(database,)] = connection.execute("SELECT current_database()").fetchall()
    _give(
        connection,
        asked=sql.SQL("has_database_privilege({}, {}, {})").format(name, database, right.as_string()),
        statement=sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
            right, sql.Identifier(database), sql.Identifier(name)
        ),
    )


def _show_statistics(connection: psycopg.Connection[Any], name: str) -> None:
    _give(
        connection,
        asked=sql.SQL("pg_has_role({}, {}, 'USAGE')").format(name, STATISTICS),
        statement=sql.SQL("GRANT {} TO {}").format(sql.SQL(STATISTICS), sql.Identifier(name)),
    )


def _give(connection: psycopg.Connection[Any], *, asked: sql.Composed, statement: sql.Composed) -> None:
    """Have `statement` make true what is asked, unless it is. Raises RoleMissing."""
    if _holds(connection, asked):
        return
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute(statement)
    # A right that is not one's to give is a warning of PostgreSQL's, and no error.
    if not _holds(connection, asked):
        raise RoleMissing(
            "a role is missing or lacks what it needs, and this one may not give it: have an administrator "
            f"run {statement.as_string(connection)}, or unset CASHBACK_DATABASE_ROLES"
        )


def _holds(connection: psycopg.Connection[Any], asked: sql.Composed) -> bool:
    return connection.execute(sql.SQL("SELECT {}").format(asked)).fetchall() == [(True,)]
