"""A run of the checks on one snapshot, and what came of it. What is found is streamed: memory has a bound."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import class_row

from worker.reconciliation.check import COUNTS, Check, Difference, Scope, Weight, asked
from worker.reconciliation.period import Period

_FETCHED_ROWS: Final = 1_000
# Whole tables are read once, by one process of the server: the others are the workers'.
_SETTINGS: Final = (
    "SET LOCAL work_mem = '64MB'",
    "SET LOCAL jit = off",
    "SET LOCAL cursor_tuple_fraction = 1.0",
    "SET LOCAL max_parallel_workers_per_gather = 0",
)

Sink = Callable[[Check, Difference], None]
"""Takes every difference as it is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check came to; `shown` are the first of its differences."""

    check: Check
    looked_at: int
    differences: int
    pending: int
    shown: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run came to: `checked_at` is the database's time of the snapshot."""

    period: Period
    checked_at: datetime
    findings: tuple[Finding, ...]

    @property
    def differences(self) -> int:
        """How much is wrong, all in all."""
        return sum(each.differences for each in self.findings if each.check.weight == Weight.WRONG)

    @property
    def pending(self) -> int:
        """How much is not decided yet."""
        return sum(each.pending for each in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is asked, and who is told: `shown` differences of each check are kept, `sink` gets all."""

    period: Period
    checks: Sequence[Check]
    keep_receipts: timedelta
    shown: int
    sink: Sink
    started: Callable[[Check], None]
    has_types: bool = False


@contextmanager
def one_snapshot(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Run what is inside the block in one read-only transaction, on one snapshot."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        for setting in _SETTINGS:
            connection.execute(setting)
        yield


def reconcile(connection: psycopg.Connection[Any], run: Run) -> Report:
    """Run the checks inside of `one_snapshot`, and return what they came to."""
    (now,) = _one_row(connection, "SELECT transaction_timestamp()", {})
    parameters = asked(run.period, now=now, keep_receipts=run.keep_receipts, has_types=run.has_types)
    looked_at: dict[Scope, int] = {}
    findings = []
    for check in run.checks:
        run.started(check)
        if check.scope not in looked_at:
            (looked_at[check.scope],) = _one_row(connection, COUNTS[check.scope], parameters)
        findings.append(_run_check(connection, check, run, parameters, looked_at[check.scope]))
    return Report(period=run.period, checked_at=now, findings=tuple(findings))


def _run_check(
    connection: psycopg.Connection[Any],
    check: Check,
    run: Run,
    parameters: Mapping[str, object],
    looked_at: int,
) -> Finding:
    count = 0
    shown: list[Difference] = []
    with connection.cursor(name="differences", row_factory=class_row(Difference)) as cursor:
        cursor.itersize = _FETCHED_ROWS
        cursor.execute(check.differences, parameters)
        for difference in cursor:
            count += 1
            if len(shown) < run.shown:
                shown.append(difference)
            run.sink(check, difference)
    (pending,) = _one_row(connection, check.pending, parameters) if check.pending else (0,)
    return Finding(check=check, looked_at=looked_at, differences=count, pending=pending, shown=tuple(shown))


def _one_row(
    connection: psycopg.Connection[Any], query: LiteralString, parameters: Mapping[str, object]
) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(query, parameters).fetchone()
    if row is None:
        raise psycopg.DataError("PostgreSQL returned no row")
    return row
