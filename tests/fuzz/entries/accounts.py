"""The file of accounts that an operator imports."""

import csv
from io import BytesIO
from typing import Final

from tests.fuzz.exact import number_of
from tests.fuzz.target import Target, demand_named
from worker.accounts.csv_file import (
    HEADER,
    MAX_BALANCE_MINOR,
    MAX_FAULTS,
    STATUSES,
    AccountRow,
    AccountsFile,
    BadAccountsFile,
)
from worker.domain.money import EXPONENTS


def check_accounts(data: bytes) -> None:
    """Demand that each row is what its line says to whoever reads CSV and decimals."""
    lines = data.split(b"\n")
    file = AccountsFile(BytesIO(data))
    rows: list[AccountRow] = []
    try:
        rows.extend(file)
    except BadAccountsFile as error:
        demand_named(error)
    assert len(file.faults) <= min(MAX_FAULTS, file.fault_count)
    for row in rows:
        _assert_is(row, lines[row.line_number - 1].rstrip(b"\r"))


def _assert_is(row: AccountRow, line: bytes) -> None:
    [fields] = csv.reader([line.decode("utf-8")], strict=True)
    user_id, currency, status, balance = fields
    assert (row.user_id, row.currency, row.status) == (user_id, currency, status)
    assert status in STATUSES
    assert 1 <= len(user_id) <= 128
    assert user_id.isprintable()
    value = number_of(balance)
    assert value is not None
    assert value * 10 ** EXPONENTS[currency] == row.balance_minor
    assert 0 <= row.balance_minor <= MAX_BALANCE_MINOR


_HEADER_LINE: Final = ",".join(HEADER).encode() + b"\n"

TARGETS: Final = (
    Target(
        name="accounts-csv",
        check=check_accounts,
        seeds=(
            _HEADER_LINE + b"188509,EUR,active,10.50\n188510,JPY,blocked,0\n",
            b"\xef\xbb\xbf" + _HEADER_LINE.replace(b"\n", b"\r\n") + b'"a,b",USD,active,"1.00"\r\n\r\n',
            _HEADER_LINE + b'"open,EUR,active,1\nx,EUR,active,1e2\ny,XXX,active,1\nz,KWD,active,0.001\n',
            _HEADER_LINE + b"a,EUR,active,9999999999999.99\na,EUR,active,-0\n\xff,EUR,active,1\n",
        ),
        words=(
            *(
                _HEADER_LINE,
                b",EUR,active,",
                b",CLF,blocked,",
                b'"',
                b'""',
                b"\r",
                b"\n",
                b"\r\n",
                b",",
                b"\0",
            ),
            *(
                b"9" * 15,
                b"+",
                b"-",
                b"e",
                b".",
                b"\xe2\x80\xa8",
                b"\xc2\x85",
                b"\xd9\xa1",
                b"a" * 130,
                b"\x0c",
            ),
        ),
    ),
)
