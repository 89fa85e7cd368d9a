"""Marks events as answered, many in one commit, off the path of the answer itself.

BETCORE has the answer by then, so a mark that is late costs nothing; one that is lost with its process
makes the event overdue, and it is answered once more with the same answer. Decisions 4 and 13.
"""

import threading
import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Final
from uuid import UUID

import structlog

from worker.domain.deadline import Backoff
from worker.errors import LedgerUnavailable
from worker.ledger.ledger import Ledger

MAX_WAITING: Final = 10_000
MAX_GROUP: Final = 500
MAX_BLOCK_SECONDS: Final = 5.0
# Nobody waits for a mark, and one commit for all of this time costs what one for each event would.
PAUSE_SECONDS: Final = 0.05
_BACKOFF: Final = Backoff(base_seconds=0.2, cap_seconds=5.0)

_log = structlog.get_logger(__name__)


class AnsweredMarks:
    """One background thread that writes down which events BETCORE acknowledged."""

    def __init__(self, ledger: Ledger, *, random: Callable[[], float]) -> None:
        self._ledger = ledger
        self._random = random
        self._waiting: Queue[UUID | None] = Queue(MAX_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="answered-marks", daemon=True)

    def start(self) -> None:
        """Begin to write marks."""
        self._thread.start()

    def answered(self, event_id: UUID) -> None:
        """Have the event marked as answered soon; blocks, for some seconds, only when very many wait."""
        try:
            self._waiting.put(event_id, timeout=MAX_BLOCK_SECONDS)
        except Full:
            _log.error("mark_dropped", event_id=str(event_id), waiting=self._waiting.qsize())

    def has_room(self) -> bool:
        """Whether `answered` would not block."""
        return not self._waiting.full()

    def close(self, *, timeout_seconds: float) -> None:
        """Write what is waiting, for at most `timeout_seconds`; what is left is answered once more later."""
        ends_at = time.monotonic() + timeout_seconds
        try:
            self._waiting.put(None, timeout=timeout_seconds)
            self._thread.join(timeout=max(0.0, ends_at - time.monotonic()))
        except Full:
            _log.warning("marks_full", waiting=self._waiting.qsize())
        # From here on the thread writes nothing more: it ends as soon as its call of PostgreSQL does.
        self._stopping.set()
        if self._thread.is_alive() or not self._waiting.empty():
            _log.warning("marks_left", at_least=self._waiting.qsize())

    def _run(self) -> None:
        closing = False
        while not closing and not self._stopping.is_set():
            group, closing = self._next_group()
            if group:
                self._write(group)

    def _next_group(self) -> tuple[list[UUID], bool]:
        """Wait for marks; return those of the next moments, and whether they are the last."""
        group: list[UUID] = []
        item = self._waiting.get()
        if item is not None:
            # Not a wait for the next mark: that would wake this thread for each of them.
            time.sleep(PAUSE_SECONDS)
        while item is not None:
            group.append(item)
            if len(group) == MAX_GROUP:
                return group, False
            try:
                item = self._waiting.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _write(self, group: list[UUID]) -> None:
        retries = 0
        while not self._stopping.is_set():
            try:
                self._ledger.mark_answered(group)
            except LedgerUnavailable as error:
                _log.warning("marks_wait", events=len(group), error=str(error))
                self._stopping.wait(_BACKOFF.delay_seconds(retries=retries, random=self._random))
                retries += 1
            else:
                return
