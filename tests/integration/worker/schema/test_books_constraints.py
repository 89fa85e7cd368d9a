"""Wrong books are refused by the schema itself; without its protections they would stand."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from tests.support.books import SOUND, add_user, audit, cancel, database_of, ledger_on, new_event, payout
from tests.support.breaking import Forbidden, expect_refused, no_constraint, no_trigger, run
from worker.domain.money import EXPONENTS

ENTRIES_BALANCE = no_trigger("entries_balance", "entries")
ENTRIES_APPEND_ONLY = no_trigger("entries_append_only", "entries")
TRANSACTIONS_APPEND_ONLY = no_trigger("transactions_append_only", "transactions")
HAVE_ENTRIES = no_trigger("transactions_have_entries", "transactions")
NEVER_DELETED = no_trigger("accounts_never_deleted", "accounts")
ACCOUNTS_GUARD = no_trigger("accounts_guard", "accounts")

INSERT_ENTRIES = "INSERT INTO entries (transaction_id, account_id, amount_minor)"
EVENT = "'00000000-0000-8000-8000-000000000001'"
ANN = "(SELECT account_id FROM accounts WHERE user_id = 'ann')"
BOB = "(SELECT account_id FROM accounts WHERE user_id = 'bob')"
PAID = "(SELECT transaction_id FROM transactions WHERE cashback_id = 1 AND kind = 'payout')"
REVERSED = "(SELECT transaction_id FROM transactions WHERE cashback_id = 2 AND kind = 'payout')"
CANCELLED = "(SELECT transaction_id FROM transactions WHERE cashback_id = 2 AND kind = 'cancel')"


def house(kind: str, currency: str = "EUR") -> str:
    return f"(SELECT account_id FROM accounts WHERE kind = '{kind}' AND currency = '{currency}')"  # noqa: S608 - constants of this file


def posted(transaction: str, *lines: tuple[str, int]) -> tuple[str, ...]:
    """Make a transaction (its columns and values) with these entries, in one statement."""
    columns, values = transaction.split(" = ", 1)
    made = f"INSERT INTO transactions ({columns}) VALUES ({values}) RETURNING transaction_id"  # noqa: S608 - constants of this file
    lists = ", ".join(f"({account}, {amount_minor})" for account, amount_minor in lines)
    entries = f"SELECT transaction_id, account, amount FROM made, (VALUES {lists}) AS l (account, amount)"  # noqa: S608 - constants of this file
    return (f"WITH made AS ({made}) {INSERT_ENTRIES} {entries}",)


def more_entries(transaction: str) -> tuple[str, ...]:
    """Add balanced entries to a transaction, which must exist."""
    return (f"{INSERT_ENTRIES} VALUES ({transaction}, {ANN}, 5), ({transaction}, {house('cashback')}, -5)",)


def opening(*lines: tuple[str, int]) -> tuple[str, ...]:
    return posted(f"kind, account_id, amount_minor = 'opening', {ANN}, 1", *lines)


def paying(*lines: tuple[str, int], amount: int = 10, tax: int = 0, key: str = "9, 1") -> tuple[str, ...]:
    columns = "kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor"
    return posted(f"{columns} = 'payout', {key}, {EVENT}, {ANN}, {amount}, {tax}", *lines)


def cancelling(
    *lines: tuple[str, int], amount: int = 1000, of: str = PAID, cashback_id: int = 1, account: str = ANN
) -> tuple[str, ...]:
    columns = "kind, cashback_id, transaction_type, event_id, account_id, amount_minor, reverses"
    return posted(f"{columns} = 'cancel', {cashback_id}, -7, {EVENT}, {account}, {amount}, {of}", *lines)


def bare_transaction(columns: str, values: str) -> tuple[str, ...]:
    return (f"INSERT INTO transactions ({columns}) VALUES ({values})",)  # noqa: S608 - constants of this file


EXACT_REVERSE = ((ANN, -1000), (house("cashback"), 1000))

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
            no_constraint("entries_transaction_id_fkey", "entries"),
            no_constraint("receipts_transaction_id_fkey", "receipts"),
        ),
        "DELETE of transactions",
    ),
    Forbidden(
        "transactions truncated",
        ("TRUNCATE transactions CASCADE",),
        (TRANSACTIONS_APPEND_ONLY, ENTRIES_APPEND_ONLY),
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
        "only a cancel may overdraw",
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
        (no_constraint("entries_transaction_id_fkey", "entries"),),
        "entries_transaction_id_fkey",
    ),
]

TRANSACTIONS = [
    Forbidden(
        "transaction without entries",
        bare_transaction("kind, account_id, amount_minor", f"'opening', {ANN}, 5"),
        (HAVE_ENTRIES,),
        "are not what it says",
    ),
    Forbidden(
        "transaction of nothing without entries",
        bare_transaction("kind, account_id, amount_minor", f"'opening', {ANN}, 0"),
        (HAVE_ENTRIES,),
        "are not what it says",
    ),
    *(
        Forbidden(name, statements, (HAVE_ENTRIES,), "are not what it says")
        for name, statements in {
            "payout of more than it says": paying((ANN, 1000), (house("cashback"), -1000)),
            "payout from the user to the house": paying((ANN, -10), (house("cashback"), 10)),
            "payout to another user": paying((BOB, 10), (house("cashback"), -10)),
            "payout shared with another user": paying(
                (ANN, 8), (BOB, 2), (house("cashback"), -10), amount=10, tax=2
            ),
            "payout that withholds more than the tax": paying(
                (ANN, 7), (house("tax"), 3), (house("cashback"), -10), amount=10, tax=2
            ),
            "payout out of the opening account and the cashback account": paying(
                (ANN, 10), (house("cashback"), -12), (house("tax"), 2)
            ),
            "opening of another amount": opening((ANN, 5), (house("opening"), -5)),
            "cancel of a part": cancelling((ANN, -1), (house("cashback"), 1)),
            "cancel that pays again": cancelling((ANN, 1000), (house("cashback"), -1000)),
            "cancel at another user's cost": cancelling((BOB, -1000), (house("cashback"), 1000)),
            "cancel of another amount": cancelling(*EXACT_REVERSE, amount=5),
            "cancel of another cashback": cancelling(*EXACT_REVERSE, cashback_id=77),
            "cancel in another user's name": cancelling(*EXACT_REVERSE, account=BOB),
            "cancel of a cancel": cancelling(
                (ANN, 1000), (house("cashback"), -1000), of=CANCELLED, cashback_id=2
            ),
        }.items()
    ),
    Forbidden(
        "second effect of a business key",
        paying((ANN, 10), (house("cashback"), -10), key="1, 1"),
        (no_constraint("transactions_cashback_id_transaction_type_key", "transactions"),),
        "transactions_cashback_id_transaction_type_key",
    ),
    Forbidden(
        "second cancel of a payout",
        cancelling(*EXACT_REVERSE, of=REVERSED, cashback_id=2),
        ("DROP INDEX transactions_reverses_key",),
        "transactions_reverses_key",
    ),
    Forbidden(
        "cancel of nothing",
        cancelling(*EXACT_REVERSE, of="NULL"),
        (no_constraint("transactions_check3", "transactions"), HAVE_ENTRIES),
        "transactions_check3",
    ),
    Forbidden(
        "tax above the amount",
        paying((ANN, 10), (house("cashback"), -10), tax=11),
        (no_constraint("transactions_check2", "transactions"),),
        "transactions_check2",
    ),
    Forbidden(
        "payout without its event",
        posted(
            f"kind, cashback_id, transaction_type, account_id, amount_minor = 'payout', 9, 1, {ANN}, 10",
            (ANN, 10),
            (house("cashback"), -10),
        ),
        (no_constraint("transactions_check1", "transactions"),),
        "transactions_check1",
    ),
    Forbidden(
        "payout of less than nothing",
        paying((ANN, -10), (house("cashback"), 10), amount=-10),
        (
            no_constraint("transactions_check", "transactions"),
            no_constraint("transactions_check2", "transactions"),
        ),
        'transactions_check"',
    ),
    Forbidden(
        "tax below zero",
        paying((ANN, 10), (house("cashback"), -10), tax=-1),
        (no_constraint("transactions_tax_minor_check", "transactions"),),
        "transactions_tax_minor_check",
    ),
]

INSERT_ACCOUNT = "INSERT INTO accounts (kind, user_id, currency, status, balance_minor) VALUES "
ACCOUNTS = [
    Forbidden(
        "balance changed by hand",
        ("UPDATE accounts SET balance_minor = balance_minor + 1 WHERE user_id = 'ann'",),
        (ACCOUNTS_GUARD,),
        "by entries only",
    ),
    *(
        Forbidden(
            name,
            (f"UPDATE accounts SET {change} WHERE user_id = 'idle'",),  # noqa: S608 - constants of this file
            (ACCOUNTS_GUARD,),
            "never change",
        )
        for name, change in {
            "currency changed": "currency = 'JPY'",
            "user changed": "user_id = 'someone'",
            "id changed": "account_id = DEFAULT",
        }.items()
    ),
    *(
        Forbidden(name, (INSERT_ACCOUNT + values,), protections, says)
        for name, values, protections, says in (
            (
                "account that begins with money",
                "('user', 'x', 'EUR', 'active', 5)",
                (ACCOUNTS_GUARD,),
                "at zero",
            ),
            (
                "second account of a user",
                "('user', 'ann', 'EUR', 'active', 0)",
                (no_constraint("accounts_user_id_key", "accounts"),),
                "accounts_user_id_key",
            ),
            (
                "second house account",
                "('tax', NULL, 'EUR', 'active', NULL)",
                ("DROP INDEX accounts_house",),
                "accounts_house",
            ),
            (
                "user without a kept balance",
                "('user', 'x', 'EUR', 'active', NULL)",
                (no_constraint("accounts_check1", "accounts"),),
                "accounts_check1",
            ),
            (
                "account of an unknown currency",
                "('user', 'x', 'XTS', 'active', 0)",
                (no_constraint("accounts_currency_fkey", "accounts"),),
                "accounts_currency_fkey",
            ),
            (
                "account of an unknown status",
                "('user', 'x', 'EUR', 'asleep', 0)",
                (no_constraint("accounts_status_check", "accounts"),),
                "accounts_status_check",
            ),
            (
                "nameless user",
                "('user', '', 'EUR', 'active', 0)",
                (no_constraint("accounts_user_id_check", "accounts"),),
                "accounts_user_id_check",
            ),
        )
    ),
]


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer, migrated_template: str) -> Iterator[psycopg.Connection]:
    """Books with a payout (1), a reversed payout (2), and a user without any transaction."""
    with (
        database_of(postgres_server, migrated_template) as database_url,
        psycopg.connect(database_url, autocommit=True) as connection,
        ledger_on(database_url) as ledger,
    ):
        add_user(connection, "ann", balance_minor=500)
        add_user(connection, "bob", balance_minor=500)
        add_user(connection, "idle")
        ledger.settle(new_event(1), payout(1, "ann", "10"))
        ledger.settle(new_event(2), payout(2, "ann", "10"))
        ledger.settle(new_event(2), cancel(2, "ann", "10"))
        assert audit(connection) == SOUND
        yield connection


@pytest.fixture
def books(filled: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Give each test the same books: whatever it does is rolled back, its changes of the schema as well."""
    with filled.transaction(force_rollback=True):
        yield filled


@pytest.mark.parametrize("forbidden", [*APPEND_ONLY, *ENTRIES, *TRANSACTIONS, *ACCOUNTS], ids=str)
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
        "SELECT count(*) FROM currencies CROSS JOIN unnest(ARRAY['cashback', 'tax', 'opening']) AS kind "
        "WHERE NOT EXISTS (SELECT FROM accounts WHERE accounts.kind = kind.kind "
        "AND accounts.currency = currencies.currency)"
    ).fetchone()

    assert row == (0,)
