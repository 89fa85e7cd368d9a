"""Cells of CSV (RFC 4180) that a spreadsheet takes for text."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from worker.cli.printing.output import as_text

# OWASP, "CSV Injection": what a cell of a spreadsheet begins with that is computed, full width or not.
# A number is no formula, and stays one.
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def cell(value: object) -> str:
    """Write a value; a text that would be a formula begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, int | Decimal):
        return as_text(value)
    text = str(value)
    is_formula = _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
    return f"'{as_text(text)}" if is_formula else as_text(text)
