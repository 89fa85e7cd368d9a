"""The backlog: events that wait, that are stuck, that nobody has confirmed, and messages in quarantine."""

from collections.abc import Iterator
from typing import Any, Final, LiteralString

import psycopg

from worker.doctor.finding import Finding, advice, fault, good, unchecked
from worker.doctor.postgresql import database

_PART: Final = "backlog"
_MOST: Final = 100_000
# Above what a sweep and the answers that it sends may take.
_STUCK_SECONDS: Final = 30
_UNDECIDED: Final[LiteralString] = """
    SELECT (SELECT count(*) FROM (SELECT FROM receipts WHERE state = 'received' LIMIT %(most)s + 1) AS few),
        (SELECT extract(epoch FROM clock_timestamp() - received_at)::float8 FROM receipts
            WHERE state = 'received' ORDER BY credit_cutoff_at LIMIT 1)
"""
_STUCK: Final[LiteralString] = """
    SELECT count(*), min(event_id::text) FROM (
        SELECT event_id FROM receipts
        WHERE state = 'received' AND credit_cutoff_at < clock_timestamp() - make_interval(secs => %(stuck)s)
        UNION ALL
        SELECT event_id FROM receipts WHERE state = 'settled'
            AND greatest(least(next_attempt_at, deadline_at), settled_at)
                < clock_timestamp() - make_interval(secs => %(stuck)s)
            AND deadline_at < clock_timestamp() - make_interval(secs => %(stuck)s)
        LIMIT %(most)s + 1
    ) AS stuck
"""
_UNCONFIRMED: Final[LiteralString] = """
    SELECT (SELECT count(*) FROM (SELECT FROM receipts WHERE unconfirmed LIMIT %(most)s + 1) AS few),
        (SELECT received_at FROM receipts WHERE unconfirmed ORDER BY received_at LIMIT 1)
"""
_QUARANTINED: Final[LiteralString] = """
    SELECT count(*), max(last_seen_at) FROM (
        SELECT last_seen_at FROM quarantine WHERE requeued_at IS NULL OR last_seen_at > requeued_at
        LIMIT %(most)s + 1
    ) AS open
"""
_INTAKE: Final[LiteralString] = "SELECT to_regclass('intake') IS NOT NULL"
_VALUES: Final = {"most": _MOST, "stuck": _STUCK_SECONDS}


def check_backlog(timeout_seconds: float) -> list[Finding]:
    """Count what waits on record; a role that may not read it is told so."""
    with database(timeout_seconds) as connection:
        try:
            return list(_looked_at(connection))
        except psycopg.errors.InsufficientPrivilege:
            why = "this role may not read receipts"
            return [unchecked(_PART, "backlog", why, "name the operator's role in CASHBACK_DATABASE_URL")]
        except psycopg.errors.UndefinedTable:
            return [unchecked(_PART, "backlog", "there are no tables", "run `cashback migrate`")]


def _looked_at(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    [(undecided, oldest_seconds)] = connection.execute(_UNDECIDED, _VALUES).fetchall()
    age = f", the oldest for {oldest_seconds:,.1f} s" if oldest_seconds is not None else ""
    yield good(_PART, "undecided", f"{_count(undecided)} events wait to be settled{age}")
    [(stuck, one)] = connection.execute(_STUCK, _VALUES).fetchall()
    if stuck:
        yield fault(
            _PART,
            "stuck",
            f"{_count(stuck)} events are past their time and not ended, {one} among them: no worker sweeps",
            "start a worker, and look at its log for `sweep`; `cashback list --state received` shows them",
        )
    [(unconfirmed, since)] = connection.execute(_UNCONFIRMED, _VALUES).fetchall()
    if unconfirmed:
        yield advice(
            _PART,
            "unconfirmed",
            f"{_count(unconfirmed)} credits are unconfirmed: money moved, and BETCORE has not acknowledged "
            f"it (since {since:%Y-%m-%d %H:%M} UTC)",
            "look at them with `cashback list --unconfirmed`, and send them again with `cashback replay`",
        )
    [(quarantined, seen)] = connection.execute(_QUARANTINED, _VALUES).fetchall()
    if quarantined:
        yield advice(
            _PART,
            "quarantined",
            f"{_count(quarantined)} messages are in quarantine, the last one seen {seen:%Y-%m-%d %H:%M} UTC",
            "see why with `cashback quarantine list --open`, mend that, then `cashback quarantine requeue`",
        )
    if not unconfirmed and not quarantined and not stuck:
        yield good(_PART, "nothing_left", "nothing is stuck, unconfirmed or in quarantine")


def _count(number: int) -> str:
    return f"more than {_MOST:,}" if number > _MOST else f"{number:,}"
