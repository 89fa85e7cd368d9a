"""Whether a failover could lose commits: PostgreSQL's standbys, and whether a commit waits for one of them.

Decision 27.
"""

import math
from typing import Final

import structlog

from worker.ledger.database import Database
from worker.metrics import Metrics

# Who subscribes to single tables takes nobody's place. A state that we may not see is null.
STANDBYS: Final = """
    SELECT
        current_setting('synchronous_commit') NOT IN ('off', 'local')
            AND current_setting('synchronous_standby_names') <> '',
        count(*) FILTER (WHERE state IN ('catchup', 'streaming')),
        count(*) FILTER (WHERE state IN ('catchup', 'streaming') AND sync_state = 'async'),
        count(*) FILTER (WHERE state IS NULL)
    FROM pg_stat_replication LEFT JOIN pg_replication_slots ON active_pid = pid
    WHERE slot_type IS DISTINCT FROM 'logical' AND pid IS NOT NULL
"""
WHAT_TO_DO: Final = (
    "a failover now loses the newest commits, which BETCORE was told of: set synchronous_standby_names, "
    "or accept that; see docs/standby.md"
)
HOW_TO_SEE: Final = "GRANT pg_monitor TO the service's role, or look at pg_stat_replication yourself"

_log = structlog.get_logger(__name__)


class Standbys:
    """Looks at the standbys, and says once what it finds. For one thread."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._gauge = metrics.asynchronous_standbys
        self._gauge.set(math.nan)
        self._told: str | None = None

    def look(self) -> None:
        """Look; raises LedgerUnavailable."""
        commits_wait, standbys, asynchronous, unknown = self._database.one_row(STANDBYS, ())
        if unknown:
            self._gauge.set(math.nan)
            self._tell("unknown", standbys=unknown)
            return
        # A commit that does not wait is asynchronous, whatever the standby is called.
        self._gauge.set(asynchronous if commits_wait else standbys)
        self._tell("asynchronous" if standbys and not commits_wait else "none", standbys=standbys)

    def _tell(self, finding: str, *, standbys: int) -> None:
        if finding == self._told:
            return
        self._told = finding
        if finding == "asynchronous":
            _log.warning("standbys_asynchronous", standbys=standbys, what_to_do=WHAT_TO_DO)
        elif finding == "unknown":
            _log.info("standbys_unknown", standbys=standbys, what_to_do=HOW_TO_SEE)
