"""How far a long command has come: on stderr, and at a terminal alone."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from worker.csv_lines import ByteLines

_TOLD_EACH_LINES: Final = 5_000


@contextmanager
def steps(count: int) -> Iterator[Callable[[str], None]]:
    """Show a bar of `count` steps while the block runs; call it with the name of each."""
    if not sys.stderr.isatty():
        yield lambda _name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=count)
        begun = 0

        def step(name: str) -> None:
            nonlocal begun
            progress.update(task, description=name, completed=begun)
            begun += 1

        yield step


@contextmanager
def reading(file: BinaryIO) -> Iterator["ByteLines"]:
    """Show how much of a file is read while the block reads lines of what is given."""
    if not sys.stderr.isatty():
        yield file
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description:<28}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading the statement", total=_size(file))
        yield _ToldLines(file, lambda count: progress.advance(task, count))


class _ToldLines:
    """Lines of a file whose bytes are told, some thousand lines at a time."""

    def __init__(self, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._file = file
        self._tell = tell
        self._lines = 0
        self._bytes = 0

    def readline(self, size: int, /) -> bytes:
        line = self._file.readline(size)
        self._lines += 1
        self._bytes += len(line)
        if self._lines % _TOLD_EACH_LINES == 0:
            self._tell(self._bytes)
            self._bytes = 0
        return line


def _size(file: BinaryIO) -> int | None:
    try:
        status = os.fstat(file.fileno())
    except OSError:
        # What is no file of the system.
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
