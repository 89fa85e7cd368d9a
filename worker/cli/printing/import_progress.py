"""Shows on stderr how far an import has come: a bar at a terminal, a line now and then elsewhere."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from worker.accounts.progress import ImportProgress

LINE_SECONDS: Final = 10.0
# With the words beside it 80 columns are enough.
_BAR_CHARS: Final = 10


@contextmanager
def shown(progress: "ImportProgress", *, asked: bool | None) -> Iterator[None]:
    """Show the progress during the block: at a terminal unless told not to, elsewhere if asked to."""
    if asked is False or (asked is None and not sys.stderr.isatty()):
        yield
    elif sys.stderr.isatty():
        with _bar(progress):
            yield
    else:
        with _lines(progress):
            yield


@contextmanager
def _bar(progress: "ImportProgress") -> Iterator[None]:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, Task
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    class Bar(ProgressColumn):
        def render(self, task: Task) -> ProgressBar:  # noqa: ARG002 - rich's signature
            return ProgressBar(total=1.0, completed=progress.share, width=_BAR_CHARS)

    class Words(ProgressColumn):
        def render(self, task: Task) -> Text:  # noqa: ARG002 - the same
            return Text(progress.sentence())

    # Drawn again by rich's own thread, also while PostgreSQL works and nothing is told.
    with Progress(Bar(), Words(), console=Console(stderr=True), transient=True) as drawn:
        drawn.add_task("import")
        yield


@contextmanager
def _lines(progress: "ImportProgress") -> Iterator[None]:
    has_ended = threading.Event()

    def write() -> None:
        while not has_ended.wait(LINE_SECONDS):
            click.echo(progress.sentence(), err=True)

    thread = threading.Thread(target=write, name="import-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
