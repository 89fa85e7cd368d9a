"""A rewind of the ledger: commits that it answered for and does not have any more.

A failover to a standby that was behind leaves one, a split brain does, and an older copy that is restored.
Decision 27.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

import structlog

from worker.ledger.commit_notes import Commit
from worker.ledger.database import Database
from worker.metrics import Metrics
from worker.recovery.witness import RedisWitness

# Of one statement: so many look-ups by key are a few milliseconds.
_MAX_ASKED: Final = 500
_MAX_NAMED: Final = 5
_WHAT_TO_DO: Final = (
    "credits that were told to BETCORE are missing: fence the old primary and keep its data, "
    "then see docs/standby.md"
)
_MISSING: Final = """
    SELECT cashback_id, transaction_type
    FROM unnest(%s::bigint[], %s::integer[]) AS asked (cashback_id, transaction_type)
    WHERE NOT EXISTS (
        SELECT FROM transactions
        WHERE transactions.cashback_id = asked.cashback_id
            AND transactions.transaction_type = asked.transaction_type
    )
"""

_log = structlog.get_logger(__name__)

Ask = Callable[[LiteralString, Sequence[object]], list[tuple[Any, ...]]]
"""Runs a query with its parameters and returns the rows."""


@dataclass(frozen=True, slots=True)
class Rewinds:
    """Compares the witness with the ledger; for one thread. Every process may have one: one of them tells."""

    database: Database
    witness: RedisWitness
    metrics: Metrics

    def compare(self, noted: Iterable[Commit]) -> None:
        """Find and name what is on record, or was `noted` for it, and is not in the ledger.

        A commit is there when its business key is: made again, the money is there under the same name.
        Raises LedgerUnavailable and BrokerUnavailable.
        """
        lost = self.witness.lost()
        seen = [*self.witness.newest(), *noted]
        missing = missing_keys(self.database.rows, [*lost, *seen])
        if gone := [commit for commit in seen if _key(commit) in missing]:
            self._tell(gone, seen)
        if back := [commit for commit in lost if _key(commit) not in missing]:
            self.witness.move_back(back)
            _log.info("lost_commits_back", commits=len(back), first=_names(back))
        self.metrics.lost_commits.set(len(missing))

    def _tell(self, gone: list[Commit], seen: list[Commit]) -> None:
        new = self.witness.move_to_lost(gone)
        if not new:
            return  # another worker has told
        (highest,) = self.database.one_row("SELECT max(transaction_id) FROM transactions", ())
        times = [commit.seen_at_ms for commit in gone]
        _log.error(
            "ledger_rewound",
            commits=new,
            first=_names(gone),
            events=[str(commit.event_id) for commit in gone[:_MAX_NAMED]],
            seen_from=_moment(min(times)),
            seen_until=_moment(max(times)),
            highest_transaction_seen=max(commit.transaction_id for commit in seen),
            highest_transaction=highest,
            what_to_do=_WHAT_TO_DO,
        )


def missing_keys(ask: Ask, commits: Iterable[Commit]) -> set[tuple[int, int]]:
    """Return the business keys of those commits that are not in the ledger."""
    keys = sorted({_key(commit) for commit in commits})
    missing: set[tuple[int, int]] = set()
    for start in range(0, len(keys), _MAX_ASKED):
        asked = keys[start : start + _MAX_ASKED]
        cashback_ids, types = zip(*asked, strict=True)
        missing.update((row[0], row[1]) for row in ask(_MISSING, (list(cashback_ids), list(types))))
    return missing


def lost_commits(ask: Ask, commits: Iterable[Commit]) -> list[Commit]:
    """Return the commits that are not in the ledger, each business key once, oldest first."""
    known = {_key(commit): commit for commit in sorted(commits, key=_when, reverse=True)}
    missing = missing_keys(ask, known.values())
    return sorted((commit for key, commit in known.items() if key in missing), key=_when)


def _key(commit: Commit) -> tuple[int, int]:
    return commit.cashback_id, commit.transaction_type


def _when(commit: Commit) -> tuple[int, int, int]:
    return commit.seen_at_ms, *_key(commit)


def _names(commits: list[Commit]) -> list[str]:
    return [commit.name for commit in commits[:_MAX_NAMED]]


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).isoformat(timespec="milliseconds")
