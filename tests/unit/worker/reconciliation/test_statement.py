"""Reading a statement of BETCORE's side: in any form that is said, with every fault by its line."""

import io

import pytest

from worker.csv_lines import MAX_FAULTS, Fault
from worker.reconciliation.statement import (
    MAX_STATEMENT_LINE_BYTES,
    BadStatement,
    StatementFile,
    StatementRow,
)
from worker.reconciliation.statement_form import BadForm, StatementForm, read_form

COLUMNS = "cashback_id=ID,amount=Sum,type=Kind,user=Player,currency=Cur,status=State,at=Time"
HEADER = "ID,Kind,Player,Cur,Sum,State,Time\n"
ROW = "480,1,ann,EUR,10.50,Paid,2026-11-25T12:00:00Z"
READ = StatementRow(2, 480, 1, "ann", "EUR", "10.50", "confirmed", "2026-11-25T12:00:00+00:00")


def form(toml: str = "", *, columns: str | None = COLUMNS) -> StatementForm:
    return read_form(toml.encode(), columns=columns, delimiter=None, timezone="Europe/Berlin")


def read(content: str | bytes, how: StatementForm | None = None) -> tuple[list[StatementRow], list[Fault]]:
    raw = content if isinstance(content, bytes) else content.encode()
    file = StatementFile(io.BytesIO(raw), how or form())
    return list(file), file.faults


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROW,
        "\ufeff" + (HEADER + ROW + "\n").replace("\n", "\r\n"),
        (HEADER + ROW).replace(",", ";"),
        (HEADER + ROW).replace(",", "\t"),
        (HEADER + ROW).replace(",", "|"),
        "Extra," + HEADER + 'x,480,"1","ann",EUR,"10.50",PAID,2026-11-25T12:00:00Z\n\n',
        HEADER + "480,1,ann,EUR,10.50,paid,2026-11-25 13:00:00\n",
    ],
    ids=["plain", "bom and windows", "semicolons", "tabs", "bars", "quoted, more columns", "their own zone"],
)
def test_all_common_ways_to_write_a_row_read_the_same(content: str) -> None:
    rows, faults = read(content)

    assert (rows, faults) == ([READ._replace(line_number=2)], [])


def test_what_is_not_mapped_is_not_said() -> None:
    rows, faults = read("ID;Sum\n480;10.50\n", form(columns="cashback_id=ID,amount=Sum"))

    assert faults == []
    assert rows == [StatementRow(2, 480, 1, None, None, "10.50", "confirmed", None)]


def test_a_map_file_says_words_commas_and_times() -> None:
    how = form(
        columns=None,
        toml="""
        decimal_comma = true
        time_format = "%d.%m.%Y %H:%M:%S"
        [columns]
        cashback_id = "ID"
        type = "Kind"
        amount = "Sum, EUR"
        status = "State"
        at = "Time"
        [types]
        Bonus = 1
        Storno = -2
        [statuses]
        confirmed = ["Gebucht"]
        cancelled = ["Storniert"]
        """,
    )

    rows, faults = read(
        'ID;Kind;"Sum, EUR";State;Time\n'
        "1;bonus;10,50;gebucht;25.11.2026 13:00:00\n"
        "2;STORNO;-3;Storniert;25.11.2026 13:00:00\n"
        "3;Payout;3;Gebucht;\n",
        how,
    )

    assert faults == []
    at = "2026-11-25T12:00:00+00:00"
    assert rows == [
        StatementRow(2, 1, 1, None, None, "10.50", "confirmed", at),
        StatementRow(3, 2, -2, None, None, "-3", "cancelled", at),
        StatementRow(4, 3, 1, None, None, "3", "confirmed", None),
    ]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("480,1,ann,EUR,10.50,Paid", "6 fields instead of 7"),
        ("0,1,ann,EUR,10.50,Paid,", "cashback_id '0' is no CashbackId"),
        (f"{2**63},1,ann,EUR,10.50,Paid,", f"cashback_id '{2**63}' is no CashbackId"),
        ("x,1,ann,EUR,10.50,Paid,", "cashback_id 'x' is no CashbackId"),
        ("480,bonus,ann,EUR,10.50,Paid,", "type 'bonus' is no TransactionType"),
        ("480,3000000000,ann,EUR,10.50,Paid,", "type '3000000000' is no TransactionType"),
        ("480,1," + "x" * 129 + ",EUR,10.50,Paid,", "is too long"),
        ("480,1,a\x1b[2J,EUR,10.50,Paid,", "has characters that do not show"),
        ("480,1,ann,EURO,10.50,Paid,", "currency 'EURO' is no ISO 4217 code"),
        ("480,1,ann,EUR,1e3,Paid,", "amount '1e3' is no plain decimal"),
        ('480,1,ann,EUR,"10,50",Paid,', "(a map file may say decimal_comma)"),
        ("480,1,ann,EUR,,Paid,", "amount '' is no plain decimal"),
        ("480,1,ann,EUR,10.50,Limbo,", "status 'Limbo' is not known"),
        ("480,1,ann,EUR,10.50,Paid,25.11.2026", "time '25.11.2026' is not ISO 8601"),
        ('480,1,"ann,EUR,10.50,Paid,', "not CSV"),
    ],
    ids=lambda value: value[:30].encode("unicode_escape").decode(),
)
def test_a_fault_is_named_with_its_line_and_spoils_no_other(row: str, text: str) -> None:
    rows, faults = read(f"{HEADER}{ROW}\n{row}\n{ROW}\n")

    assert [each.line_number for each in rows] == [2, 4]
    (fault,) = faults
    assert fault.line_number == 3
    assert text in fault.text


def test_an_amount_may_be_left_out_where_no_money_moved() -> None:
    rows, faults = read(f"{HEADER}480,1,ann,EUR,,Pending,\n")

    assert faults == []
    assert (rows[0].amount, rows[0].status) == (None, "open")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "the header has not each of"),
        (HEADER.replace("Sum", "Amount"), "the header has not each of 'ID', 'Sum'"),
        ("ID," + HEADER, "once"),
        (HEADER + "x" * (MAX_STATEMENT_LINE_BYTES + 1), f"longer than {MAX_STATEMENT_LINE_BYTES} bytes"),
    ],
    ids=["empty", "another column", "a column twice", "a long line"],
)
def test_where_going_on_makes_no_sense_it_stops(content: str, text: str) -> None:
    with pytest.raises(BadStatement, match=text):
        read(content)


def test_faults_are_kept_up_to_a_limit_and_all_are_counted() -> None:
    file = StatementFile(io.BytesIO(HEADER.encode() + b"x\n" * 100), form())

    assert list(file) == []
    assert (len(file.faults), file.fault_count) == (MAX_FAULTS, 100)


@pytest.mark.parametrize(
    ("toml", "columns", "text"),
    [
        ("", None, "no columns are said"),
        ("", "amount=Sum", "cashback_id must be one of the columns"),
        ("", "cashback_id=ID,amount=ID", "two of them are the same column"),
        ("", "cashback_id=ID,sum=Sum", "'sum=Sum' is no NAME=COLUMN"),
        ("", "cashback_id", "'cashback_id' is no NAME=COLUMN"),
        ("= x", COLUMNS, "the map file is no TOML"),
        ("speed = 1", COLUMNS, "wrong at speed"),
        ('[statuses]\nopen = ["paid"]', COLUMNS, "more than one of confirmed, cancelled and open"),
        ('delimiter = "ab"', COLUMNS, "wrong at delimiter"),
        ("delimiter = '\"'", COLUMNS, "wrong at delimiter"),
        ("[types]\nx = 3000000000", COLUMNS, "wrong at types.x"),
        ('timezone = "Mars"', COLUMNS, "is no time zone"),
    ],
    ids=[
        "none",
        "no id",
        "one twice",
        "unknown",
        "no column",
        "no toml",
        "key",
        "word",
        "two",
        "quote",
        "type",
        "zone",
    ],
)
def test_a_form_that_is_wrong_is_refused_by_name(toml: str, columns: str | None, text: str) -> None:
    with pytest.raises(BadForm) as refused:
        form(toml, columns=columns)

    assert text in str(refused.value)
