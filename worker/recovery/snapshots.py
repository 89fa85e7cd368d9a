"""Old snapshots: what keeps PostgreSQL from clearing away what is closed, and who holds it.

Decision 23.
"""

from dataclasses import dataclass
from typing import Final

import structlog

from worker.ledger.database import Database
from worker.metrics import Metrics

# The longest that is open in this database; a prepared transaction has no process.
OLDEST: Final = """
    SELECT pid, name, seconds FROM (
        SELECT pid, application_name AS name,
            extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
            AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
        UNION ALL
        SELECT 0, gid, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts
        WHERE database = current_database()
    ) AS held
    ORDER BY seconds DESC LIMIT 1
"""
WHY_NOT_OLD: Final = "PostgreSQL clears nothing away that was closed since: end it if nobody needs it"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHolder:
    """Who holds a snapshot: a process of PostgreSQL's (0: a prepared transaction), its name, since when."""

    pid: int
    name: str
    seconds: float


class SnapshotWatch:
    """Measures the oldest snapshot, and names who holds it once it is older than `warn_seconds`."""

    def __init__(self, database: Database, metrics: Metrics, *, warn_seconds: float) -> None:
        self._database = database
        self._metrics = metrics
        self._warn_seconds = warn_seconds

    def look(self) -> SnapshotHolder | None:
        """Return the holder of the oldest snapshot; None where nobody holds one. Raises LedgerUnavailable."""
        rows = self._database.rows(OLDEST, ())
        holder = SnapshotHolder(pid=rows[0][0], name=rows[0][1], seconds=rows[0][2]) if rows else None
        self._metrics.oldest_snapshot_seconds.set(holder.seconds if holder else 0.0)
        if holder and holder.seconds > self._warn_seconds:
            _log.warning(
                "old_snapshot",
                pid=holder.pid,
                application_name=holder.name,
                seconds=round(holder.seconds),
                error=WHY_NOT_OLD,
            )
        return holder
