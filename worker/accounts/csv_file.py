"""The accounts file: CSV with the header `user_id,currency,status,balance`, read line by line. Pure.

Memory is bounded whatever the file holds: lines, rows and the faults that are kept have limits.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from cashback_client.number import read_decimal
from producer.protocol.asked import MAX_USER_ID_CHARS
from worker.domain import money
from worker.errors import WorkerError

HEADER: Final = ("user_id", "currency", "status", "balance")
STATUSES: Final = frozenset({"active", "blocked"})
MAX_ROWS: Final = 5_000_000
MAX_LINE_BYTES: Final = 4_096
MAX_FAULTS: Final = 20
"""How many faults of a file are reported one by one; the others are counted."""
MAX_BALANCE_MINOR: Final = 10**15 - 1
"""As large as any amount that the ledger takes."""

_BOM: Final = b"\xef\xbb\xbf"
_SHOWN_CHARS: Final = 40
# With four digits behind the point still below MAX_BALANCE_MINOR.
_PLAIN_DIGITS: Final = 11


class ByteLines(Protocol):
    """What is read: an open binary file."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line with its end, at most `size` bytes of it, or nothing at the end."""


class AccountRow(NamedTuple):
    """One account of the file; the balance in minor units of its currency."""

    line_number: int
    user_id: str
    currency: str
    status: str
    balance_minor: int


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong on one line, counted from 1."""

    line_number: int
    text: str


class BadAccountsFile(WorkerError):
    """The accounts file cannot be imported; nothing was changed."""

    reason = "bad_accounts_file"

    def __init__(self, faults: Iterable[Fault], *, count: int) -> None:
        self.faults = tuple(sorted(faults)[:MAX_FAULTS])
        self.count = count
        lines = [f"  line {fault.line_number}: {fault.text}" for fault in self.faults]
        if count > len(lines):
            lines.append(f"  and {count - len(lines)} more")
        what = "1 fault" if count == 1 else f"{count} faults"
        super().__init__("\n".join([f"nothing was imported, the file has {what}:", *lines]))


class _LineFault(ValueError):
    """What is wrong with the line that is being read."""


class AccountsFile:
    """Reads an accounts file once; iterate over the good rows, then look at `faults`.

    Iteration raises BadAccountsFile at once where going on makes no sense: the header is another one, a
    line is too long, or there are too many rows. All other faults are kept (the first MAX_FAULTS) and
    counted while the rest is read, so that one run shows them all.
    """

    def __init__(self, lines: ByteLines) -> None:
        self._lines = lines
        self.faults: list[Fault] = []
        self.fault_count = 0
        self.row_count = 0

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
            except _LineFault as fault:
                self._keep(line_number, str(fault))
            else:
                yield row

    def _numbered_lines(self) -> Iterator[tuple[int, bytes]]:
        line_number = 0
        while line := self._lines.readline(MAX_LINE_BYTES + 1):
            line_number += 1
            if len(line) > MAX_LINE_BYTES:
                self._stop(line_number, f"the line is longer than {MAX_LINE_BYTES} bytes")
            if line_number == 1:
                line = line.removeprefix(_BOM)
            content = line.rstrip(b"\r\n")
            # An empty line holds no account; editors leave them at the end of a file.
            if content or line_number == 1:
                yield line_number, content

    def _check_header(self, line_number: int, line: bytes) -> None:
        try:
            header = tuple(_split(line))
        except _LineFault:
            header = ()
        if header != HEADER:
            self._stop(line_number, f"the header must be exactly {','.join(HEADER)}")

    def _keep(self, line_number: int, text: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(line_number, text))

    def _stop(self, line_number: int, text: str) -> None:
        # Kept beyond the limit of faults too: it is why the rest of the file was not looked at.
        self.fault_count += 1
        self.faults = [*self.faults[: MAX_FAULTS - 1], Fault(line_number, text)]
        raise BadAccountsFile(self.faults, count=self.fault_count)


def _read_row(line_number: int, line: bytes) -> AccountRow:
    fields = _split(line)
    if len(fields) != len(HEADER):
        raise _LineFault(f"{len(fields)} fields instead of {len(HEADER)}")
    user_id, currency, status, balance = fields
    _check_user_id(user_id)
    if status not in STATUSES:
        raise _LineFault(f"status {_shown(status)} is neither active nor blocked")
    return AccountRow(line_number, user_id, currency, status, _balance_minor(balance, currency))


def _split(line: bytes) -> list[str]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise _LineFault("not UTF-8") from None
    if '"' not in text:
        return text.split(",")
    try:
        # Line by line, so that a forgotten quote spoils its own line and not the rest of the file.
        return next(csv.reader((text,), strict=True))
    except csv.Error as error:
        raise _LineFault(f"not CSV: {error}") from None


def _check_user_id(user_id: str) -> None:
    if not 1 <= len(user_id) <= MAX_USER_ID_CHARS:
        raise _LineFault(f"user_id must have 1 to {MAX_USER_ID_CHARS} characters")
    if user_id != user_id.strip() or not user_id.isprintable():
        # Such an id would never be the one that BETCORE sends, and no one could see why.
        raise _LineFault(f"user_id {_shown(user_id)} has characters that do not show, or spaces around it")


def _balance_minor(balance: str, currency: str) -> int:
    exponent = money.EXPONENTS.get(currency)
    if exponent is None:
        raise _LineFault(f"currency {_shown(currency)} is no ISO 4217 code")
    plain = _plain_minor(balance, exponent)
    if plain is not None:
        return plain
    # A spreadsheet that writes exponents has rounded.
    amount = None if "e" in balance.lower() else read_decimal(balance)
    if amount is None:
        raise _LineFault(f"balance {_shown(balance)} is no plain decimal")
    if amount < 0:
        raise _LineFault(f"balance {_shown(balance)} is negative")
    minor = money.to_minor(amount, exponent)
    if minor is None:
        raise _LineFault(f"balance {_shown(balance)} has more digits than {currency}, which has {exponent}")
    if minor > MAX_BALANCE_MINOR:
        raise _LineFault(f"balance {_shown(balance)} is too large")
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


def _shown(value: str) -> str:
    short = value if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]}…"
    return ascii(short) if not short.isprintable() else repr(short)
