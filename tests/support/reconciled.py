"""Small books with something of each kind in them, and what a reconciliation finds in them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg

from tests.support.books import add_user, cancel, ledger_on, new_event, payout
from worker.domain.settlement import State
from worker.reconciliation.check import Check
from worker.reconciliation.checks import checks_with
from worker.reconciliation.period import Period
from worker.reconciliation.reconciling import Report, Run, reconcile

ALL = checks_with(statement=False)


def settle_a_day(database_url: str) -> None:
    """Pay 1 to 5, take 2 back; 3 comes twice, 4 waits for its accept, 5 is confirmed late, 6 is refused.

    Bob's balance is adjusted once.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann", balance_minor=500)
        add_user(connection, "bob", "JPY")
        connection.execute("SELECT adjust_account('ticket-7', 'bob', 100, 'anna', 'paid too little')")
    with ledger_on(database_url, withhold_tax=True) as ledger:
        paid = [new_event(number) for number in (1, 2, 3, 4, 5)]
        for event in paid:
            ledger.settle(event, payout(event.cashback_id, "ann", "10.50", tax="0.50"))
        back = new_event(2)
        ledger.settle(back, cancel(2, "ann", "10.50"))
        again, late = new_event(3), new_event(5)
        ledger.settle(again, payout(3, "ann", "10.50"))
        ledger.settle(late, payout(5, "ann", "10.50"))
        unknown = new_event(6)
        ledger.settle(unknown, payout(6, "nobody", "1"))
        ledger.close(paid[4].event_id, State.EXPIRED, error="no answer")
        ledger.mark_answered([event.event_id for event in (*paid[:3], back, again, late, unknown)])


def around_now(*, days: float = 1.0) -> Period:
    """Return a period that has all that a test has just made."""
    now = datetime.now(UTC)
    return Period(since=now - timedelta(days=days), until=now + timedelta(hours=1))


def report_on(
    connection: psycopg.Connection,
    *,
    period: Period | None = None,
    checks: Sequence[Check] = ALL,
    keep_days: float = 180.0,
    has_types: bool = True,
) -> Report:
    """Run the checks in the transaction that the connection is in."""
    return reconcile(
        connection,
        Run(
            period=period or around_now(),
            checks=checks,
            keep_receipts=timedelta(days=keep_days),
            shown=100,
            sink=lambda _check, _difference: None,
            started=lambda _check: None,
            has_types=has_types,
        ),
    )


def found(report: Report) -> dict[str, list[object]]:
    """Return whom each check names that names any: by cashback, user or currency, in order."""
    return {
        finding.check.name: sorted(
            (
                each.cashback_id or each.user_id or each.currency or each.transaction_id
                for each in finding.shown
            ),
            key=str,
        )
        for finding in report.findings
        if finding.differences
    }
