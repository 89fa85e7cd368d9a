"""Whether PostgreSQL would take a settlement now."""

import time
from typing import Final

from producer.shared.preconditions.postgres import SETTLES, STATE, PostgresState
from worker.domain.deadline import Deadline
from worker.errors import LedgerUnavailable
from worker.ledger.database import Database

ASK_SECONDS: Final = 1.0


def why_unfit(database: Database) -> str | None:
    """Return why it would not, or None; within `ASK_SECONDS`."""
    try:
        row = database.one_row(STATE, (SETTLES,), deadline=Deadline(time.monotonic() + ASK_SECONDS))
    except LedgerUnavailable as error:
        return str(error)
    return PostgresState.of(row).why_no_writes
