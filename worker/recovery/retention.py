"""Retention: old answered receipts, tokens and quarantined messages are cleared away, a little at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from worker.errors import LedgerUnavailable
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


@dataclass(frozen=True, slots=True)
class _Batch:
    """How much went, and whether more may be waiting."""

    gone: int
    is_full: bool


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
        """Clear away one batch of each kind if it is time for one; return how many rows and weeks went.

        After a full batch the next one is due at once, otherwise after some minutes; after a failure, too:
        what takes too long is not tried again with every sweep. One kind that fails holds up no other.
        """
        if self._monotonic() < self._due_at:
            return 0
        self._due_at = self._monotonic() + _PAUSE_SECONDS
        pruned = {}
        for kind, prune in (
            ("receipts", self._prune_receipts),
            ("weeks_of_tokens", self._prune_tokens),
            ("quarantined", self._prune_messages),
            ("replays", self._prune_replays),
        ):
            try:
                pruned[kind] = prune()
            except LedgerUnavailable as error:
                _log.warning("prune_failed", kind=kind, reason=error.reason, error=str(error))
        if any(batch.is_full for batch in pruned.values()):
            self._due_at = self._monotonic()
        if any(batch.gone for batch in pruned.values()):
            _log.info("pruned", **{kind: batch.gone for kind, batch in pruned.items()})
        return sum(batch.gone for batch in pruned.values())

    def _prune_receipts(self) -> _Batch:
        (gone,) = self._database.one_row(
            "SELECT prune_receipts(%s, %s)", (self._keep.receipts_seconds, _LIMIT)
        )
        return _Batch(gone, is_full=gone == _LIMIT)

    def _prune_tokens(self) -> _Batch:
        emptied, kept = self._database.one_row(
            "SELECT emptied, kept FROM prune_tokens(%s, %s)", (self._keep.tokens_seconds, _LIMIT)
        )
        return _Batch(emptied, is_full=kept == _LIMIT)

    def _prune_replays(self) -> _Batch:
        (gone,) = self._database.one_row(
            "SELECT prune_replays(%s, %s)", (self._keep.receipts_seconds, _LIMIT)
        )
        return _Batch(gone, is_full=gone == _LIMIT)

    def _prune_messages(self) -> _Batch:
        gone = self._quarantine.prune(
            keep_seconds=self._keep.quarantine_seconds, keep_rows=self._keep.quarantine_rows, limit=_LIMIT
        )
        return _Batch(gone, is_full=gone == _LIMIT)
