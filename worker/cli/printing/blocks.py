"""Records that are too wide for a table: a head and a few lines below it, each wrapped at words."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from worker.cli.printing.output import printable

# As print_table has it: where the output goes into a file or a pipe nothing has to fit a screen.
_PIPE_WIDTH_CHARS: Final = 240
_INDENT_CHARS: Final = 2


@dataclass(frozen=True, slots=True)
class Block:
    """One record; `style` colours its head at a terminal."""

    head: str
    lines: Sequence[str]
    style: str = "bold"


def print_blocks(title: str, blocks: Iterable[Block]) -> None:
    """Print records below each other, their texts as they are: nothing in them is taken for markup."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    width_chars = None if sys.stdout.isatty() else _PIPE_WIDTH_CHARS
    console = Console(width=width_chars, highlight=False)
    console.print(Text(title, style="italic"))
    shown = list(blocks)
    if not shown:
        console.print(Padding(Text("none"), (0, 0, 0, _INDENT_CHARS), expand=False))
    for block in shown:
        console.print(Text(printable(block.head), style=block.style))
        for line in block.lines:
            console.print(Padding(Text(printable(line)), (0, 0, 0, _INDENT_CHARS), expand=False))


def moment(at: datetime) -> str:
    """Write a time in UTC, in seconds."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
