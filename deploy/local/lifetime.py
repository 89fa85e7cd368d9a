"""What runs inside a `with` block and leaves nothing behind."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self


class Lifetime:
    """Starts on entry; at its end, and where its start fails, all that `_cleanup` was told is undone."""

    def __init__(self) -> None:
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _start(self) -> None:
        raise NotImplementedError
