"""Quarantine: what no worker can settle is kept in PostgreSQL, and only then taken out of Redis.

A background thread writes the rows, those that wait in one transaction, and keeps trying while PostgreSQL is
away; a message stays unacknowledged until its row is committed, so a worker that dies meanwhile loses
nothing: Redis delivers it again. What waits here is unacknowledged, so the consumer's prefetch window bounds
it. Decision 8.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter
from psycopg.types.json import Jsonb

from worker.domain.deadline import Backoff
from worker.errors import LedgerUnavailable
from worker.ledger.database import Database
from worker.quarantine.description import Description, describe_envelope

MAX_GROUP: Final = 64
MAX_GROUP_BYTES: Final = 262_144
"""A group that has as much takes no further message."""
_BACKOFF: Final = Backoff(base_seconds=0.2, cap_seconds=2.0)
# One statement, and so one transaction; each message is a call of its own, also one that is there twice.
_KEEP: Final = """
SELECT kept.quarantine_id, kept.seen_count
FROM unnest(
    %b::bytea[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::jsonb[], %s::text[], %s::text[], %b::bytea[], %s::bigint[], %s::text[]
) WITH ORDINALITY AS given (
    digest, reason, detail, queue, task_id, task_name,
    headers, content_type, content_encoding, message, message_bytes, producer, number
), quarantine_message(
    given.digest, given.reason, given.detail, given.queue, given.task_id, given.task_name,
    given.headers, given.content_type, given.content_encoding, given.message, given.message_bytes,
    given.producer
) AS kept
ORDER BY given.number
"""

_log = structlog.get_logger(__name__)


class QuarantineStore:
    """The table `quarantine`. Calls of `worker/schema/functions/quarantine.sql`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, description: Description) -> tuple[int, int]:
        """Commit the message's row; return its id and how often the message has been seen.

        Raises LedgerUnavailable. Kept again, a message is counted and makes no second row.
        """
        return self.keep_all([description])[0]

    def keep_all(self, descriptions: Sequence[Description]) -> list[tuple[int, int]]:
        """Commit the rows of several messages, all or none; return of each, in this order, what `keep` does.

        Raises LedgerUnavailable. Callers that may keep the same messages at once do so in one order.
        """
        members = (
            [each.digest for each in descriptions],
            [each.reason for each in descriptions],
            [each.detail for each in descriptions],
            [each.queue for each in descriptions],
            [each.task_id for each in descriptions],
            [each.task_name for each in descriptions],
            [Jsonb(each.headers) for each in descriptions],
            [each.content_type for each in descriptions],
            [each.content_encoding for each in descriptions],
            [each.message for each in descriptions],
            [each.message_bytes for each in descriptions],
            [each.producer for each in descriptions],
        )
        return [(row[0], row[1]) for row in self._database.rows(_KEEP, members)]

    def prune(self, *, keep_seconds: float, keep_rows: int, limit: int) -> int:
        """Delete at most `limit` messages that are old or too many, and return how many.

        Old is what was last delivered or put back `keep_seconds` ago; too many are the oldest ones beyond
        `keep_rows`. A result of `limit` means that there may be more. Raises LedgerUnavailable.
        """
        row = self._database.one_row("SELECT prune_quarantine(%s, %s, %s)", (keep_seconds, keep_rows, limit))
        return int(row[0])


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message, and what lets go of it."""

    description: Description
    then: Callable[[], object]


class Quarantine:
    """One background thread that keeps messages; safe for use by many threads."""

    def __init__(
        self,
        store: QuarantineStore,
        *,
        registry: CollectorRegistry,
        random: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._random = random
        self._monotonic = monotonic
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        # What could not be written; of the thread alone.
        self._alone: deque[_Waiting] = deque()
        self._failures = 0
        self._alone_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quarantine", daemon=True)
        self._counter = Counter(
            "cashback_quarantined_total",
            "Messages put into quarantine, by reason",
            ["reason"],
            registry=registry,
        )

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def keep(self, description: Description, *, then: Callable[[], object]) -> None:
        """Have the message kept, however long that takes, and then call `then`, which lets go of it.

        Never blocks. `then` runs in the background thread, after the row is committed, or not at all.
        """
        self._waiting.put(_Waiting(description, then))

    def keep_message(
        self,
        message: Any,  # noqa: ANN401 - kombu has no types
        *,
        reason: str,
        error: object,
        then: Callable[[], object],
    ) -> None:
        """Have a message that the consumer received kept, see `keep`; `error` says what is wrong with it."""
        entry = message.entry
        detail = f"{type(error).__name__}: {error}" if isinstance(error, Exception) else str(error)
        description = describe_envelope(
            entry,
            reason=reason,
            detail=detail,
            queue=entry.queue,
            message=entry.raw,
            producer=entry.producer,
        )
        self.keep(description, then=then)

    def close(self, *, timeout_seconds: float) -> None:
        """End the thread. What is not written by then was not acknowledged, so Redis delivers it again."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            group = self._next_group()
            if self._stopping.is_set():
                return
            if group and not self._write(group):
                # Whose fault it was nobody knows: each will find out alone.
                self._alone.extend(group)
                if len(group) == 1:
                    self._put_off()
            if self._alone and self._monotonic() >= self._alone_at:
                self._write_one_alone()

    def _next_group(self) -> list[_Waiting]:
        """Wait for a message, or until one that goes alone is due; return it and what waits behind it."""
        group: list[_Waiting] = []
        size = 0
        wait_seconds = max(0.0, self._alone_at - self._monotonic()) if self._alone else None
        while len(group) < MAX_GROUP and size < MAX_GROUP_BYTES:
            try:
                waiting = self._waiting.get_nowait() if group else self._waiting.get(timeout=wait_seconds)
            except Empty:
                break
            if waiting is None:
                break
            group.append(waiting)
            size += len(waiting.description.message)
        # Workers that write the same messages do so in one order: none waits for another that waits for it.
        return sorted(group, key=lambda each: each.description.digest)

    def _write_one_alone(self) -> None:
        waiting = self._alone.popleft()
        if self._write([waiting]):
            self._failures = 0
            return
        # To the back: one message that cannot be written must not keep the others from it.
        self._alone.append(waiting)
        self._put_off()

    def _put_off(self) -> None:
        """Have what goes alone wait; what comes meanwhile does not."""
        pause_seconds = _BACKOFF.delay_seconds(retries=self._failures, random=self._random)
        self._alone_at = self._monotonic() + pause_seconds
        self._failures += 1

    def _write(self, group: list[_Waiting]) -> bool:
        """Commit the rows, and let go of the messages; say whether they are committed."""
        reason = group[0].description.reason
        try:
            kept = self._store.keep_all([each.description for each in group])
        except LedgerUnavailable as error:
            _log.warning("quarantine_waits", reason=reason, messages=len(group), error=str(error))
            return False
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The thread must outlive any surprise: without it nothing would be kept any more.
            _log.exception("quarantine_failed", reason=reason, messages=len(group))
            return False
        for waiting, (quarantine_id, seen_count) in zip(group, kept, strict=True):
            self._let_go(waiting, quarantine_id, seen_count)
        return True

    def _let_go(self, waiting: _Waiting, quarantine_id: int, seen_count: int) -> None:
        description = waiting.description
        self._counter.labels(reason=description.reason).inc()
        _log.error(
            "message_quarantined",
            quarantine_id=quarantine_id,
            reason=description.reason,
            detail=description.detail,
            queue=description.queue,
            producer=description.producer,
            task_id=description.task_id,
            task_name=description.task_name,
            message_bytes=description.message_bytes,
            seen_count=seen_count,
        )
        try:
            waiting.then()
        except Exception:  # noqa: BLE001 - logged with its traceback; the row is kept, and Redis delivers again
            _log.exception("quarantined_message_not_acknowledged", quarantine_id=quarantine_id)
