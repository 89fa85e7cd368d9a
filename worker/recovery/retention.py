"""Retention: old answered receipts, tokens and quarantined messages are cleared away, a little at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from worker.ledger.database import Database
from worker.quarantine.writer import QuarantineStore

SECONDS_PER_DAY: Final = 86_400.0

# Of one call, which must not hold up what is overdue: the rest follows with the next sweep.
_LIMIT: Final = 500
_PAUSE_SECONDS: Final = 600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long what is kept."""

    receipts_seconds: float
    tokens_seconds: float
    quarantine_seconds: float
    quarantine_rows: int


class Retention:
    """Deletes what is older than it is to be kept. For one thread; every worker may have one."""

    def __init__(
        self,
        database: Database,
        quarantine: QuarantineStore,
        *,
        keep: Keep,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._quarantine = quarantine
        self._keep = keep
        self._monotonic = monotonic
        self._due_at = monotonic()

    def prune(self) -> int:
        """Delete one batch if it is time for one, and return how many rows went. Raises LedgerUnavailable.

        After a full batch the next one is due at once, otherwise after some minutes.
        """
        if self._monotonic() < self._due_at:
            return 0
        keep = self._keep
        receipts = int(
            self._database.one_row("SELECT prune_receipts(%s, %s)", (keep.receipts_seconds, _LIMIT))[0]
        )
        slots, tokens_kept = self._database.one_row(
            "SELECT emptied, kept FROM prune_tokens(%s, %s)", (keep.tokens_seconds, _LIMIT)
        )
        messages = self._quarantine.prune(
            keep_seconds=keep.quarantine_seconds, keep_rows=keep.quarantine_rows, limit=_LIMIT
        )
        if _LIMIT not in {receipts, tokens_kept, messages}:
            self._due_at = self._monotonic() + _PAUSE_SECONDS
        if receipts or slots or messages:
            _log.info("pruned", receipts=receipts, weeks_of_tokens=slots, quarantined=messages)
        return receipts + messages
