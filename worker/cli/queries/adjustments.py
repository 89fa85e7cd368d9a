"""What an operator looks at of adjustments."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from worker.cli.queries.snapshot import snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One adjustment: who asked for it, why, and who decided; the amount in minor units."""

    key: str
    user_id: str
    state: str
    amount_minor: int
    currency: str
    exponent: int
    transaction_id: int | None
    reason: str
    asked_at: datetime
    asked_by: str
    asked_person: str
    decided_at: datetime | None
    decided_by: str | None
    decided_person: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one person may post alone, in major units, and who is a second one: docs/operating/accounts.md."""

    adjust_limit: Decimal
    adjust_daily_limit: Decimal
    approver: str
    may_overdraw: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustmentPage:
    """Adjustments, newest first; `more` says that there are others."""

    adjustments: tuple[Adjustment, ...]
    more: bool
    rules: Rules


def read_adjustments(
    connection: psycopg.Connection[Any], *, only_open: bool, user_id: str | None, limit: int
) -> AdjustmentPage:
    """Return at most `limit` adjustments, newest first, and the rules that stand."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    if only_open:
        conditions.append(sql.SQL("state = 'open'"))
    if user_id is not None:
        conditions.append(sql.SQL("user_id = {}").format(user_id))
    query = sql.SQL(
        "SELECT adjustment_key AS key, user_id, state, amount_minor, accounts.currency, exponent, "
        "transaction_id, reason, asked_at, asked_by::text, asked_person, decided_at, decided_by::text, "
        "decided_person FROM adjustments JOIN accounts USING (account_id) JOIN currencies USING (currency) "
        "WHERE {} ORDER BY asked_at DESC, adjustment_key LIMIT {}"
    ).format(sql.SQL(" AND ").join(conditions), limit + 1)
    with (
        snapshot(connection),
        connection.cursor(row_factory=class_row(Adjustment)) as adjustments,
        connection.cursor(row_factory=class_row(Rules)) as rules,
    ):
        found = adjustments.execute(query).fetchall()
        [stands] = rules.execute(
            "SELECT adjust_limit, adjust_daily_limit, approver, may_overdraw FROM correction_rules"
        ).fetchall()
    return AdjustmentPage(adjustments=tuple(found[:limit]), more=len(found) > limit, rules=stands)
