"""Open replays in PostgreSQL: claimed, and what came of them.

Its SQL is `worker/schema/functions/replay.sql`. Decision 48.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from worker.domain.accepts import SentAccepts
from worker.domain.settlement import Settlement
from worker.ledger.accepts import accepts_by_event
from worker.ledger.database import Database
from worker.ledger.ledger import settlement_of

# For how long BETCORE may be tried again, counted from the first accept, and how often.
WINDOW_SECONDS: Final = 30.0
MAX_TRIES: Final = 5
# A worker that has not said by then what came of an accept is lost.
LEASE_SECONDS: Final = 15.0


class ReplayState(StrEnum):
    """How a replay stands; open ones are to be sent, or sent again."""

    OPEN = "open"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A replay that this worker has in hand, for the length of its lease.

    `tries` counts the workers' claims of it, this one too. For `seconds_left` from the claim it may be tried
    again. `token` is None where it is not on record.
    """

    replay_id: int
    tries: int
    seconds_left: float
    event_id: UUID
    token: str | None
    received_at: datetime
    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a claim came to: what is to be sent, and the states of those that ended by the claim itself."""

    replays: tuple[Replay, ...]
    ended: tuple[ReplayState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a replay, whose accepts were `sent`; while it is open it is due after `delay_seconds`."""

    replay_id: int
    tries: int
    state: ReplayState
    sent: SentAccepts = ()
    error: str | None = None
    delay_seconds: float | None = None


class ReplayStore:
    """What is open of replays. Workers may ask at once: a replay goes to one of them.

    Every method is bounded in time and in rows, and raises LedgerUnavailable.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float = LEASE_SECONDS,
        window_seconds: float = WINDOW_SECONDS,
        max_tries: int = MAX_TRIES,
    ) -> None:
        self._database = database
        self.lease_seconds = lease_seconds
        self._window_seconds = window_seconds
        self.max_tries = max_tries

    def claim(self, *, limit: int) -> Claimed:
        """Claim replays that are due, at most `limit`."""
        rows = self._database.rows(
            "SELECT replay_id, tries, state, seconds_left, event_id, token, received_at, (stands).* "
            "FROM claim_replays(%s, %s, %s, %s)",
            (limit, self.lease_seconds, self._window_seconds, self.max_tries),
        )
        return Claimed(
            replays=tuple(
                Replay(
                    replay_id=replay_id,
                    tries=tries,
                    seconds_left=seconds_left,
                    event_id=event_id,
                    token=token,
                    received_at=received_at,
                    settlement=settlement_of(stands),
                )
                for replay_id, tries, state, seconds_left, event_id, token, received_at, *stands in rows
                if state == ReplayState.OPEN
            ),
            ended=tuple(ReplayState(row[2]) for row in rows if row[2] != ReplayState.OPEN),
        )

    def note(self, outcomes: Sequence[Outcome]) -> int:
        """Put outcomes on record, all in one commit; returns how many counted."""
        (noted,) = self._database.one_row(
            "SELECT note_replays(%s, %s::integer[], %s, %s::text[], %s::double precision[], %s::json)",
            (
                [outcome.replay_id for outcome in outcomes],
                [outcome.tries for outcome in outcomes],
                [outcome.state.value for outcome in outcomes],
                [outcome.error for outcome in outcomes],
                [outcome.delay_seconds for outcome in outcomes],
                accepts_by_event(outcome.sent for outcome in outcomes),
            ),
        )
        return int(noted)
