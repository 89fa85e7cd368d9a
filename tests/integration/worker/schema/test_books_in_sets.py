"""Each of many transactions of one INSERT is looked at; right books may be made in other ways, too."""

# ruff: noqa: S608 - all SQL is of constants of this file

import psycopg
import pytest

from tests.support.books import SOUND, audit
from tests.support.breaking import Forbidden, expect_refused, run
from tests.support.wrong_books import (
    ACCOUNTS_BEGIN,
    ANN,
    BOB,
    ENTRIES_BALANCE,
    EVENT,
    HAVE_ENTRIES,
    INSERT_ACCOUNT,
    INSERT_ENTRIES,
    house,
)

MANY = 50
LATER = "(SELECT max(transaction_id) FROM transactions)"


def many_openings(wrong: str = "") -> tuple[str, ...]:
    """Open with 1 each, in one statement; number 25 has the entries `wrong`, or none."""
    lines = f"({ANN}, 1), ({house('opening')}, -1)"
    entries = (
        "SELECT transaction_id, account_id, amount_minor"
        " FROM numbered, LATERAL (VALUES {}) AS l (account_id, amount_minor)"
    )
    others = f"{entries.format(lines)} WHERE number <> 25"
    number_25 = f" UNION ALL {entries.format(wrong)} WHERE number = 25" if wrong else ""
    statement = (
        f"WITH made AS (INSERT INTO transactions (kind, account_id, amount_minor)"
        f" SELECT 'opening', {ANN}, 1 FROM generate_series(1, {MANY}) RETURNING transaction_id),"
        f" numbered AS (SELECT transaction_id, row_number() OVER () AS number FROM made)"
        f" {INSERT_ENTRIES} {others}{number_25}"
    )
    return (statement,)


def payout_alone(account: str = ANN, *, amount: int = 10, tax: int = 0) -> str:
    return (
        "INSERT INTO transactions"
        " (kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor)"
        f" VALUES ('payout', 9, 1, {EVENT}, {account}, {amount}, {tax})"
    )


def entries_later(*lines: tuple[str, int]) -> str:
    values = ", ".join(f"({LATER}, {account}, {amount_minor})" for account, amount_minor in lines)
    return f"{INSERT_ENTRIES} VALUES {values}"


RIGHT = ((ANN, 10), (house("cashback"), -10))
FORBIDDEN = [
    *(
        Forbidden(f"among many, {name}", many_openings(wrong), (ENTRIES_BALANCE,), says)
        for name, wrong, says in (
            ("one that does not sum to zero", f"({ANN}, 1), ({house('opening')}, -2)", "sum to zero"),
            ("one in two currencies", f"({ANN}, 1), ({house('opening', 'JPY')}, -1)", "in one currency"),
            ("one of an unknown account", "(987654321, 1), (987654321, -1)", "in one currency"),
            ("one of another amount", f"({ANN}, 2), ({house('opening')}, -2)", "are not what it says"),
            ("one to another user", f"({BOB}, 1), ({house('opening')}, -1)", "are not what it says"),
            ("one out of the tax", f"({ANN}, 1), ({house('tax')}, -1)", "are not what it says"),
            ("one to the tax", f"({house('tax')}, 1), ({house('opening')}, -1)", "are not what it says"),
            ("one the wrong way round", f"({ANN}, -1), ({house('opening')}, 1)", "are not what it says"),
        )
    ),
    Forbidden(
        "among many, one without entries",
        many_openings(),
        (HAVE_ENTRIES,),
        "has none",
    ),
    Forbidden(
        "wrong entries in a later statement",
        (payout_alone(), entries_later((ANN, 11), (house("cashback"), -11))),
        (ENTRIES_BALANCE,),
        "are not what it says",
    ),
    Forbidden(
        "right entries twice, one statement after the other",
        (payout_alone(), entries_later(*RIGHT), entries_later(*RIGHT)),
        (ENTRIES_BALANCE,),
        "inserted at once",
    ),
    Forbidden(
        "right entries twice, in one statement",
        (payout_alone(), entries_later(*RIGHT, *RIGHT)),
        (ENTRIES_BALANCE,),
        "are not what it says",
    ),
    Forbidden(
        "payout of which all is tax, to an account that does not exist",
        (payout_alone("987654321", tax=10), entries_later((house("tax"), 10), (house("cashback"), -10))),
        (ENTRIES_BALANCE,),
        "are not what it says",
    ),
    Forbidden(
        "among many accounts, one that begins with money",
        (f"{INSERT_ACCOUNT} ('user', 'x', 'EUR', 'active', 0), ('user', 'y', 'EUR', 'active', 1)",),
        (ACCOUNTS_BEGIN,),
        "at zero",
    ),
    Forbidden(
        "among many accounts, one of an unknown currency",
        (f"{INSERT_ACCOUNT} ('user', 'x', 'EUR', 'active', 0), ('user', 'y', 'XTS', 'active', 0)",),
        (ACCOUNTS_BEGIN,),
        "currencies does not have",
    ),
]


@pytest.mark.parametrize("forbidden", FORBIDDEN, ids=str)
def test_the_schema_refuses(books: psycopg.Connection, forbidden: Forbidden) -> None:
    expect_refused(books, forbidden)


def test_entries_may_follow_their_transaction_in_another_statement(books: psycopg.Connection) -> None:
    run(books, (payout_alone(), entries_later(*RIGHT)))

    assert audit(books) == SOUND


def test_a_payout_of_which_all_is_tax_needs_no_entry_of_the_user(books: psycopg.Connection) -> None:
    run(books, (payout_alone(tax=10), entries_later((house("tax"), 10), (house("cashback"), -10))))

    assert audit(books) == SOUND


def test_many_right_openings_of_one_statement_stand(books: psycopg.Connection) -> None:
    run(books, many_openings(f"({ANN}, 1), ({house('opening')}, -1)"))

    assert audit(books) == SOUND


def test_a_payout_and_its_cancel_may_have_their_entries_in_one_statement(books: psycopg.Connection) -> None:
    cancel = (
        "INSERT INTO transactions"
        " (kind, cashback_id, transaction_type, event_id, account_id, amount_minor, reverses)"
        f" VALUES ('cancel', 9, -1, {EVENT}, {ANN}, 10, {LATER})"
    )
    entries = (
        f"{INSERT_ENTRIES} SELECT transaction_id, account_id,"
        " CASE kind WHEN 'cancel' THEN -amount ELSE amount END"
        f" FROM (VALUES ({ANN}, 10), ({house('cashback')}, -10)) AS l (account_id, amount),"
        " (SELECT transaction_id, kind FROM transactions WHERE cashback_id = 9) AS made"
    )

    run(books, (payout_alone(), cancel, entries))

    assert audit(books) == SOUND
