"""CSV files that are read line by line, and what is wrong with them by line number. Pure.

Memory is bounded whatever a file holds: lines, rows and the faults that are kept have limits.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, NoReturn, Protocol

from worker.errors import WorkerError

MAX_FAULTS: Final = 20
"""How many faults of a file are reported one by one; the others are counted."""

_BOM: Final = b"\xef\xbb\xbf"
_SHOWN_CHARS: Final = 40


class ByteLines(Protocol):
    """What is read: an open binary file."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line with its end, at most `size` bytes of it, or nothing at the end."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong on one line, counted from 1."""

    line_number: int
    text: str


class LineFault(ValueError):
    """What is wrong with the line that is being read."""


class BadFile(WorkerError):
    """A file cannot be taken as it is; nothing was done with it."""

    reason = "bad_file"
    not_done: ClassVar[str] = "nothing was done"

    def __init__(self, faults: Iterable[Fault], *, count: int) -> None:
        self.faults = tuple(sorted(faults)[:MAX_FAULTS])
        self.count = count
        lines = [f"  line {fault.line_number}: {fault.text}" for fault in self.faults]
        if count > len(lines):
            lines.append(f"  and {count - len(lines)} more")
        what = "1 fault" if count == 1 else f"{count} faults"
        super().__init__("\n".join([f"{self.not_done}, the file has {what}:", *lines]))


class CsvLines:
    """The numbered lines of a file, and a place for their faults.

    Reading stops at once, with `refusal`, where going on makes no sense: a line is too long, or what the
    reader finds. All other faults are kept (the first MAX_FAULTS) and counted while the rest is read, so
    that one run shows them all.
    """

    refusal: ClassVar[type[BadFile]] = BadFile
    max_line_bytes: ClassVar[int]

    def __init__(self, lines: ByteLines) -> None:
        self._lines = lines
        self.faults: list[Fault] = []
        self.fault_count = 0
        self.row_count = 0

    def _numbered_lines(self) -> Iterator[tuple[int, bytes]]:
        line_number = 0
        while line := self._lines.readline(self.max_line_bytes + 1):
            line_number += 1
            if len(line) > self.max_line_bytes:
                self._stop(line_number, f"the line is longer than {self.max_line_bytes} bytes")
            if line_number == 1:
                line = line.removeprefix(_BOM)
            content = line.rstrip(b"\r\n")
            # An empty line holds nothing; editors leave them at the end of a file.
            if content or line_number == 1:
                yield line_number, content

    def _keep(self, line_number: int, text: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(line_number, text))

    def _stop(self, line_number: int, text: str) -> NoReturn:
        # Kept beyond the limit of faults too: it is why the rest of the file was not looked at.
        self.fault_count += 1
        self.faults = [*self.faults[: MAX_FAULTS - 1], Fault(line_number, text)]
        raise self.refusal(self.faults, count=self.fault_count)


def split(line: bytes, delimiter: str = ",") -> list[str]:
    """Return the fields of a line; raises LineFault."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise LineFault("not UTF-8") from None
    if '"' not in text:
        return text.split(delimiter)
    try:
        # Line by line, so that a forgotten quote spoils its own line and not the rest of the file.
        return next(csv.reader((text,), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise LineFault(f"not CSV: {error}") from None


def shown(value: str) -> str:
    """Quote a value of a file for people: cut, and with nothing in it that a terminal would obey."""
    short = value if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]}…"
    return ascii(short) if not short.isprintable() else repr(short)
