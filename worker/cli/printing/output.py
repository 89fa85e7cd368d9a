"""How commands print: JSON for programs, tables for people."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# Where the output goes into a file or a pipe nothing has to fit a screen.
_PIPE_WIDTH_CHARS: Final = 100_000
_INDENT: Final = "    "
_PAIR: Final = 2

STYLES: Final[Mapping[str, str]] = {
    "received": "yellow",
    "settled": "yellow",
    "answered": "green",
    "refused": "red",
    "expired": "red",
    "unconfirmed": "bold red",
}
"""The colours of states, at a terminal."""

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_document(document: Mapping[str, object]) -> None:
    """Print one JSON object; times as ISO 8601 in UTC with milliseconds."""
    click.echo(json.dumps(document, indent=2, default=_as_json))


def print_json_line(document: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own, at once."""
    click.echo(json.dumps(document, default=_as_json))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, cells as they are: nothing in them is taken for markup or for terminal control.

    Where it is wider than the terminal, each row is printed as a few lines of names and values instead, so
    that nothing is folded in its middle.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[_cell(cell) for cell in row] for row in rows]
    table = Table()
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in cells:
        table.add_row(*row)
    screen = console()
    for line in wrapped(Text(as_text(title), style="italic"), screen.width):
        print_line(line, screen=screen)
    if _natural_width(table, screen) <= screen.width:
        screen.print(table)
        return
    for row in cells:
        _print_record(columns, row, screen)


def console() -> "Console":
    """Return the console of this process: as wide as the terminal or as COLUMNS says, and else unbounded."""
    from rich.console import Console

    is_bounded = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(width=None if is_bounded else _PIPE_WIDTH_CHARS, highlight=False)


def print_line(text: "Text", *, screen: "Console") -> None:
    """Print a line as it is: it is not folded, however long it is."""
    screen.print(text, soft_wrap=True)


def major(amount_minor: int, exponent: int) -> str:
    """Write an amount in major units with all digits of its currency: 1050 with exponent 2 is 10.50."""
    return str(Decimal(amount_minor).scaleb(-exponent))


def as_text(value: object) -> str:
    """Write a value for people; what a terminal would take for control is replaced."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return printable(str(value))


def printable(text: str) -> str:
    """Return a text with nothing in it that would steer a terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _cell(value: object) -> "Text":
    from rich.text import Text

    text = as_text(value)
    return Text(text, style=STYLES.get(text, ""))


def _natural_width(table: "Table", screen: "Console") -> int:
    from rich.measure import Measurement

    wide = screen.options.update(width=_PIPE_WIDTH_CHARS)
    return Measurement.get(screen, wide, table).maximum


def _print_record(columns: Sequence[str], row: Sequence["Text"], screen: "Console") -> None:
    """Print the first cell, and then the others with their names, as many on a line as there is room for."""
    from rich.text import Text

    line = row[0].copy()
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell.plain == "-":
            continue
        # Of a name and a value both are said by their order.
        named = Text("" if len(columns) == _PAIR else f"{column} ", style="dim").append_text(cell)
        if line.cell_len + 2 + named.cell_len <= screen.width:
            line.append("  ").append_text(named)
            continue
        print_line(line, screen=screen)
        *full, last = wrapped(named, screen.width - len(_INDENT))
        for each in full:
            print_line(Text(_INDENT).append_text(each), screen=screen)
        line = Text(_INDENT).append_text(last)
    print_line(line, screen=screen)


def wrapped(text: "Text", width_chars: int) -> "list[Text]":
    """Return the lines of a text, broken between words alone; a word that is longer stays whole."""
    lines = [text]
    while lines[-1].cell_len > width_chars:
        plain = lines[-1].plain
        at = plain.rfind(" ", 0, width_chars + 1)
        at = at if at > 0 else plain.find(" ", width_chars)
        if at < 0:
            break
        first, rest = lines.pop().divide([at])
        lines += [first, rest[1:]]
    return lines


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(f"{type(value).__name__} has no place in the output")
