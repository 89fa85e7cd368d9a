"""Quarantine: what no worker can settle is kept in PostgreSQL, and only then taken out of Redis.

A background thread writes the rows and keeps trying while PostgreSQL is away; the message stays
unacknowledged until its row is committed, so a worker that dies meanwhile loses nothing: Redis delivers the
message again. What waits here is unacknowledged, so the consumer's prefetch window bounds it.
Decision 8.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter
from psycopg.types.json import Jsonb

from worker.domain.deadline import Backoff
from worker.errors import LedgerUnavailable
from worker.ledger.database import Database
from worker.quarantine.description import Description, describe_envelope

_BACKOFF: Final = Backoff(base_seconds=0.2, cap_seconds=2.0)

_log = structlog.get_logger(__name__)


class QuarantineStore:
    """The table `quarantine`. Calls of `worker/schema/functions/quarantine.sql`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, description: Description) -> tuple[int, int]:
        """Commit the message's row; return its id and how often the message has been seen.

        Raises LedgerUnavailable. Kept again, a message is counted and makes no second row.
        """
        quarantine_id, seen_count = self._database.one_row(
            "SELECT quarantine_id, seen_count FROM quarantine_message("
            "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                description.digest,
                description.reason,
                description.detail,
                description.queue,
                description.task_id,
                description.task_name,
                Jsonb(description.headers),
                description.content_type,
                description.content_encoding,
                description.message,
                description.message_bytes,
                description.producer,
            ),
        )
        return quarantine_id, seen_count

    def prune(self, *, keep_seconds: float, keep_rows: int, limit: int) -> int:
        """Delete at most `limit` messages that are old or too many, and return how many.

        Old is what was last delivered or put back `keep_seconds` ago; too many are the oldest ones beyond
        `keep_rows`. A result of `limit` means that there may be more. Raises LedgerUnavailable.
        """
        row = self._database.one_row("SELECT prune_quarantine(%s, %s, %s)", (keep_seconds, keep_rows, limit))
        return int(row[0])


class Quarantine:
    """One background thread that keeps messages; safe for use by many threads."""

    def __init__(
        self, store: QuarantineStore, *, registry: CollectorRegistry, random: Callable[[], float]
    ) -> None:
        self._store = store
        self._random = random
        self._waiting: SimpleQueue[tuple[Description, Callable[[], object]] | None] = SimpleQueue()
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
        self._waiting.put((description, then))

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
        failures = 0
        while (item := self._waiting.get()) is not None and not self._stopping.is_set():
            if self._write(*item):
                failures = 0
                continue
            # To the back: one message that cannot be written must not keep the others from it.
            self._waiting.put(item)
            self._stopping.wait(_BACKOFF.delay_seconds(retries=failures, random=self._random))
            failures += 1

    def _write(self, description: Description, then: Callable[[], object]) -> bool:
        try:
            quarantine_id, seen_count = self._store.keep(description)
        except LedgerUnavailable as error:
            _log.warning("quarantine_waits", reason=description.reason, error=str(error))
            return False
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The thread must outlive any surprise: without it nothing would be kept any more.
            _log.exception("quarantine_failed", reason=description.reason)
            return False
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
            then()
        except Exception:  # noqa: BLE001 - logged with its traceback; the row is kept, and Redis delivers again
            _log.exception("quarantined_message_not_acknowledged", quarantine_id=quarantine_id)
        return True
