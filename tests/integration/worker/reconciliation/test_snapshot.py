"""A reconciliation looks at one moment and can write nothing but its own table."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.support.books import ledger_on, new_event, payout
from tests.support.reconciled import found, report_on
from tests.support.roles import as_role
from worker.reconciliation import loading
from worker.reconciliation.reconciling import one_snapshot
from worker.schema.roles import OPERATOR, READER

COUNT = "SELECT count(*) FROM transactions"


def test_nothing_is_off_while_events_are_settled(day: str) -> None:
    def settle() -> None:
        with ledger_on(day) as ledger:
            for number in range(100, 200):
                event = new_event(number)
                ledger.settle(event, payout(number, "ann", "1"))
                if number % 2:
                    ledger.mark_answered([event.event_id])

    with ThreadPoolExecutor(1) as executor, psycopg.connect(day, autocommit=True) as connection:
        settling = executor.submit(settle)
        is_over = False
        while not is_over:
            is_over = settling.done()
            with one_snapshot(connection):
                report = report_on(connection)
            assert (found(report), report.differences) == ({"cancelled_after_credit": [2]}, 0)
        settling.result()

    # What has no answer yet is in flight.
    assert report.pending == 51


def test_what_is_committed_meanwhile_is_not_seen(day: str) -> None:
    with (
        psycopg.connect(day, autocommit=True) as other,
        psycopg.connect(day, autocommit=True) as connection,
        one_snapshot(connection),
    ):
        before = connection.execute(COUNT).fetchone()
        with other.transaction(force_rollback=False):
            other.execute("SET LOCAL session_replication_role = replica")
            other.execute("DELETE FROM transactions WHERE cashback_id = 1")

        assert connection.execute(COUNT).fetchone() == before


def test_nothing_can_be_written_but_what_is_copied_from_a_statement(day: str) -> None:
    with psycopg.connect(as_role(day, OPERATOR), autocommit=True) as connection:
        loading.prepare(connection)
        with one_snapshot(connection):
            connection.execute(
                "INSERT INTO pg_temp.betcore_statement (line_number, cashback_id, transaction_type, status) "
                "VALUES (2, 1, 1, 'confirmed')"
            )
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), connection.transaction():
                connection.execute("SELECT prepare_accounts_import()")


def test_a_statement_is_for_the_operator_alone(day: str) -> None:
    with (
        psycopg.connect(as_role(day, READER), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        loading.prepare(connection)
