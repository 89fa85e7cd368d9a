"""Marks events as answered, many in one commit, off the path of the answer itself.

BETCORE has the answer by then, so a mark that is late costs nothing; one that is lost with its process
makes the event overdue, and it is answered once more with the same answer. Decisions 4 and 13.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Final
from uuid import UUID

import structlog

from worker.domain.accepts import SentAccept, SentAccepts
from worker.domain.deadline import Backoff
from worker.errors import LedgerUnavailable
from worker.ledger.ledger import Ledger

MAX_WAITING: Final = 10_000
MAX_GROUP: Final = 500
MAX_BLOCK_SECONDS: Final = 5.0
_MAX_NAMED: Final = 10
# Classes of SQLSTATE: data, constraints, what a trigger raises, and rows that cannot be read.
_ABOUT_THE_ROWS: Final = frozenset({"22", "23", "P0", "XX"})
# Nobody waits for a mark, and one commit for all of this time costs what one for each event would.
PAUSE_SECONDS: Final = 0.05
_BACKOFF: Final = Backoff(base_seconds=0.2, cap_seconds=5.0)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """An event that BETCORE acknowledged, after these accepts."""

    event_id: UUID
    sent: SentAccepts


class AnsweredMarks:
    """One background thread that writes down which events BETCORE acknowledged."""

    def __init__(self, ledger: Ledger, *, random: Callable[[], float]) -> None:
        self._ledger = ledger
        self._random = random
        self._waiting: Queue[Mark | None] = Queue(MAX_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="answered-marks", daemon=True)

    def start(self) -> None:
        """Begin to write marks."""
        self._thread.start()

    def answered(self, event_id: UUID, *, sent: SentAccepts = ()) -> None:
        """Have the event marked as answered soon, and the accepts that were sent put on record.

        Blocks, for some seconds, only when very many wait.
        """
        try:
            self._waiting.put(Mark(event_id, sent), timeout=MAX_BLOCK_SECONDS)
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
            if group and (error := self._refusal(group)) is not None:
                self._write_each(group, error)

    def _next_group(self) -> tuple[list[Mark], bool]:
        """Wait for marks; return those of the next moments, and whether they are the last."""
        group: list[Mark] = []
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

    def _refusal(self, group: list[Mark]) -> Exception | None:
        """Write the marks in one commit, however long PostgreSQL is away; return why that cannot be."""
        retries = 0
        while not self._stopping.is_set():
            try:
                sent: defaultdict[UUID, list[SentAccept]] = defaultdict(list)
                for mark in group:
                    sent[mark.event_id] += mark.sent
                self._ledger.mark_answered(sent, sent=sent)
            except LedgerUnavailable as error:
                if _is_about_the_rows(error):
                    return error
                _log.warning("marks_wait", events=len(group), error=str(error))
                self._stopping.wait(_BACKOFF.delay_seconds(retries=retries, random=self._random))
                retries += 1
            except Exception as error:  # noqa: BLE001 - logged with its traceback by whoever gets it
                # The thread must outlive any surprise: without it every answered event would end as expired.
                return error
            else:
                return None
        return None

    def _write_each(self, group: list[Mark], error: Exception) -> None:
        """Write each mark alone, as one of them failed them all; name those that fail alone, once.

        Their events are overdue then: BETCORE gets the same answer again, and the mark is tried again.
        """
        refused = {group[0]: error} if len(group) == 1 else {}
        for mark in group if len(group) > 1 else ():
            if (refusal := self._refusal([mark])) is not None:
                refused[mark] = refusal
        _log.error(
            "marks_refused",
            events=len(refused),
            of=len(group),
            event_ids=[str(mark.event_id) for mark in list(refused)[:_MAX_NAMED]],
            detail="BETCORE acknowledged these events and the ledger does not take that down; see the error",
            exc_info=next(iter(refused.values()), error),
        )


def _is_about_the_rows(error: LedgerUnavailable) -> bool:
    """Whether PostgreSQL answered that it cannot write these rows, ever; it may take others."""
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    return sqlstate is not None and sqlstate[:2] in _ABOUT_THE_ROWS
