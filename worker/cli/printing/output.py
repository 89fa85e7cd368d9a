"""How commands print: JSON for programs, tables for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import click

# Where the output goes into a file or a pipe nothing has to fit a screen.
_PIPE_WIDTH_CHARS: Final = 240

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_document(document: Mapping[str, object]) -> None:
    """Print one JSON object; times as ISO 8601 in UTC with milliseconds."""
    click.echo(json.dumps(document, indent=2, default=_as_json))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, cells as they are: nothing in them is taken for markup or for terminal control."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_as_text(cell)) for cell in row))
    width_chars = None if sys.stdout.isatty() else _PIPE_WIDTH_CHARS
    Console(width=width_chars, highlight=False).print(table)


def major(amount_minor: int, exponent: int) -> str:
    """Write an amount in major units with all digits of its currency: 1050 with exponent 2 is 10.50."""
    return str(Decimal(amount_minor).scaleb(-exponent))


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in the output")


def _as_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03}"
    return "".join(character if character.isprintable() else "�" for character in str(value))
