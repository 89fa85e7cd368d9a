"""Wrong books are refused by the schema itself; without its protections they would stand."""

import psycopg
import pytest

from tests.support.books import SOUND, audit
from tests.support.breaking import Forbidden, expect_refused, no_constraint, no_trigger, run
from tests.support.wrong_books import (
    ADJUSTMENTS_NEVER_DELETED,
    ANN,
    ENTRIES_APPEND_ONLY,
    ENTRIES_BALANCE,
    HAVE_ENTRIES,
    NEVER_DELETED,
    PAID,
    TRANSACTIONS_APPEND_ONLY,
    house,
    more_entries,
    opening,
    paying,
)
from worker.domain.money import EXPONENTS

APPEND_ONLY = [
    Forbidden(
        "entry changed", ("UPDATE entries SET amount_minor = 1",), (ENTRIES_APPEND_ONLY,), "UPDATE of entries"
    ),
    Forbidden("entry deleted", ("DELETE FROM entries",), (ENTRIES_APPEND_ONLY,), "DELETE of entries"),
    Forbidden("entries truncated", ("TRUNCATE entries",), (ENTRIES_APPEND_ONLY,), "TRUNCATE of entries"),
    Forbidden(
        "transaction changed",
        ("UPDATE transactions SET tax_minor = 1 WHERE kind = 'payout'",),
        (TRANSACTIONS_APPEND_ONLY,),
        "UPDATE of transactions",
    ),
    Forbidden(
        "transaction deleted",
        ("DELETE FROM transactions WHERE kind = 'cancel'",),
        (
            TRANSACTIONS_APPEND_ONLY,
            no_constraint("receipts_transaction_id_fkey", "receipts"),
        ),
        "DELETE of transactions",
    ),
    Forbidden(
        "transactions truncated",
        ("TRUNCATE transactions CASCADE",),
        (TRANSACTIONS_APPEND_ONLY, ENTRIES_APPEND_ONLY, ADJUSTMENTS_NEVER_DELETED),
        "TRUNCATE of",
    ),
    Forbidden(
        "account deleted",
        ("DELETE FROM accounts WHERE user_id = 'idle'",),
        (NEVER_DELETED,),
        "DELETE of accounts",
    ),
    Forbidden(
        "accounts truncated",
        ("TRUNCATE accounts CASCADE",),
        (NEVER_DELETED, TRANSACTIONS_APPEND_ONLY, ENTRIES_APPEND_ONLY),
        "TRUNCATE of",
    ),
    Forbidden(
        "exponent changed",
        ("UPDATE currencies SET exponent = 3 WHERE currency = 'EUR'",),
        (no_trigger("currencies_never_change", "currencies"),),
        "UPDATE of currencies",
    ),
]


ENTRIES = [
    Forbidden("one-sided entry", opening((ANN, 1)), (ENTRIES_BALANCE, HAVE_ENTRIES), "sum to zero"),
    Forbidden(
        "entries that do not sum to zero",
        opening((ANN, 1), (house("opening"), -1), (house("tax"), 1)),
        (ENTRIES_BALANCE,),
        "sum to zero",
    ),
    Forbidden(
        "two currencies",
        opening((ANN, 1), (house("opening", "JPY"), -1)),
        (ENTRIES_BALANCE,),
        "in one currency",
    ),
    Forbidden(
        "unknown account",
        opening((ANN, 1), (house("opening"), -1), (house("tax"), -5), ("987654321", 5)),
        (ENTRIES_BALANCE,),
        "in one currency",
    ),
    Forbidden(
        "more entries for a transaction that has its own",
        more_entries(PAID),
        (ENTRIES_BALANCE,),
        "inserted at once",
    ),
    Forbidden(
        "overdraft by a payout",
        paying((ANN, -100_000), (house("cashback"), 100_000), amount=100_000),
        (ENTRIES_BALANCE, HAVE_ENTRIES),
        "may overdraw",
    ),
    Forbidden(
        "entry of nothing",
        paying((ANN, 10), (house("cashback"), -10), (house("tax"), 0)),
        (no_constraint("entries_amount_minor_check", "entries"),),
        "entries_amount_minor_check",
    ),
    Forbidden(
        "entries of no transaction",
        more_entries("987654321"),
        (ENTRIES_BALANCE,),
        "does not exist",
    ),
]


@pytest.mark.parametrize("forbidden", [*APPEND_ONLY, *ENTRIES], ids=str)
def test_the_schema_refuses(books: psycopg.Connection, forbidden: Forbidden) -> None:
    expect_refused(books, forbidden)


def test_the_refused_leaves_no_trace(books: psycopg.Connection) -> None:
    count = "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM transactions)"
    before = books.execute(count).fetchone()

    for statements in (opening((ANN, 1)), paying((ANN, 99), (house("cashback"), -99))):
        with pytest.raises(psycopg.IntegrityError):
            run(books, statements)

    assert books.execute(count).fetchone() == before
    assert audit(books) == SOUND


def test_currencies_are_those_of_the_program(books: psycopg.Connection) -> None:
    rows = books.execute("SELECT currency, exponent FROM currencies").fetchall()

    assert dict(rows) == EXPONENTS


def test_every_currency_has_its_house_accounts(books: psycopg.Connection) -> None:
    row = books.execute(
        "SELECT count(*) FROM currencies "
        "CROSS JOIN unnest(ARRAY['cashback', 'tax', 'opening', 'adjustment']) AS kind "
        "WHERE NOT EXISTS (SELECT FROM accounts WHERE accounts.kind = kind.kind "
        "AND accounts.currency = currencies.currency)"
    ).fetchone()

    assert row == (0,)
