"""What this process has seen committed and not yet passed on to the witness: the newest, in memory.

Decision 27.
"""

import time
from collections import deque
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from worker.domain.settlement import PostedTransaction, partner_transaction_id

# As many as the witness keeps of all processes together; of more than that the oldest are forgotten.
MAX_COMMITS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One transaction that stood in the ledger when its commit was answered."""

    cashback_id: int
    transaction_type: int
    event_id: UUID
    transaction_id: int
    seen_at_ms: int

    @property
    def name(self) -> str:
        """The name that BETCORE knows the money by."""
        return partner_transaction_id(self.cashback_id, self.transaction_type)


class CommitNotes:
    """Takes down commits and never waits, so that no settlement is held up; safe for many threads."""

    def __init__(self) -> None:
        self._commits: deque[Commit] = deque(maxlen=MAX_COMMITS)

    def note(self, transaction: PostedTransaction, event_id: UUID) -> None:
        """Take down that the ledger has answered for this transaction of the event, so it is committed."""
        self._commits.append(
            Commit(
                cashback_id=transaction.cashback_id,
                transaction_type=transaction.transaction_type,
                event_id=event_id,
                transaction_id=transaction.transaction_id,
                seen_at_ms=int(time.time() * 1000),
            )
        )

    def take(self) -> list[Commit]:
        """Return what was taken down since the last call, oldest first; for one thread."""
        return [self._commits.popleft() for _ in range(len(self._commits))]
