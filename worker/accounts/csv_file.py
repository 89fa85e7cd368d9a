"""The accounts file: CSV with the header `user_id,currency,status,balance`, read line by line. Pure.

Memory is bounded whatever the file holds: lines, rows and the faults that are kept have limits.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from cashback_client.number import read_decimal
from producer.protocol.asked import MAX_USER_ID_CHARS
from worker.csv_lines import MAX_FAULTS, BadFile, ByteLines, CsvLines, Fault, LineFault, shown, split
from worker.domain import money

__all__ = ["MAX_FAULTS", "AccountRow", "AccountsFile", "BadAccountsFile", "ByteLines", "Fault"]

HEADER: Final = ("user_id", "currency", "status", "balance")
STATUSES: Final = frozenset({"active", "blocked"})
MAX_ROWS: Final = 5_000_000
MAX_LINE_BYTES: Final = 4_096
MAX_BALANCE_MINOR: Final = 10**15 - 1
"""As large as any amount that the ledger takes."""

# With four digits behind the point still below MAX_BALANCE_MINOR.
_PLAIN_DIGITS: Final = 11


class AccountRow(NamedTuple):
    """One account of the file; the balance in minor units of its currency."""

    line_number: int
    user_id: str
    currency: str
    status: str
    balance_minor: int


class BadAccountsFile(BadFile):
    """The accounts file cannot be imported; nothing was changed."""

    reason = "bad_accounts_file"
    not_done = "nothing was imported"


class AccountsFile(CsvLines):
    """Reads an accounts file once; iterate over the good rows, then look at `faults`.

    Iteration raises BadAccountsFile at once where going on makes no sense: the header is another one, a
    line is too long, or there are too many rows.
    """

    refusal = BadAccountsFile
    max_line_bytes = MAX_LINE_BYTES

    def __iter__(self) -> Iterator[AccountRow]:
        """Yield the rows that are right by themselves, in the order of the file."""
        numbered = self._numbered_lines()
        self._check_header(*next(numbered, (1, b"")))
        for line_number, line in numbered:
            self.row_count += 1
            if self.row_count > MAX_ROWS:
                self._stop(line_number, f"a file may have at most {MAX_ROWS} accounts: split it")
            try:
                row = _read_row(line_number, line)
            except LineFault as fault:
                self._keep(line_number, str(fault))
            else:
                yield row

    def _check_header(self, line_number: int, line: bytes) -> None:
        try:
            header = tuple(split(line))
        except LineFault:
            header = ()
        if header != HEADER:
            self._stop(line_number, f"the header must be exactly {','.join(HEADER)}")


def _read_row(line_number: int, line: bytes) -> AccountRow:
    fields = split(line)
    if len(fields) != len(HEADER):
        raise LineFault(f"{len(fields)} fields instead of {len(HEADER)}")
    user_id, currency, status, balance = fields
    _check_user_id(user_id)
    if status not in STATUSES:
        raise LineFault(f"status {shown(status)} is neither active nor blocked")
    return AccountRow(line_number, user_id, currency, status, _balance_minor(balance, currency))


def _check_user_id(user_id: str) -> None:
    if not 1 <= len(user_id) <= MAX_USER_ID_CHARS:
        raise LineFault(f"user_id must have 1 to {MAX_USER_ID_CHARS} characters")
    if user_id != user_id.strip() or not user_id.isprintable():
        # Such an id would never be the one that BETCORE sends, and no one could see why.
        raise LineFault(f"user_id {shown(user_id)} has characters that do not show, or spaces around it")


def _balance_minor(balance: str, currency: str) -> int:
    exponent = money.EXPONENTS.get(currency)
    if exponent is None:
        raise LineFault(f"currency {shown(currency)} is no ISO 4217 code")
    plain = _plain_minor(balance, exponent)
    if plain is not None:
        return plain
    # A spreadsheet that writes exponents has rounded.
    amount = None if "e" in balance.lower() else read_decimal(balance)
    if amount is None:
        raise LineFault(f"balance {shown(balance)} is no plain decimal")
    if amount < 0:
        raise LineFault(f"balance {shown(balance)} is negative")
    minor = money.to_minor(amount, exponent)
    if minor is None:
        raise LineFault(f"balance {shown(balance)} has more digits than {currency}, which has {exponent}")
    if minor > MAX_BALANCE_MINOR:
        raise LineFault(f"balance {shown(balance)} is too large")
    return minor


def _plain_minor(balance: str, exponent: int) -> int | None:
    """Read a balance as nearly all are written, quickly; None where it is to be looked at closely."""
    whole, point, fraction = balance.partition(".")
    digits = whole + fraction
    if (
        not (digits.isascii() and digits.isdecimal())
        or not whole
        or len(fraction) > exponent
        or len(digits) > _PLAIN_DIGITS
        or (point and not fraction)
    ):
        return None
    return int(whole + fraction.ljust(exponent, "0"))
