"""What each role may do with the schema's tables and functions, given and held to. Decision 39."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
import structlog
from psycopg import sql

from worker.schema.roles import (
    CALLS,
    READS,
    ROLES,
    STATISTICS,
    RoleNames,
    RoleTooMighty,
    schema_of,
)

# Deferred to the commit, where PostgreSQL before 18 has it act as whoever commits.
_DEFERRED: Final = ("require_entries",)
ENTRY_POINTS: Final = frozenset(name for calls in CALLS.values() for name in calls) | frozenset(_DEFERRED)
"""The functions that act as the owner, whoever calls them."""

# They show what the server does, and no rows.
_HARMLESS: Final = (STATISTICS, "pg_monitor", "pg_read_all_settings", "pg_stat_scan_tables")

# Tables by name, with their partitions, and the sequences that are theirs.
_OURS: Final[LiteralString] = """
    home AS (
        SELECT oid FROM pg_namespace WHERE nspname = current_schema()
    ), named AS (
        SELECT pg_class.oid, relname FROM pg_class JOIN home ON relnamespace = home.oid
        WHERE relname = ANY (%(tables)s)
    ), tables AS (
        SELECT oid, relname FROM named
        UNION
        SELECT pg_class.oid, pg_class.relname FROM named JOIN pg_inherits ON inhparent = named.oid
            JOIN pg_class ON pg_class.oid = inhrelid
    ), sequences AS (
        SELECT pg_class.oid, pg_class.relname FROM tables
            JOIN pg_depend ON refobjid = tables.oid AND refclassid = 'pg_class'::regclass
                AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
            JOIN pg_class ON pg_class.oid = objid AND relkind = 'S'
    ), functions AS (
        SELECT oid, proname, oid::regprocedure::text AS signature FROM pg_proc
        WHERE oid = ANY (%(signatures)s::regprocedure[])
    ), roles AS (
        SELECT oid, rolname, role FROM unnest(%(names)s::text[], %(roles)s::text[]) AS given (rolname, role)
            JOIN pg_roles USING (rolname)
    )
"""
_GRANTED: Final[LiteralString] = f"""
    WITH {_OURS}
    SELECT role, thing, is_grantable, kind, name, privilege_type, attname
    FROM (
        SELECT oid::regclass::text AS thing, 'TABLE' AS kind, relname AS name, '' AS attname, relacl AS acls
        FROM tables JOIN pg_class USING (oid, relname)
        UNION ALL
        SELECT attrelid::regclass::text, 'TABLE', relname, attname, attacl
        FROM tables JOIN pg_attribute ON attrelid = tables.oid
        UNION ALL
        SELECT oid::regclass::text, 'SEQUENCE', relname, '', relacl
        FROM sequences JOIN pg_class USING (oid, relname)
        UNION ALL
        SELECT signature, 'FUNCTION', proname, '', proacl FROM functions JOIN pg_proc USING (oid, proname)
    ) AS given CROSS JOIN LATERAL aclexplode(acls) AS acl JOIN roles ON roles.oid = grantee
"""  # noqa: S608 - texts of ours
# Each role with all that it can become by SET ROLE: a superuser anything.
_TOO_MUCH: Final[LiteralString] = f"""
    WITH {_OURS}, powers AS (
        SELECT roles.rolname AS name, role, pg_roles.oid, pg_roles.rolname AS other,
            rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS is_mighty
        FROM roles JOIN pg_roles ON pg_has_role(roles.oid, pg_roles.oid, 'MEMBER')
    ), this AS (
        SELECT oid FROM pg_database WHERE datname = current_database()
    ), owned AS (
        SELECT name, classid, objid, dbid FROM powers JOIN pg_shdepend
            ON refclassid = 'pg_authid'::regclass AND refobjid = powers.oid AND deptype = 'o'
    ), found AS (
        SELECT name, 1 AS place, CASE WHEN other = name THEN 'is' ELSE 'can become ' || other || ', which is'
            END || ' a superuser, makes roles or databases, replicates, or passes row security by' AS why
        FROM powers WHERE is_mighty
        UNION ALL
        SELECT name, 2, 'is a member of the owner ' || other FROM powers WHERE other = current_user
        UNION ALL
        SELECT name, 3, 'is a member of ' || other FROM powers
        WHERE starts_with(other, 'pg_') AND other <> ALL (%(harmless)s)
        UNION ALL
        SELECT name, 4, 'is set to run without triggers (session_replication_role)'
        FROM powers JOIN pg_db_role_setting ON setrole IN (0, powers.oid), this, unnest(setconfig) AS setting
        WHERE setdatabase IN (0, this.oid) AND starts_with(setting, 'session_replication_role=')
        UNION ALL
        SELECT name, 5, 'owns ' || pg_describe_object(classid, objid, 0) FROM owned, this, home
        WHERE CASE
            WHEN dbid <> this.oid THEN classid = 'pg_database'::regclass AND objid = this.oid
            WHEN classid = 'pg_namespace'::regclass THEN objid = home.oid
            ELSE (pg_identify_object(classid, objid, 0)).schema = current_schema()
            END
        UNION ALL
        SELECT name, 6, 'may make things in the schema ' || current_schema() FROM powers, home
        WHERE has_schema_privilege(powers.oid, home.oid, 'CREATE')
        UNION ALL
        SELECT name, 7, 'may write to the table ' || relname FROM powers, tables
        WHERE has_table_privilege(powers.oid, tables.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
            OR has_any_column_privilege(powers.oid, tables.oid, 'INSERT, UPDATE')
        UNION ALL
        SELECT name, 8, 'may take numbers from ' || relname FROM powers, sequences
        WHERE has_sequence_privilege(powers.oid, sequences.oid, 'USAGE, UPDATE')
        UNION ALL
        SELECT name, 9, 'may read the table ' || relname FROM powers, tables
        WHERE role || ' ' || relname <> ALL (%(reads)s)
            AND has_any_column_privilege(powers.oid, tables.oid, 'SELECT')
        UNION ALL
        SELECT name, 10, 'may call ' || signature FROM powers, functions
        WHERE role || ' ' || proname <> ALL (%(calls)s)
            AND has_function_privilege(powers.oid, functions.oid, 'EXECUTE')
    )
    SELECT DISTINCT ON (name) name, why FROM found ORDER BY name, place, why
"""  # noqa: S608 - texts of ours
# From version 15 on a right of its own.
_MAY_SET: Final[LiteralString] = """
    SELECT rolname, 'may switch triggers off (session_replication_role)' FROM pg_roles
    WHERE rolname = ANY (%(names)s) AND has_parameter_privilege(oid, 'session_replication_role', 'SET')
"""
_PARAMETERS_SINCE: Final = 150_000

_log = structlog.get_logger(__name__)


def pin(connection: psycopg.Connection[Any], signatures: Iterable[str]) -> None:
    """Have the entry points act as the owner, in the schema that they were made in; nobody else may call any.

    PostgreSQL lets everybody call a new function.
    """
    schema = sql.Identifier(schema_of(connection))
    for signature in signatures:
        name = sql.SQL(signature)
        connection.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(name))
        if _name(signature) in ENTRY_POINTS:
            connection.execute(
                sql.SQL("ALTER FUNCTION {} SECURITY DEFINER SET search_path = {}, pg_temp").format(
                    name, schema
                )
            )


def grant(
    connection: psycopg.Connection[Any], names: RoleNames, *, tables: Sequence[str], signatures: Sequence[str]
) -> None:
    """Give each role what it needs of these tables and functions, and nothing else. Raises RoleTooMighty.

    Other rights to them that it was given are taken away; what it can do in another way is refused.
    """
    asked = _parameters(names, tables, signatures)
    standing = _take_away(connection, names, asked)
    signature_of = {_name(signature): sql.SQL(signature) for signature in signatures}
    for role in ROLES:
        for right in sorted(_wanted(role) - standing[role]):
            is_function = right.kind == "FUNCTION"
            connection.execute(
                sql.SQL("GRANT {} ON {} {} TO {}").format(
                    sql.SQL(right.privilege),
                    sql.SQL(right.kind),
                    signature_of[right.name] if is_function else sql.Identifier(right.name),
                    sql.Identifier(names.name(role)),
                )
            )
    found = connection.execute(_TOO_MUCH, asked).fetchall()
    if not found and connection.info.server_version >= _PARAMETERS_SINCE:
        found = connection.execute(_MAY_SET, asked).fetchall()
    if faults := [f"{name} {why}" for name, why in found]:
        raise RoleTooMighty(
            f"a role may do more than what it is there for: {'; '.join(faults)}: take that from it, or have "
            "CASHBACK_DATABASE_ROLES name other roles"
        )


class _Right(NamedTuple):
    kind: LiteralString
    name: str
    privilege: LiteralString
    column: str = ""


def _wanted(role: str) -> frozenset[_Right]:
    return frozenset(
        [
            *(_Right("TABLE", table, "SELECT") for table in READS[role]),
            *(_Right("FUNCTION", function, "EXECUTE") for function in CALLS[role]),
        ]
    )


def _take_away(
    connection: psycopg.Connection[Any], names: RoleNames, asked: Mapping[str, object]
) -> dict[str, set[_Right]]:
    """Return the rights of each role that may stand, when all others that it was given are gone."""
    standing: dict[str, set[_Right]] = {role: set() for role in ROLES}
    for role, thing, is_grantable, *right in connection.execute(_GRANTED, asked).fetchall():
        if not is_grantable and _Right(*right) in _wanted(role):
            standing[role].add(_Right(*right))
            continue
        given = _Right(*right)
        _log.warning("role_right_taken", role=names.name(role), right=given.privilege, of=thing)
        columns = sql.SQL("({})").format(sql.Identifier(given.column)) if given.column else sql.SQL("")
        connection.execute(
            sql.SQL("REVOKE {} {} ON {} {} FROM {} CASCADE").format(
                sql.SQL(given.privilege),
                columns,
                sql.SQL(given.kind),
                sql.SQL(thing),
                sql.Identifier(names.name(role)),
            )
        )
    return standing


def _parameters(names: RoleNames, tables: Sequence[str], signatures: Sequence[str]) -> dict[str, object]:
    rights = [(role, right) for role in ROLES for right in _wanted(role)]
    return {
        "tables": list(tables),
        "signatures": list(signatures),
        "names": [names.name(role) for role in ROLES],
        "roles": list(ROLES),
        "harmless": list(_HARMLESS),
        "reads": [f"{role} {right.name}" for role, right in rights if right.privilege == "SELECT"],
        "calls": [f"{role} {right.name}" for role, right in rights if right.privilege == "EXECUTE"],
    }


def _name(signature: str) -> str:
    return signature.partition("(")[0]
