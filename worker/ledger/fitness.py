"""Whether PostgreSQL would take a settlement now."""

import time
from typing import Final

from producer.shared.preconditions.postgres import SETTLES, STATE, PostgresState
from producer.shared.preconditions.whole import MISSING_PARTS, why_not_whole
from worker.domain.deadline import Deadline
from worker.errors import LedgerUnavailable
from worker.ledger.database import Database

ASK_SECONDS: Final = 1.0


def why_unfit(database: Database) -> str | None:
    """Return why it would not, or None; within `ASK_SECONDS`."""
    deadline = Deadline(time.monotonic() + ASK_SECONDS)
    try:
        state = PostgresState.of(database.one_row(STATE, (SETTLES,), deadline=deadline))
        if state.why_no_writes is not None:
            return state.why_no_writes
        (missing,) = database.one_row(MISSING_PARTS, (), deadline=deadline)
    except LedgerUnavailable as error:
        return str(error)
    return why_not_whole(missing)
