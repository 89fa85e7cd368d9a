"""What an operator looks at of the audit."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from worker.cli.queries.snapshot import snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One action: `database_user` is whom PostgreSQL let in, `person` what was said beside it."""

    audit_id: int
    happened_at: datetime
    action: str
    subject: str
    database_user: str
    client_address: str | None
    person: str
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Actions, newest first; `next_after` is where the next page begins, None after the last one."""

    records: tuple[AuditRecord, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which actions: by what was done, to what, by whom, since when (UTC), and before which one."""

    action: str | None = None
    subject: str | None = None
    person: str | None = None
    database_user: str | None = None
    since: datetime | None = None
    after: int | None = None


def list_audit(connection: psycopg.Connection[Any], wanted: AuditFilter, *, limit: int) -> AuditPage:
    """Return a page of at most `limit` actions, newest first."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    for column in ("action", "subject", "person", "database_user"):
        value = getattr(wanted, column)
        if value is not None:
            conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), value))
    if wanted.since is not None:
        conditions.append(sql.SQL("happened_at >= {}").format(wanted.since))
    if wanted.after is not None:
        conditions.append(sql.SQL("audit_id < {}").format(wanted.after))
    query = sql.SQL(
        "SELECT audit_id, happened_at, action, subject, database_user::text, host(client_address) AS "
        "client_address, person, reason, before, after FROM audit WHERE {} ORDER BY audit_id DESC LIMIT {}"
    ).format(sql.SQL(" AND ").join(conditions), limit + 1)
    with snapshot(connection), connection.cursor(row_factory=class_row(AuditRecord)) as cursor:
        found = cursor.execute(query).fetchall()
    records = tuple(found[:limit])
    return AuditPage(records=records, next_after=records[-1].audit_id if len(found) > limit else None)
