"""Import of accounts into the real ledger: all or nothing, repeatable, and the books balance."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.support.books import IMPORT_NOTE, SOUND, audit, balances, cancel, ledger_on, new_event, payout
from worker.accounts.csv_file import MAX_FAULTS, BadAccountsFile
from worker.accounts.importing import ImportCounts, ImportInDoubt, import_accounts

HEADER = "user_id,currency,status,balance\n"


@pytest.fixture
def books(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def run_import(connection: psycopg.Connection[Any], *rows: str) -> ImportCounts:
    content = HEADER + "".join(f"{row}\n" for row in rows)
    return import_accounts(connection, io.BytesIO(content.encode()), note=IMPORT_NOTE)


def counts(opened: int, updated: int, unchanged: int) -> ImportCounts:
    return ImportCounts(opened=opened, updated=updated, unchanged=unchanged)


def status_of(connection: psycopg.Connection[Any], user_id: str) -> str:
    row = connection.execute("SELECT status FROM accounts WHERE user_id = %s", (user_id,)).fetchone()
    assert row is not None
    return str(row[0])


def rows_in(connection: psycopg.Connection[Any]) -> tuple[int, int, int]:
    """Count the users' accounts, the transactions and the entries."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM accounts WHERE kind = 'user'), "
        "(SELECT count(*) FROM transactions), (SELECT count(*) FROM entries)"
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def test_new_accounts_are_opened_with_balanced_opening_entries(books: psycopg.Connection[Any]) -> None:
    done = run_import(
        books, "1,EUR,active,10.50", "2,JPY,blocked,700", "3,EUR,active,0", "4,KWD,active,0.001"
    )

    assert done == counts(4, 0, 0)
    assert balances(books, "1", "2", "3", "4") == {"1": 1050, "2": 700, "3": 0, "4": 1}
    assert status_of(books, "2") == "blocked"
    # Nothing is posted for a balance of zero.
    assert rows_in(books) == (4, 3, 6)
    house = books.execute(
        "SELECT kind, currency, sum(amount_minor) FROM entries JOIN accounts USING (account_id) "
        "WHERE kind <> 'user' GROUP BY kind, currency ORDER BY currency"
    ).fetchall()
    assert house == [("opening", "EUR", -1050), ("opening", "JPY", -700), ("opening", "KWD", -1)]
    assert audit(books) == SOUND


def test_the_same_file_again_changes_nothing(books: psycopg.Connection[Any]) -> None:
    rows = ("1,EUR,active,10.50", "2,EUR,blocked,0")
    run_import(books, *rows)
    before = books.execute("SELECT xmin, * FROM accounts ORDER BY account_id").fetchall()

    again = run_import(books, *rows)

    assert again == counts(0, 0, 2)
    assert books.execute("SELECT xmin, * FROM accounts ORDER BY account_id").fetchall() == before
    assert rows_in(books) == (2, 1, 2)


def test_an_existing_account_gets_the_status_and_keeps_its_balance(books: psycopg.Connection[Any]) -> None:
    run_import(books, "1,EUR,active,10", "2,EUR,active,20")

    done = run_import(books, "1,EUR,blocked,99", "2,EUR,active,99", "3,EUR,active,1")

    assert done == counts(1, 1, 1)
    assert (status_of(books, "1"), status_of(books, "2")) == ("blocked", "active")
    assert balances(books, "1", "2", "3") == {"1": 1000, "2": 2000, "3": 100}
    assert audit(books) == SOUND


def test_a_file_of_other_accounts_leaves_these_as_they_are(books: psycopg.Connection[Any]) -> None:
    run_import(books, "1,EUR,blocked,10")

    run_import(books, "2,EUR,active,10")

    assert status_of(books, "1") == "blocked"
    assert balances(books, "1") == {"1": 1000}


def test_an_imported_user_can_be_credited_and_a_reimport_keeps_what_was_credited(
    books: psycopg.Connection[Any], database_url: str
) -> None:
    run_import(books, "1,EUR,active,10")
    with ledger_on(database_url) as ledger:
        ledger.settle(new_event(7), payout(7, "1", "2.50"))
        ledger.settle(new_event(8), payout(8, "1", "1"))
        ledger.settle(new_event(8), cancel(8, "1", "1"))

    done = run_import(books, "1,EUR,active,10")

    assert done == counts(0, 0, 1)
    assert balances(books, "1") == {"1": 1250}
    assert audit(books) == SOUND


@pytest.mark.parametrize(
    ("bad_row", "fault"),
    [
        ("9,EUR,active,-1", "line 4: balance '-1' is negative"),
        ("1,EUR,active,5", "line 4: user_id '1' stands on line 2 already"),
        ("0,USD,active,5", "line 4: the account of user_id '0' is in EUR, not in USD"),
    ],
    ids=["a wrong row", "a repeated user", "another currency"],
)
def test_one_fault_anywhere_and_nothing_is_imported(
    books: psycopg.Connection[Any], bad_row: str, fault: str
) -> None:
    run_import(books, "0,EUR,active,0")

    with pytest.raises(BadAccountsFile) as caught:
        run_import(books, "1,EUR,active,5", "2,EUR,active,5", bad_row, "0,EUR,blocked,0")

    # The last row of the third file names user 0 a second time.
    expected = [fault, "line 5: user_id '0' stands on line 4 already"] if bad_row[0] == "0" else [fault]
    assert [f"line {each.line_number}: {each.text}" for each in caught.value.faults] == expected
    assert rows_in(books) == (1, 0, 0)
    assert status_of(books, "0") == "active"


def test_faults_of_all_kinds_come_in_the_order_of_the_lines(books: psycopg.Connection[Any]) -> None:
    run_import(books, "old,EUR,active,0")

    with pytest.raises(BadAccountsFile) as caught:
        run_import(
            books, "1,EUR,active,1", "1,EUR,active,2", "2,EUR,gone,1", "old,USD,active,0", "1,EUR,active,3"
        )

    assert str(caught.value).splitlines() == [
        "nothing was imported, the file has 4 faults:",
        "  line 3: user_id '1' stands on line 2 already",
        "  line 4: status 'gone' is neither active nor blocked",
        "  line 5: the account of user_id 'old' is in EUR, not in USD",
        "  line 6: user_id '1' stands on line 2 already",
    ]


def test_of_many_faults_the_first_are_named_and_the_others_counted(books: psycopg.Connection[Any]) -> None:
    with pytest.raises(BadAccountsFile) as caught:
        run_import(books, *["1,EUR,active,1"] * 40, *["2,EUR,gone,1"] * 30)

    assert caught.value.count == 39 + 30
    assert [fault.line_number for fault in caught.value.faults] == list(range(3, MAX_FAULTS + 3))
    assert str(caught.value).endswith(f"\n  and {69 - MAX_FAULTS} more")


def test_a_file_without_accounts_is_no_fault(books: psycopg.Connection[Any]) -> None:
    assert run_import(books) == counts(0, 0, 0)


def test_imports_at_once_open_every_account_once(database_url: str, books: psycopg.Connection[Any]) -> None:
    rows = [f"{number},EUR,active,{number}" for number in range(500)]

    def one_import(_: int) -> ImportCounts:
        with psycopg.connect(database_url, autocommit=True) as connection:
            return run_import(connection, *rows)

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(one_import, range(4)))

    assert sorted(each.opened for each in done) == [0, 0, 0, 500]
    assert sum(each.unchanged for each in done) == 1500
    assert rows_in(books) == (500, 499, 998)
    assert audit(books) == SOUND


def test_many_accounts_over_several_currencies_balance(books: psycopg.Connection[Any]) -> None:
    currencies = ("EUR", "USD", "JPY", "KWD", "CLF")
    rows = [f"user {number},{currencies[number % 5]},active,{number}" for number in range(20_000)]

    assert run_import(books, *rows) == counts(20_000, 0, 0)

    assert audit(books) == SOUND
    total = books.execute("SELECT sum(balance_minor) FROM accounts WHERE currency = 'KWD'").fetchone()
    assert total == (1000 * sum(range(3, 20_000, 5)),)


def test_a_connection_that_is_lost_during_an_import_leaves_nothing_and_says_what_to_do(
    database_url: str, books: psycopg.Connection[Any]
) -> None:
    class CutOff(io.BytesIO):
        """Has the server end the importing session once the whole file was read."""

        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            if not line:
                books.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
            return line

    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pytest.raises(ImportInDoubt, match="import the same file again, what stands is left alone"),
    ):
        import_accounts(connection, CutOff(f"{HEADER}1,EUR,active,1\n".encode()), note=IMPORT_NOTE)

    assert rows_in(books) == (0, 0, 0)
    assert run_import(books, "1,EUR,active,1") == counts(1, 0, 0)
