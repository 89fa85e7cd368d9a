"""`cashback accounts …` as an operator runs it."""

from datetime import datetime
from pathlib import Path

import psycopg

from tests.support import command
from tests.support.books import SOUND, audit, cancel, ledger_on, new_event, payout

HEADER = b"user_id,currency,status,balance\n"


def run_import(database_url: str, rows: bytes) -> None:
    done = command.run("accounts", "import", "-", stdin=HEADER + rows, database_url=database_url)
    assert (done.exit_code, done.stderr) == (0, "")


def test_import_reads_a_file_and_prints_the_counts(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_bytes(b"\xef\xbb\xbf" + HEADER + b"1,EUR,active,10.50\r\n2,EUR,blocked,0\r\n")

    first = command.run("accounts", "import", str(file), database_url=database_url)
    file.write_bytes(HEADER + b"1,EUR,active,99\n2,EUR,active,0\n3,EUR,active,0\n")
    second = command.run("accounts", "import", "--json", str(file), database_url=database_url)

    assert (first.exit_code, first.stdout, first.stderr) == (0, "opened 2, updated 0, unchanged 0\n", "")
    assert second.document == {"opened": 1, "updated": 1, "unchanged": 1}
    with psycopg.connect(database_url) as connection:
        assert audit(connection) == SOUND


def test_import_takes_standard_input(database_url: str) -> None:
    done = command.run(
        "accounts", "import", "-", "--json", stdin=HEADER + b"1,EUR,active,1\n", database_url=database_url
    )

    assert done.document == {"opened": 1, "updated": 0, "unchanged": 0}


def test_import_of_a_wrong_file_names_its_lines_and_ends_with_1(database_url: str) -> None:
    done = command.run(
        "accounts",
        "import",
        "-",
        stdin=HEADER + b"1,EUR,active,-1\n2,EUR,active,1\n2,EUR,active,1\n",
        database_url=database_url,
    )

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "Error: nothing was imported, the file has 2 faults:",
        "  line 2: balance '-1' is negative",
        "  line 4: user_id '2' stands on line 3 already",
    ]
    assert command.run("accounts", "show", "2", database_url=database_url).exit_code == 1


def test_import_of_a_file_that_cannot_be_opened_says_why_and_ends_with_2(
    database_url: str, tmp_path: Path
) -> None:
    missing = command.run("accounts", "import", str(tmp_path / "none.csv"), database_url=database_url)
    directory = command.run("accounts", "import", str(tmp_path), database_url=database_url)

    assert (missing.exit_code, directory.exit_code) == (2, 2)
    assert missing.stderr.endswith("none.csv': No such file or directory\n")
    assert directory.stderr.endswith("Is a directory\n")


def test_import_of_a_file_that_cannot_be_read_to_its_end_imports_nothing(database_url: str) -> None:
    # Reading the memory of a process from its beginning is an I/O error, on a file that opens well.
    done = command.run("accounts", "import", "/proc/self/mem", database_url=database_url)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: /proc/self/mem cannot be read: Input/output error\n"


def test_show_gives_the_account_and_its_latest_entries_in_minor_and_major_units(database_url: str) -> None:
    run_import(database_url, b"188509,EUR,active,10.50\n")
    with ledger_on(database_url) as ledger:
        ledger.settle(new_event(7), payout(7, "188509", "2"))
        ledger.settle(new_event(7), cancel(7, "188509", "2"))
        ledger.settle(new_event(8), payout(8, "188509", "0.05"))

    document = command.run(
        "accounts", "show", "188509", "--json", "--limit", "3", database_url=database_url
    ).document

    entries = document.pop("entries")
    assert datetime.fromisoformat(document.pop("created_at")).tzinfo is not None
    assert isinstance(document.pop("account_id"), int)
    assert document == {
        "user_id": "188509",
        "currency": "EUR",
        "status": "active",
        "balance": "10.55",
        "balance_minor": 1055,
    }
    assert [
        (each["kind"], each["cashback_id"], each["transaction_type"], each["amount"], each["amount_minor"])
        for each in entries
    ] == [("payout", 8, 1, "0.05", 5), ("cancel", 7, -1, "-2.00", -200), ("payout", 7, 1, "2.00", 200)]
    assert set(entries[0]) >= {"entry_id", "transaction_id", "created_at"}


def test_show_prints_tables_for_people(database_url: str) -> None:
    run_import(database_url, b"188509,EUR,blocked,10.50\n")

    shown = command.run("accounts", "show", "188509", database_url=database_url)

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "Account of 188509" in shown.stdout
    for word in ("EUR", "blocked", "10.50", "1050", "opening"):
        assert word in shown.stdout


def test_show_of_an_unknown_user_ends_with_1(database_url: str) -> None:
    shown = command.run("accounts", "show", "nobody", "--json", database_url=database_url)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == "Error: no account of user 'nobody' is on record\n"
