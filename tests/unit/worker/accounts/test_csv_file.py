"""Reading an accounts file: which rows it holds, what is wrong with it and on which line."""

import io

import pytest

from worker.accounts.csv_file import (
    MAX_BALANCE_MINOR,
    MAX_FAULTS,
    MAX_LINE_BYTES,
    AccountRow,
    AccountsFile,
    BadAccountsFile,
    Fault,
)

HEADER = b"user_id,currency,status,balance\n"


def read(content: bytes) -> tuple[list[AccountRow], list[Fault], int]:
    file = AccountsFile(io.BytesIO(content))
    rows = list(file)
    return rows, file.faults, file.fault_count


def only_fault(row: bytes) -> str:
    rows, faults, count = read(HEADER + row + b"\n")
    assert (rows, count) == ([], 1)
    assert faults[0].line_number == 2
    return faults[0].text


def test_rows_are_read_with_balances_in_minor_units_of_their_currency() -> None:
    content = HEADER + b"188509,EUR,active,10.5\n7,JPY,blocked,1000\n8,KWD,active,0.001\n9,CLF,active,0\n"

    rows, faults, _ = read(content)

    assert faults == []
    assert rows == [
        AccountRow(2, "188509", "EUR", "active", 1050),
        AccountRow(3, "7", "JPY", "blocked", 1000),
        AccountRow(4, "8", "KWD", "active", 1),
        AccountRow(5, "9", "CLF", "active", 0),
    ]


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b"1,EUR,active,1\n",
        HEADER.replace(b"\n", b"\r\n") + b"1,EUR,active,1\r\n",
        b"\xef\xbb\xbf" + HEADER + b"1,EUR,active,1",
        b'"user_id","currency","status","balance"\n"1","EUR","active","1"\n',
        HEADER + b"1,EUR,active,1\n\n\r\n",
    ],
    ids=["unix", "windows", "bom without a last newline", "quoted", "empty lines at the end"],
)
def test_all_common_ways_to_write_the_same_file_read_the_same(content: bytes) -> None:
    assert read(content) == ([AccountRow(2, "1", "EUR", "active", 100)], [], 0)


def test_a_user_id_may_hold_commas_quotes_backslashes_and_any_letters() -> None:
    rows, faults, _ = read(
        HEADER + 'a\\b,EUR,active,1\n"x,""y""",EUR,active,1\nžaidėjas,EUR,active,1\n'.encode()
    )

    assert faults == []
    assert [row.user_id for row in rows] == ["a\\b", 'x,"y"', "žaidėjas"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (b"1,EUR,active", "3 fields instead of 4"),
        (b"1,EUR,active,1,", "5 fields instead of 4"),
        (b",EUR,active,1", "user_id must have 1 to 128 characters"),
        (b"x" * 129 + b",EUR,active,1", "user_id must have 1 to 128 characters"),
        (b" 1,EUR,active,1", "user_id ' 1' has characters that do not show, or spaces around it"),
        (b"a\x1b[2J,EUR,active,1", "user_id 'a\\x1b[2J' has characters that do not show"),
        (b"a\x00,EUR,active,1", "user_id 'a\\x00' has characters that do not show"),
        (b"1,eur,active,1", "currency 'eur' is no ISO 4217 code"),
        (b"1,EUR,Active,1", "status 'Active' is neither active nor blocked"),
        (b"1,EUR,active,", "balance '' is no plain decimal"),
        (b"1,EUR,active,1e3", "balance '1e3' is no plain decimal"),
        (b'1,EUR,active,"1,000.00"', "balance '1,000.00' is no plain decimal"),
        (b"1,EUR,active,NaN", "balance 'NaN' is no plain decimal"),
        (b"1,EUR,active,-0.01", "balance '-0.01' is negative"),
        (b"1,EUR,active,0.001", "balance '0.001' has more digits than EUR, which has 2"),
        (b"1,JPY,active,0.5", "balance '0.5' has more digits than JPY, which has 0"),
        (b"1,EUR,active,10000000000000", "balance '10000000000000' is too large"),
        (b"1,EUR,active,\xff", "not UTF-8"),
        (b'1,EUR,active,"1', "not CSV: unexpected end of data"),
    ],
)
def test_a_wrong_row_is_a_fault_that_names_what_is_wrong(row: bytes, text: str) -> None:
    assert text in only_fault(row)


def test_the_largest_balance_is_taken() -> None:
    rows, faults, _ = read(HEADER + b"1,EUR,active,9999999999999.99\n")

    assert faults == []
    assert rows[0].balance_minor == MAX_BALANCE_MINOR


def test_a_wrong_row_does_not_hide_the_rows_and_faults_after_it() -> None:
    rows, faults, count = read(HEADER + b'"1,EUR,active,1\n2,EUR,active,1\n3,EUR,gone,1\n')

    assert [row.user_id for row in rows] == ["2"]
    assert [fault.line_number for fault in faults] == [2, 4]
    assert count == 2


def test_faults_beyond_the_first_ones_are_counted_and_not_kept() -> None:
    rows, faults, count = read(HEADER + b"1,EUR,gone,1\n" * (MAX_FAULTS + 30) + b"2,EUR,active,1\n")

    assert [fault.line_number for fault in faults] == list(range(2, MAX_FAULTS + 2))
    assert count == MAX_FAULTS + 30
    assert [row.user_id for row in rows] == ["2"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"user_id,currency,balance,status\n",
        b"USER_ID,currency,status,balance\n",
        b"user_id;currency;status;balance\n",
        b"1,EUR,active,1\n",
        b"\xff\xfeu\x00s\x00",
    ],
    ids=["empty", "empty line", "other order", "capitals", "semicolons", "no header", "UTF-16"],
)
def test_another_header_is_refused_at_once(content: bytes) -> None:
    with pytest.raises(BadAccountsFile, match="line 1: the header must be exactly user_id,currency,status,"):
        read(content)


def test_a_line_without_end_is_refused_without_reading_on() -> None:
    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 < size <= MAX_LINE_BYTES + 1
            return HEADER if self.tell() == 0 and self.seek(1) else b"x" * size

    with pytest.raises(BadAccountsFile, match=f"line 2: the line is longer than {MAX_LINE_BYTES} bytes"):
        list(AccountsFile(Endless()))


def test_too_many_rows_are_refused_at_the_first_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.accounts.csv_file.MAX_ROWS", 3)
    three_rows = HEADER + b"1,EUR,active,1\n2,EUR,active,1\n3,EUR,active,1\n"

    assert len(read(three_rows)[0]) == 3
    with pytest.raises(BadAccountsFile, match="line 5: a file may have at most 3 accounts: split it"):
        read(three_rows + b"4,EUR,active,1\n")


def test_what_stops_the_reading_is_said_even_after_many_faults() -> None:
    content = HEADER + b"1,EUR,gone,1\n" * (MAX_FAULTS + 5) + b"x" * (MAX_LINE_BYTES + 1)

    with pytest.raises(BadAccountsFile) as caught:
        read(content)

    assert caught.value.count == MAX_FAULTS + 6
    assert caught.value.faults[-1] == Fault(MAX_FAULTS + 7, f"the line is longer than {MAX_LINE_BYTES} bytes")
    assert str(caught.value).endswith("\n  and 6 more")
