"""Each check finds the fault that it is there for, in books that are broken past their guards."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.support.reconciled import ALL, around_now, found, report_on

# What is always there to be told: the payout of cashback 2 was taken back.
NOTED: dict[str, list[object]] = {"cancelled_after_credit": [2]}
NAMES = (
    (
        "paid(bigint)",
        "bigint",
        "transaction_id FROM transactions WHERE (cashback_id, transaction_type) = ($1, 1)",
    ),
    ("first(bigint)", "uuid", "event_id FROM transactions WHERE (cashback_id, transaction_type) = ($1, 1)"),
    ("cancel()", "bigint", "transaction_id FROM transactions WHERE transaction_type = -1"),
    ("house(text, text)", "bigint", "account_id FROM accounts WHERE (kind, currency) = ($1, $2::char(3))"),
    ("ann()", "bigint", "account_id FROM accounts WHERE user_id = 'ann'"),
)


@dataclass(frozen=True)
class Broken:
    """A fault, and whom which checks name for it."""

    name: str
    statement: str
    finds: dict[str, list[object]]

    def __str__(self) -> str:
        return self.name


BROKEN = [
    Broken(
        "an entry of the house is gone",
        "DELETE FROM entries WHERE transaction_id = pg_temp.paid(1) AND account_id IN "
        "(SELECT account_id FROM accounts WHERE kind = 'cashback')",
        {"currency_sums": ["EUR"], "postings": [1]},
    ),
    Broken(
        "a balance is off",
        "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE user_id = 'ann'",
        {"balances": ["ann"]},
    ),
    Broken(
        "a balance without entries",
        "UPDATE accounts SET balance_minor = 7 WHERE user_id = 'bob'",
        {"balances": ["bob"]},
    ),
    Broken(
        "transactions are gone, their entries stayed",
        "DELETE FROM transactions WHERE cashback_id IN (1, 4)",
        {
            "orphan_entries": ["orphans"],
            "answered_without_transaction": [1],
            "receipt_without_transaction": [4],
        },
    ),
    Broken(
        "entries of an account that is gone",
        "UPDATE entries SET account_id = 99999 WHERE transaction_id = pg_temp.paid(1) "
        "AND account_id = pg_temp.ann()",
        {"orphan_entries": ["orphans"], "balances": ["ann"], "postings": [1], "currency_sums": ["EUR"]},
    ),
    Broken(
        "two transactions of one business key",
        "ALTER TABLE transactions DROP CONSTRAINT transactions_cashback_id_transaction_type_key; "
        "UPDATE transactions SET cashback_id = 1 WHERE transaction_id = pg_temp.paid(4); "
        "UPDATE receipts SET cashback_id = 1 WHERE cashback_id = 4",
        {"business_keys": [1]},
    ),
    Broken(
        "a transaction without entries",
        "DELETE FROM entries WHERE transaction_id = pg_temp.paid(1); "
        "UPDATE accounts SET balance_minor = balance_minor - 1000 WHERE user_id = 'ann'",
        {"postings": [1]},
    ),
    Broken(
        "an amount that the entries do not come to",
        "UPDATE transactions SET amount_minor = 1051 WHERE cashback_id = 1",
        {"postings": [1], "credit_unlike_event": [1]},
    ),
    Broken(
        "entries in two currencies",
        "UPDATE entries SET account_id = pg_temp.house('cashback', 'JPY') "
        "WHERE transaction_id = pg_temp.paid(1) AND amount_minor < 0",
        {"postings": [1], "currency_sums": ["EUR", "JPY"]},
    ),
    Broken(
        "a cancel whose payout is gone",
        "DELETE FROM entries WHERE transaction_id = pg_temp.paid(2); "
        "UPDATE accounts SET balance_minor = balance_minor - 1000 WHERE user_id = 'ann'; "
        "DELETE FROM receipts WHERE cashback_id = 2 AND transaction_id <> pg_temp.cancel(); "
        "DELETE FROM transactions WHERE cashback_id = 2 AND kind = 'payout'",
        {"cancels": [2], "cancelled_after_credit": []},
    ),
    Broken(
        "a payout that was reversed twice",
        "DROP INDEX transactions_reverses_key; "
        "UPDATE transactions SET kind = 'cancel', reverses = pg_temp.paid(2) WHERE cashback_id = 1",
        {"cancels": [1, 2], "postings": [1], "cancelled_after_credit": [1, 2]},
    ),
    Broken(
        "a cancel of another amount",
        "UPDATE transactions SET amount_minor = 1049, tax_minor = 49 WHERE kind = 'cancel'",
        {"cancels": [2], "postings": [2], "credit_unlike_event": [2]},
    ),
    Broken(
        "a cancel for another account",
        "UPDATE entries SET account_id = pg_temp.house('opening', 'EUR') "
        "WHERE transaction_id = pg_temp.cancel() AND account_id IN "
        "(SELECT account_id FROM accounts WHERE kind = 'cashback')",
        {"cancels": [2]},
    ),
    Broken(
        "an adjustment that nobody asked for",
        "DELETE FROM adjustments",
        {"adjustments": ["bob"]},
    ),
    Broken(
        "an adjustment of another amount than was asked for",
        "UPDATE adjustments SET amount_minor = 99",
        {"adjustments": ["bob"]},
    ),
    Broken(
        "an adjustment whose transaction is another one",
        "UPDATE transactions SET kind = 'opening' WHERE kind = 'adjustment'; "
        "UPDATE entries SET account_id = pg_temp.house('opening', 'JPY') WHERE account_id = "
        "pg_temp.house('adjustment', 'JPY')",
        {"adjustments": ["bob"]},
    ),
    Broken(
        "an adjustment that went the other way",
        "UPDATE entries SET amount_minor = -amount_minor WHERE transaction_id IN "
        "(SELECT transaction_id FROM adjustments); "
        "UPDATE accounts SET balance_minor = balance_minor - 200 WHERE user_id = 'bob'",
        {"postings": ["bob"]},
    ),
    Broken(
        "a receipt is gone",
        "DELETE FROM receipts WHERE event_id = pg_temp.first(1)",
        {"posting_without_receipt": [1]},
    ),
    Broken(
        "a receipt says that nothing was credited",
        "UPDATE receipts SET code = 103779, transaction_id = NULL WHERE event_id = pg_temp.first(1)",
        {"posting_without_receipt": [1]},
    ),
    Broken(
        "receipts of another event's transaction",
        "UPDATE receipts SET transaction_id = pg_temp.paid(3) "
        "WHERE event_id IN (pg_temp.first(1), pg_temp.first(4))",
        {
            "posting_without_receipt": [1, 4],
            "answered_without_transaction": [1],
            "receipt_without_transaction": [4],
        },
    ),
    Broken(
        "credits that no event asks for",
        "UPDATE receipts SET user_id = 'ann', amount = 10.50, transaction_type = 1 WHERE code = 200 "
        "AND event_id <> (SELECT event_id FROM transactions WHERE transaction_type = -1); "
        "UPDATE receipts SET amount = 10.51 WHERE event_id = pg_temp.first(1); "
        "UPDATE receipts SET user_id = 'bob' WHERE event_id = pg_temp.first(3); "
        "UPDATE receipts SET transaction_type = 2 WHERE event_id = pg_temp.first(4)",
        {"credit_unlike_event": [1, 3, 4]},
    ),
    Broken(
        "no acknowledgement of a credit",
        "UPDATE receipts SET confirmed_by = NULL, unconfirmed = true WHERE event_id = pg_temp.first(5)",
        {"unconfirmed": [5]},
    ),
    Broken(
        "no acknowledgement of a credit, and no mark of it",
        "UPDATE receipts SET confirmed_by = NULL WHERE event_id = pg_temp.first(5)",
        {"unconfirmed": [5]},
    ),
    Broken(
        "decided and never ended",
        "UPDATE receipts SET received_at = now() - interval '5 minutes', "
        "credit_cutoff_at = now() - interval '4 minutes', deadline_at = now() - interval '2 minutes' "
        "WHERE cashback_id = 4",
        {"stuck_settled": [4]},
    ),
    Broken(
        "received and never decided",
        "INSERT INTO receipts "
        "(event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at) VALUES "
        "(gen_random_uuid(), 7, now() - interval '5 minutes', now() - interval '2 minutes', "
        "now() + interval '1 minute', now())",
        {"stuck_received": [7]},
    ),
]


@pytest.fixture
def books(day: str) -> Iterator[psycopg.Connection]:
    """Give the books without any guard, for a test to break; nothing of that stays."""
    with psycopg.connect(day) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        for name, kind, what in NAMES:
            connection.execute(
                f"CREATE FUNCTION pg_temp.{name} RETURNS {kind} LANGUAGE sql AS $$SELECT {what}$$".encode()
            )
        yield connection
        connection.rollback()


def test_nothing_is_off_in_books_that_the_ledger_kept(books: psycopg.Connection) -> None:
    report = report_on(books)

    assert found(report) == NOTED
    assert (report.differences, report.pending) == (0, 1)  # cashback 4 is in flight
    looked_at = {finding.check.name: finding.looked_at for finding in report.findings}
    assert (looked_at["balances"], looked_at["postings"], looked_at["cancels"]) == (2, 8, 1)
    assert (looked_at["posting_without_receipt"], looked_at["unconfirmed"]) == (6, 9)


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_what_is_broken_is_named_by_its_check(books: psycopg.Connection, broken: Broken) -> None:
    orphans = books.execute("SELECT pg_temp.paid(1), pg_temp.paid(4)").fetchone()
    for statement in broken.statement.split("; "):
        books.execute(statement.encode())

    names = found(report_on(books))

    expected = {name: subjects for name, subjects in (NOTED | broken.finds).items() if subjects}
    if "orphan_entries" in expected:
        assert set(names.pop("orphan_entries")) <= set(orphans or ())
        del expected["orphan_entries"]
    assert names == expected


def test_every_check_was_seen_to_find_its_fault() -> None:
    seen = {name for broken in BROKEN for name in broken.finds} | NOTED.keys()

    assert seen == {check.name for check in ALL}


def test_a_receipt_that_was_pruned_is_no_fault(books: psycopg.Connection) -> None:
    books.execute("UPDATE transactions SET created_at = now() - interval '200 days' WHERE cashback_id = 1")
    books.execute("DELETE FROM receipts WHERE cashback_id = 1")

    assert found(report_on(books, period=around_now(days=300))) == NOTED
    assert found(report_on(books, period=around_now(days=300), keep_days=300)) == NOTED | {
        "posting_without_receipt": [1]
    }


def test_balances_are_looked_at_in_all_of_the_books_and_the_rest_within_the_period(
    books: psycopg.Connection,
) -> None:
    books.execute("UPDATE accounts SET balance_minor = balance_minor + 1 WHERE user_id = 'ann'")
    books.execute("DELETE FROM receipts WHERE cashback_id = 1")
    books.execute("UPDATE transactions SET created_at = now() - interval '3 days'")

    assert found(report_on(books)) == {"balances": ["ann"]}
