"""PostgreSQL: reachable, durable, with roles that may do what is theirs and no more."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg

from producer.shared.postgres.session import SHARED_SESSIONS, keeps_session_state
from producer.shared.preconditions.postgres import (
    OPERATES,
    RECORDS,
    SETTLES,
    check_postgres,
)
from worker.doctor.finding import Finding, advice, fault, good, of_verdict, unchecked
from worker.doctor.settings import SnapshotSettings, given
from worker.recovery.snapshots import OLDEST, WHY_NOT_OLD
from worker.recovery.standbys import HOW_TO_SEE, STANDBYS, WHAT_TO_DO
from worker.settings import CommandSettings

_PART: Final = "postgresql"
_APPLICATION: Final = "cashback-doctor"
_NOT_ANSWERING: Final = frozenset(
    {"postgresql_unreachable", "postgresql_refused", "postgresql_takes_no_writes"}
)
# What the session of this look has set itself is not what others have.
_DURABILITY: Final[LiteralString] = """
    SELECT current_setting('fsync'), current_setting('full_page_writes'),
        current_setting('synchronous_commit'), current_setting('server_version'), current_user::text
"""
_CALLED: Final[LiteralString] = """
    SELECT name FROM unnest(%s::text[]) AS name
    WHERE coalesce(has_function_privilege(to_regproc(name), 'EXECUTE'), false)
"""
# Superusers may do all, and members of the owner's role are the owner.
_WRITERS: Final[LiteralString] = """
    SELECT rolname::text FROM pg_roles, pg_class
    WHERE pg_class.oid = to_regclass('entries') AND NOT rolsuper
        AND NOT pg_has_role(pg_roles.oid, relowner, 'MEMBER') AND rolname NOT LIKE 'pg\\_%'
        AND (has_table_privilege(pg_roles.oid, 'entries', 'INSERT, UPDATE, DELETE, TRUNCATE')
            OR has_table_privilege(pg_roles.oid, 'accounts', 'INSERT, UPDATE, DELETE, TRUNCATE'))
    ORDER BY rolname LIMIT 20
"""
_CALLERS: Final[LiteralString] = """
    SELECT string_agg(rolname::text, ', ' ORDER BY rolname) FROM pg_roles, pg_class
    WHERE pg_class.oid = to_regclass('receipts') AND rolcanlogin AND NOT rolsuper
        AND NOT pg_has_role(pg_roles.oid, relowner, 'MEMBER')
        AND coalesce(has_function_privilege(pg_roles.oid, to_regproc('settle_event'), 'EXECUTE'), false)
"""
_SEES_OTHERS: Final[LiteralString] = "SELECT pg_has_role('pg_read_all_stats', 'USAGE')"
_RELOAD: Final = 'psql -c "SELECT pg_reload_conf()"'


@contextmanager
def database(timeout_seconds: float) -> Iterator[psycopg.Connection[Any]]:
    """Connect for the length of the block; nothing can be written. Raises NotGiven, psycopg.Error."""
    url = given(CommandSettings, "DATABASE_URL").database_url
    with psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=max(2, int(timeout_seconds)),
        client_encoding="UTF8",
        application_name=_APPLICATION,
    ) as connection:
        connection.execute(f"SET statement_timeout = {int(timeout_seconds * 1000)}".encode())
        connection.execute("SET default_transaction_read_only = on")
        yield connection


def check_server(timeout_seconds: float) -> list[Finding]:
    """Ask what a process asks at its start, and how durable what it commits is."""
    url = given(CommandSettings, "DATABASE_URL").database_url
    verdicts = check_postgres(url, _calls_of(timeout_seconds))
    findings = [of_verdict(_PART, verdict) for verdict in verdicts]
    if any(finding.name in _NOT_ANSWERING for finding in findings):
        return findings
    if not keeps_session_state(url):
        what, _, what_to_do = SHARED_SESSIONS.rpartition(": ")
        findings.append(fault(_PART, "postgresql_pooler", what, what_to_do))
    with database(timeout_seconds) as connection:
        [(fsync, pages, commit, version, user)] = connection.execute(_DURABILITY).fetchall()
        findings.append(
            good(_PART, "postgresql_version", f"PostgreSQL {version} answers; the role is {user}")
        )
        durable = {"fsync": fsync, "full_page_writes": pages, "synchronous_commit": commit}
        findings += [*_durability(durable), *_standbys(connection), *_roles(connection)]
        findings += _snapshots(connection)
    return findings


def _calls_of(timeout_seconds: float) -> str:
    """Return the function that tells what this role is there for: it is asked as the process would ask."""
    try:
        with database(timeout_seconds) as connection:
            found = connection.execute(_CALLED, ([SETTLES, RECORDS, OPERATES],)).fetchall()
    except psycopg.Error:
        # What is wrong with the server says the question that comes next.
        return OPERATES
    return next((name for (name,) in found), OPERATES)


def _durability(settings: Mapping[str, str]) -> Iterator[Finding]:
    name = "postgresql_durability"
    off = [setting for setting in ("fsync", "full_page_writes") if settings[setting] == "off"]
    for setting in off:
        yield fault(
            _PART,
            name,
            f"{setting} is off: after a crash of the machine the books may be gone or wrong",
            f'psql -c "ALTER SYSTEM SET {setting} = on", then {_RELOAD}',
        )
    if settings["synchronous_commit"] == "off":
        yield advice(
            _PART,
            name,
            "synchronous_commit is off for this role: each process sets it to on for itself, others do not",
            f'psql -c "ALTER SYSTEM SET synchronous_commit = on", then {_RELOAD}',
        )
    elif not off:
        commit = settings["synchronous_commit"]
        yield good(_PART, name, f"fsync and full_page_writes are on, synchronous_commit is {commit}")


def _standbys(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    name = "postgresql_standbys"
    [(commits_wait, standbys, asynchronous, unknown)] = connection.execute(STANDBYS).fetchall()
    if unknown:
        yield unchecked(_PART, name, f"this role may not see {unknown} of the standbys", HOW_TO_SEE)
    elif standbys and not commits_wait:
        yield advice(_PART, name, f"no commit waits for any of the {standbys} standbys", WHAT_TO_DO)
    elif commits_wait and standbys == asynchronous:
        yield fault(
            _PART,
            name,
            "synchronous_standby_names names standbys, and none of them is there: commits wait for ever",
            "bring a standby back, or ALTER SYSTEM SET synchronous_standby_names = '' and reload",
        )
    else:
        waits = "a commit waits for one of them" if commits_wait else "there is none to lose a commit by"
        yield good(_PART, name, f"standbys: {standbys}; {waits}")


def _snapshots(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    name = "postgresql_snapshots"
    [(sees_others,)] = connection.execute(_SEES_OTHERS).fetchall()
    if not sees_others:
        yield unchecked(_PART, name, "this role may not see the snapshots of others", HOW_TO_SEE)
        return
    limit = given(SnapshotSettings).snapshot_warning_seconds
    for pid, holder, seconds in connection.execute(OLDEST).fetchall():
        if seconds > limit:
            what = f"{holder or 'a session'} (process {pid}) has held a snapshot for {seconds:,.0f} s"
            mend = f"SELECT pg_terminate_backend({pid})" if pid else f"ROLLBACK PREPARED '{holder}'"
            yield advice(_PART, name, f"{what}. {WHY_NOT_OLD}", f'psql -c "{mend}"')
            return
    yield good(_PART, name, f"no snapshot is older than {limit:,.0f} s")


def _roles(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    name = "postgresql_roles"
    writers = [role for (role,) in connection.execute(_WRITERS).fetchall()]
    if writers:
        yield fault(
            _PART,
            name,
            f"roles beside the owner may write to the books past every function: {', '.join(writers)}",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {', '.join(writers)}; then `cashback migrate`",
        )
    [(settle,)] = connection.execute(_CALLERS).fetchall()
    if not writers and settle:
        yield good(_PART, name, f"beside the owner may settle events, and write nothing else: {settle}")
