"""A statement of BETCORE's side: CSV in a form that is said, read line by line."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from producer.protocol.asked import MAX_USER_ID_CHARS
from worker.csv_lines import BadFile, ByteLines, CsvLines, LineFault, shown, split
from worker.domain.money import EXPONENTS
from worker.domain.settlement import PAYOUT_TYPE
from worker.reconciliation.period import read_zone
from worker.reconciliation.statement_form import StatementForm

MAX_ROWS: Final = 10_000_000
# They may have many columns that we do not look at.
MAX_STATEMENT_LINE_BYTES: Final = 65_536
_DELIMITERS: Final = ",;\t|"
_WHOLE: Final = re.compile(r"[0-9]{1,19}")
_TYPE: Final = re.compile(r"-?[0-9]{1,10}")
_AMOUNT: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,8})?")


class StatementRow(NamedTuple):
    """One row; what it does not say is None. The amount is a decimal in major units, as text."""

    line_number: int
    cashback_id: int
    transaction_type: int
    user_id: str | None
    currency: str | None
    amount: str | None
    status: str
    at: str | None


class BadStatement(BadFile):
    """The statement cannot be read as it was said to be; nothing was compared."""

    reason = "bad_statement"
    not_done = "nothing was compared"


class StatementFile(CsvLines):
    """Reads a statement once; iterate over the good rows, then look at `faults`.

    Iteration raises BadStatement at once where going on makes no sense: a column is not there, a line is too
    long, or there are too many rows.
    """

    refusal = BadStatement
    max_line_bytes = MAX_STATEMENT_LINE_BYTES

    def __init__(self, lines: ByteLines, form: StatementForm) -> None:
        super().__init__(lines)
        self._form = form

    def __iter__(self) -> Iterator[StatementRow]:
        """Yield the rows that are right by themselves, in the order of the file."""
        numbered = self._numbered_lines()
        delimiter, header = self._read_header(*next(numbered, (1, b"")))
        read = _RowReader(self._form, header)
        for line_number, line in numbered:
            self.row_count += 1
            if self.row_count > MAX_ROWS:
                self._stop(line_number, f"a statement may have at most {MAX_ROWS} rows: split it")
            try:
                row = read(line_number, split(line, delimiter))
            except LineFault as fault:
                self._keep(line_number, str(fault))
            else:
                yield row

    def _read_header(self, line_number: int, line: bytes) -> tuple[str, list[str]]:
        """Return the delimiter, which is the one that finds all columns, and the header."""
        wanted = self._form.columns.values()
        for delimiter in self._form.delimiter or _DELIMITERS:
            try:
                header = [name.strip() for name in split(line, delimiter)]
            except LineFault:
                continue
            if all(header.count(name) == 1 for name in wanted):
                return delimiter, header
        columns = ", ".join(map(shown, wanted))
        header_text = shown(line.decode("utf-8", "replace"))
        return self._stop(line_number, f"the header has not each of {columns} once: it is {header_text}")


class _RowReader:
    """Reads the fields of one line by the columns' places."""

    def __init__(self, form: StatementForm, header: Sequence[str]) -> None:
        self._count = len(header)
        places = {member: header.index(name) for member, name in form.columns.items()}
        self._cashback_id = places["cashback_id"]
        self._amount = places.get("amount")
        self._type = places.get("type")
        self._user = places.get("user")
        self._currency = places.get("currency")
        self._status = places.get("status")
        self._at = places.get("at")
        self._form = form
        self._zone = read_zone(form.timezone)
        self._statuses = form.statuses.meanings
        types = {"payout": PAYOUT_TYPE, **form.types}
        self._types = {word.casefold(): number for word, number in types.items()}
        # A statement has few words, and many rows of the same second.
        self._read_status = lru_cache(maxsize=1_000)(self._status_of)
        self._read_type = lru_cache(maxsize=1_000)(self._type_of)
        self._read_time = lru_cache(maxsize=1_000)(self._time_of)

    def __call__(self, line_number: int, fields: Sequence[str]) -> StatementRow:
        if len(fields) != self._count:
            raise LineFault(f"{len(fields)} fields instead of {self._count}")
        status = "confirmed" if self._status is None else self._read_status(fields[self._status])
        return StatementRow(
            line_number,
            _cashback_id(fields[self._cashback_id].strip()),
            PAYOUT_TYPE if self._type is None else self._read_type(fields[self._type]),
            None if self._user is None else _user_id(fields[self._user]),
            None if self._currency is None else _currency(fields[self._currency].strip()),
            None if self._amount is None else self._amount_of(fields[self._amount].strip(), status),
            status,
            None if self._at is None else self._read_time(fields[self._at]),
        )

    def _amount_of(self, text: str, status: str) -> str | None:
        if not text and status != "confirmed":
            return None
        amount = text.replace(",", ".") if self._form.decimal_comma else text
        if not _AMOUNT.fullmatch(amount):
            hint = (
                "" if self._form.decimal_comma or "," not in text else " (a map file may say decimal_comma)"
            )
            raise LineFault(f"amount {shown(text)} is no plain decimal{hint}")
        return amount

    def _status_of(self, text: str) -> str:
        meaning = self._statuses.get(text.strip().casefold())
        if meaning is None:
            raise LineFault(
                f"status {shown(text)} is not known: a map file says what it means under [statuses]"
            )
        return meaning

    def _type_of(self, text: str) -> int:
        word = text.strip()
        number = self._types.get(word.casefold())
        if number is None and _TYPE.fullmatch(word) and -(2**31) <= int(word) < 2**31:
            number = int(word)
        if number is None:
            raise LineFault(
                f"type {shown(text)} is no TransactionType: a map file says what it means under [types]"
            )
        return number

    def _time_of(self, text: str) -> str | None:
        word = text.strip()
        if not word:
            return None
        try:
            if self._form.time_format is None:
                moment = datetime.fromisoformat(word)
            else:
                moment = datetime.strptime(word, self._form.time_format)  # noqa: DTZ007 - the zone comes next
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self._zone)
            return moment.astimezone(UTC).isoformat()
        except (ValueError, OverflowError):
            raise LineFault(
                f"time {shown(text)} is not ISO 8601: a map file says what it is by time_format"
                if self._form.time_format is None
                else f"time {shown(text)} is not written as {shown(self._form.time_format)}"
            ) from None


def _cashback_id(text: str) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else 0
    if not 0 < number < 2**63:
        raise LineFault(f"cashback_id {shown(text)} is no CashbackId")
    return number


def _user_id(text: str) -> str | None:
    if len(text) > MAX_USER_ID_CHARS or not text.isprintable():
        raise LineFault(f"user {shown(text)} is too long or has characters that do not show")
    return text or None


def _currency(text: str) -> str | None:
    if text and text not in EXPONENTS:
        raise LineFault(f"currency {shown(text)} is no ISO 4217 code")
    return text or None
