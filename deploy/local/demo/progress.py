"""Shows how far a demo is: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.local.demo.drive import Standing

_LINE_SECONDS: Final = 5.0


class ProgressView:
    """Shows standings while the block runs; `total` is how many makes are planned."""

    def __init__(
        self, console: Console, *, total: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._total = total
        self._monotonic = monotonic
        self._next_line_at = monotonic()
        self._last: Standing | None = None
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=console) if console.is_terminal else None
        if self._bars is not None:
            self._sent = self._bars.add_task("makes sent", total=total)
            self._ended = self._bars.add_task("events ended", total=None)

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        elif self._last is not None:
            self._line(self._last)

    def show(self, standing: Standing) -> None:
        """Show how far it is."""
        self._last = standing
        if self._bars is not None:
            self._bars.update(self._sent, completed=standing.sent)
            self._bars.update(self._ended, completed=standing.ended, total=standing.received)
        elif self._monotonic() >= self._next_line_at:
            self._next_line_at = self._monotonic() + _LINE_SECONDS
            self._line(standing)

    def _line(self, standing: Standing) -> None:
        self._console.print(
            f"{standing.sent} of {self._total} makes sent, "
            f"{standing.ended} of {standing.received} received events ended"
        )
