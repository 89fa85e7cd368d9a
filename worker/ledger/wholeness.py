"""Whether the schema is whole; where it is not, as after half a restore, nothing is settled. Decision 52."""

import math
from collections.abc import Callable
from typing import Final

import structlog

from producer.shared.preconditions.whole import MISSING_PARTS
from worker.ledger.database import Database

_WHAT_TO_DO: Final = (
    "nothing is settled: a restore is under way or broke off; let it end, or see docs/operating/backup.md"
)

_log = structlog.get_logger(__name__)


class Wholeness:
    """Looks for what is missing, and says once what it finds. For one thread.

    `on_look` is told how many parts are missing; NaN: that is not known.
    """

    def __init__(self, database: Database, *, on_look: Callable[[float], object]) -> None:
        self._database = database
        self._on_look = on_look
        self._told: list[str] = []
        on_look(math.nan)

    def look(self) -> None:
        """Look; raises LedgerUnavailable."""
        self._on_look(math.nan)
        (missing,) = self._database.one_row(MISSING_PARTS, ())
        self._on_look(len(missing))
        if missing != self._told:
            if missing:
                _log.error("ledger_not_whole", missing=missing, what_to_do=_WHAT_TO_DO)
            else:
                _log.info("ledger_whole_again")
        self._told = missing
