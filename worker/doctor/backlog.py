"""The backlog: events that wait, that are stuck, that nobody has confirmed, and messages in quarantine."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any, Final, LiteralString

import psycopg

from worker.doctor.finding import Finding, advice, fault, good, unchecked
from worker.doctor.postgresql import database
from worker.doctor.redis import broker
from worker.recovery.witness import RedisWitness

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
_INTAKE: Final[LiteralString] = (
    "SELECT paused_until, person, reason FROM intake WHERE paused_until > clock_timestamp()"
)
_MAX_NAMED: Final = 5
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


def check_witness(timeout_seconds: float) -> list[Finding]:
    """Look at what Redis remembers of commits that the ledger was found not to have."""
    app = broker(timeout_seconds)
    try:
        lost = RedisWitness(app.pool, timeout_seconds=timeout_seconds).lost()
    finally:
        app.close()
    if not lost:
        return [good(_PART, "ledger_rewound", "no commit is known to be lost")]
    names = ", ".join(str(commit.cashback_id) for commit in lost[:_MAX_NAMED])
    what = f"commits that the ledger answered for and lacks: {len(lost)} (CashbackIds {names})"
    return [fault(_PART, "ledger_rewound", what, "fence the old primary, keep its data, see docs/standby.md")]


def _looked_at(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    [(undecided, oldest_seconds)] = connection.execute(_UNDECIDED, _VALUES).fetchall()
    age = f", the oldest for {oldest_seconds:,.1f} s" if oldest_seconds is not None else ""
    yield good(_PART, "undecided", f"events that wait to be settled: {_count(undecided)}{age}")
    yield from _intake(connection)
    [(stuck, one)] = connection.execute(_STUCK, _VALUES).fetchall()
    if stuck:
        yield fault(
            _PART,
            "stuck",
            f"events past their time and not ended: {_count(stuck)}, {one} among them; no worker sweeps",
            "start a worker, and look at its log for `sweep`; `cashback list --state received` shows them",
        )
    [(unconfirmed, since)] = connection.execute(_UNCONFIRMED, _VALUES).fetchall()
    if unconfirmed:
        yield advice(
            _PART,
            "unconfirmed",
            f"unconfirmed credits: {_count(unconfirmed)}, since {since:%Y-%m-%d %H:%M} UTC; money moved, and "
            "BETCORE has not acknowledged it",
            "look at them with `cashback list --unconfirmed`, and send them again with `cashback replay`",
        )
    [(quarantined, seen)] = connection.execute(_QUARANTINED, _VALUES).fetchall()
    if quarantined:
        yield advice(
            _PART,
            "quarantined",
            f"messages in quarantine: {_count(quarantined)}, the last one seen {seen:%Y-%m-%d %H:%M} UTC",
            "see why with `cashback quarantine list --open`, mend that, then `cashback quarantine requeue`",
        )
    if not unconfirmed and not quarantined and not stuck:
        yield good(_PART, "nothing_left", "nothing is stuck, unconfirmed or in quarantine")


def _count(number: int) -> str:
    return f"more than {_MOST:,}" if number > _MOST else f"{number:,}"


def _intake(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Say whether a person has closed the intake."""
    for until, person, reason in connection.execute(_INTAKE).fetchall():
        yield advice(
            _PART,
            "intake_paused",
            f"the intake is paused until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC by {person} "
            f"({reason}): makes and partners' events get 503",
            "it ends by itself; before that: `cashback resume --reason …`",
        )
