"""`cashback reconcile` as an operator and as cron run it; the books are broken test after test."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.output_schemas import assert_fits

TODAY = ("--from", (datetime.now(UTC) - timedelta(hours=1)).isoformat())
Reconcile = Callable[..., Result]


def test_books_that_are_well_end_with_0_and_what_is_in_flight_is_pending(
    reconcile: Reconcile, tmp_path: Path
) -> None:
    result = reconcile(*TODAY, "--json", "--csv", str(tmp_path / "off.csv"))

    document = json.loads(result.stdout)
    assert_fits("reconcile", document)
    assert (result.exit_code, document["differences"], document["pending"]) == (0, 0, 1)
    # What was taken back is told, and is not wrong.
    assert (tmp_path / "off.csv").read_text().splitlines()[1].startswith("cancelled_after_credit,2,-1,")


def test_a_day_without_anything_is_well(reconcile: Reconcile) -> None:
    result = reconcile("--day", "2026-01-31", "--timezone", "Europe/Berlin")

    assert result.exit_code == 0
    assert "2026-01-30 23:00 to 2026-01-31 23:00 UTC" in result.stdout
    assert result.stdout.endswith("nothing is off, 0 pending\n")


def test_yesterday_is_looked_at_where_nothing_else_is_said(reconcile: Reconcile) -> None:
    # The day may end meanwhile.
    before, result, after = datetime.now(UTC), reconcile(), datetime.now(UTC)

    days = {
        f"{now - timedelta(days=1):%Y-%m-%d} 00:00 to {now:%Y-%m-%d} 00:00 UTC" for now in (before, after)
    }
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].strip() in days


@pytest.mark.parametrize("option", ["--csv", "--metrics"])
def test_a_file_that_cannot_be_written_is_said_so(reconcile: Reconcile, tmp_path: Path, option: str) -> None:
    result = reconcile(*TODAY, option, str(tmp_path / "missing" / "off.prom"))

    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.stderr


def test_what_cannot_be_compared_leaves_the_files_of_the_day_before(
    reconcile: Reconcile, tmp_path: Path
) -> None:
    (tmp_path / "off.csv").write_text("of yesterday")
    (tmp_path / "theirs.csv").write_text("ID\nx\n")

    result = reconcile(
        *TODAY, "--csv", str(tmp_path / "off.csv"), "--statement", str(tmp_path / "theirs.csv"),
        *("--map", "cashback_id=ID"),
    )  # fmt: skip

    assert result.exit_code == 1
    assert (tmp_path / "off.csv").read_text() == "of yesterday"
    assert {path.name for path in tmp_path.iterdir()} == {"off.csv", "theirs.csv"}


def test_a_statement_is_compared_as_the_operator_and_named_by_its_lines(
    reconcile: Reconcile, tmp_path: Path
) -> None:
    statement = tmp_path / "theirs.csv"
    statement.write_text(
        "ID;Sum;Player\n1;10.50;ann\n2;10.50;ann\n3;9.50;ann\n4;10.50;ann\n5;10.50;ann\n99;1;zoe\n"
    )
    options = ("--statement", str(statement), "--map", "cashback_id=ID,amount=Sum,user=Player")

    result = reconcile(*TODAY, *options, "--json")

    document = json.loads(result.stdout)
    assert_fits("reconcile", document)
    assert (result.exit_code, document["differences"]) == (1, 2)
    off = {
        check["check"]: (difference["line_number"], difference["ours"], difference["theirs"])
        for check in document["checks"]
        for difference in check["shown"]
        if check["weight"] == "wrong"
    }
    assert off == {"statement_amount": (4, "10.50", "9.50"), "statement_never_seen": (7, None, "1")}


def test_a_statement_that_cannot_be_read_is_refused_with_its_lines(
    reconcile: Reconcile, tmp_path: Path
) -> None:
    statement = tmp_path / "theirs.csv"
    statement.write_text("ID;Sum\n1;10.50\nx;1\n2;much\n")

    refused = reconcile(*TODAY, "--statement", str(statement), "--map", "cashback_id=ID,amount=Sum")
    wrong = reconcile(*TODAY, "--statement", str(statement), "--map", "cashback_id=ID,sum=Sum")

    assert refused.exit_code == 1
    assert "nothing was compared, the file has 2 faults:" in refused.stderr
    assert "line 3: cashback_id 'x' is no CashbackId" in refused.stderr
    assert "line 4: amount 'much' is no plain decimal" in refused.stderr
    assert wrong.exit_code == 2
    assert reconcile(*TODAY, "--map", "cashback_id=ID").exit_code == 2


def test_two_payouts_that_are_missing_and_an_account_that_is_off_are_named(
    reconcile: Reconcile, broken: Callable[..., None], tmp_path: Path
) -> None:
    # Given the books as a half restore left them: 1 and 4 are not in them, and bob has what nobody posted
    broken(
        "DELETE FROM entries USING transactions "
        "WHERE transactions.transaction_id = entries.transaction_id AND cashback_id IN (1, 4)",
        "DELETE FROM transactions WHERE cashback_id IN (1, 4)",
        "UPDATE accounts SET balance_minor = balance_minor - 2000 WHERE user_id = 'ann'",
        "UPDATE accounts SET balance_minor = 8100 WHERE user_id = 'bob'",
    )

    result = reconcile(*TODAY, "--csv", str(tmp_path / "off.csv"), "--metrics", str(tmp_path / "x.prom"))

    # then all three are named, on the screen in 80 columns,
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any("cashback 1" in line for line in lines[lines.index(_line(lines, "answered_without")) :])
    assert any("cashback 4" in line for line in lines[lines.index(_line(lines, "receipt_without")) :])
    assert any("user bob" in line for line in lines[lines.index(_line(lines, "balances:")) :])
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "3 differences, 1 pending"
    # and in both files.
    with (tmp_path / "off.csv").open(newline="") as file:
        rows = [(row["check"], row["cashback_id"], row["user_id"]) for row in csv.DictReader(file)]
    assert rows[:1] == [("balances", "", "bob")]
    assert {(check, number) for check, number, _ in rows[1:]} == {
        ("cancelled_after_credit", "2"),
        ("answered_without_transaction", "1"),
        ("receipt_without_transaction", "4"),
    }
    metrics = (tmp_path / "x.prom").read_text()
    assert 'cashback_reconcile_differences{check="balances"} 1.0' in metrics
    assert 'cashback_reconcile_differences{check="currency_sums"} 0.0' in metrics
    assert 'cashback_reconcile_information{check="cancelled_after_credit"} 1.0' in metrics
    assert 'cashback_reconcile_pending{check="stuck_settled"} 1.0' in metrics
    assert "cashback_reconcile_timestamp_seconds 1." in metrics


def test_no_more_are_shown_than_asked_for(reconcile: Reconcile, broken: Callable[..., None]) -> None:
    broken("DELETE FROM receipts")

    shown = reconcile(*TODAY, "--show", "2")
    document = json.loads(reconcile(*TODAY, "--show", "0", "--json").stdout)

    assert shown.exit_code == 1
    assert "more: --csv FILE has all" in shown.stdout
    assert_fits("reconcile", document)
    assert {len(check["shown"]) for check in document["checks"]} == {0}


def _line(lines: list[str], begin: str) -> str:
    return next(line for line in lines if line.startswith(begin))
