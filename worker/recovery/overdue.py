"""Overdue events: given up, expired, or claimed for another run.

Its SQL is `worker/schema/functions/sweep.sql`. Decision 9.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from worker.ledger.database import Database

# Above the time that a transaction takes, and that two servers' clocks differ by, and short enough: what was
# closed within it is read again by each look.
_BOUND_MARGIN_SECONDS: Final = 60.0
# Beyond it nobody counts one by one.
_MOST_UNCONFIRMED: Final = 10_000
_BEFORE_ALL: Final = datetime.fromtimestamp(0, tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueEvent:
    """A claimed event: whoever holds it runs it once more.

    In a hurry is who has little time left: to be decided, or once settled, to be answered. `producer` is who
    handed it in.
    """

    event_id: UUID
    token: str
    received_at: datetime
    runs: int
    is_settled: bool
    is_in_a_hurry: bool
    producer: str


@dataclass(frozen=True, slots=True)
class Expired:
    """How many events were closed as expired, and for how many of them money had moved."""

    events: int
    unconfirmed: int


class OverdueReceipts:
    """What is overdue in the receipts. Workers may ask at once: a row goes to one of them.

    Every method is bounded in time and in rows, and raises LedgerUnavailable.
    """

    def __init__(
        self,
        database: Database,
        *,
        limit: int,
        hold_seconds: float,
        hurry_seconds: float,
        cutoff_seconds: float,
    ) -> None:
        self._database = database
        self._limit = limit
        self._hold_seconds = hold_seconds
        self._hurry_seconds = hurry_seconds
        self._cutoff_seconds = cutoff_seconds

    def give_up(self) -> int:
        """Decide 102823 for events whose cut-off passed undecided; returns how many."""
        return int(self._database.one_row("SELECT give_up_overdue(%s)", (self._limit,))[0])

    def expire(self) -> Expired:
        """Close events whose deadline passed without an acknowledgement."""
        row = self._database.one_row("SELECT expired, unconfirmed FROM expire_overdue(%s)", (self._limit,))
        return Expired(*row)

    def claim(
        self, *, lost_before: datetime | None, of_partners: Mapping[str, datetime | None] | None = None
    ) -> list[OverdueEvent]:
        """Claim events for another run; they are not overdue again for `hold_seconds`, later for longer.

        An undecided event that was received at or after `lost_before` may still wait in the queue and
        is left to it, until its cut-off is near. None: nothing waits in the queue. `of_partners` says the
        same of partners' events by their own queues; those of others are claimed near their cut-off.
        """
        partners = None if of_partners is None else (list(of_partners), list(of_partners.values()))
        rows = self._database.rows(
            "SELECT event_id, token, received_at, runs, is_settled, is_in_a_hurry, producer "
            "FROM claim_overdue(%s, %s, %s, %s, %s, %s::text[], %s::timestamptz[])",
            (
                self._limit,
                self._hold_seconds,
                self._hurry_seconds,
                lost_before,
                self._cutoff_seconds,
                *(partners or (None, None)),
            ),
        )
        return [
            OverdueEvent(
                event_id=event_id,
                token=token,
                received_at=received_at,
                runs=runs,
                is_settled=is_settled,
                is_in_a_hurry=is_in_a_hurry,
                producer=producer,
            )
            for event_id, token, received_at, runs, is_settled, is_in_a_hurry, producer in rows
        ]

    def lost_before(self, at_head: Sequence[UUID]) -> datetime:
        """Return before which moment an event was received that is not in the queue any more.

        `at_head`: the events at the queue's head, the next one to be taken first. Where none of them is on
        record nobody knows, and the queue may have all.
        """
        (received_at,) = self._database.one_row("SELECT received_first(%s)", (list(at_head),))
        return received_at or _BEFORE_ALL

    def unconfirmed(self) -> int:
        """Return of how many events money moved and nobody acknowledged it, counted up to a limit."""
        return int(self._database.one_row("SELECT count_unconfirmed(%s)", (_MOST_UNCONFIRMED,))[0])

    def raise_bound(self) -> None:
        """Have later looks begin at what is open now, less a margin, and not at what was closed long ago."""
        # Not the bound itself: at first it lies before all times, and Python has none of these.
        self._database.one_row("SELECT raise_sweep_bound(%s) IS NULL", (_BOUND_MARGIN_SECONDS,))

    def look_below_bound(self) -> None:
        """Look for open events where no look goes any more, so that the next ones go there again."""
        self._database.one_row("SELECT lower_sweep_bound() IS NULL", ())
