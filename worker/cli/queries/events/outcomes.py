"""What became of some events, asked until they have ended."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from worker.domain.settlement import State

_OPEN: Final = frozenset({State.RECEIVED, State.SETTLED})
_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an event stands."""

    event_id: UUID
    state: str
    code: int | None
    unconfirmed: bool
    last_error: str | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state not in _OPEN


def wait_for_outcomes(
    connection: psycopg.Connection[Any], event_ids: Sequence[UUID], *, wait_seconds: float
) -> Mapping[UUID, Outcome]:
    """Return how these events stand, once all have ended or `wait_seconds` have passed."""
    until = time.monotonic() + wait_seconds
    while True:
        outcomes = _outcomes(connection, event_ids)
        ended = sum(outcome.has_ended for outcome in outcomes.values())
        if ended == len(set(event_ids)) or time.monotonic() >= until:
            return outcomes
        time.sleep(_PAUSE_SECONDS)


def _outcomes(connection: psycopg.Connection[Any], event_ids: Sequence[UUID]) -> dict[UUID, Outcome]:
    query = sql.SQL(
        "SELECT event_id, state, code, unconfirmed, last_error FROM receipts WHERE event_id = ANY({})"
    ).format(list(event_ids))
    with connection.cursor(row_factory=class_row(Outcome)) as cursor:
        return {outcome.event_id: outcome for outcome in cursor.execute(query)}
