"""What can be replayed: the events that a person means, as they stand at one moment."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from cashback_client.contract import OWN_PRODUCER
from worker.cli.queries.snapshot import snapshot
from worker.domain.settlement import State
from worker.errors import WorkerError

MAX_EVENTS: Final = 100_000
"""The most events that an order is for."""

_CANDIDATES: Final = sql.SQL(
    "SELECT receipts.event_id, receipts.cashback_id, state, code, unconfirmed, receipts.received_at, "
    "coalesce(accounts.user_id, receipts.user_id) AS user_id, trim(accounts.currency) AS currency, exponent, "
    "transactions.amount_minor, (SELECT order_id FROM replays "
    "WHERE replays.event_id = receipts.event_id AND replays.state = 'open') AS order_id, "
    "is_posted_since(receipts) AS is_posted_since "
    "FROM receipts LEFT JOIN transactions USING (transaction_id) LEFT JOIN accounts USING (account_id) "
    "LEFT JOIN currencies ON currencies.currency = accounts.currency "
    "WHERE {} ORDER BY receipts.received_at, receipts.event_id LIMIT {}"
)
# Of what was not asked for by its id: all else has its good end, or is under way.
_ENDED_BADLY: Final = sql.SQL("state IN ('refused', 'expired')")


class TooManyEvents(WorkerError):
    """More than 100,000 events are meant, and nothing was done: narrow it, by --since and --until perhaps."""

    reason = "too_many_events"


class WhyNot(StrEnum):
    """Why an event is left out."""

    ANSWERED = "answered"
    ORDERED = "ordered"
    POSTED_SINCE = "posted_since"
    UNDER_WAY = "under_way"
    UNKNOWN = "unknown"

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do for it; else it was asked for in vain."""
        return self in {WhyNot.ANSWERED, WhyNot.ORDERED, WhyNot.POSTED_SINCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An event as it stands; the amount is that of its transaction in the ledger, in minor units.

    `order_id` is the order of an open replay of it. `is_posted_since`: it was declined, and its cashback was
    posted for another event.
    """

    event_id: UUID
    cashback_id: int
    state: str
    code: int | None
    unconfirmed: bool
    received_at: datetime
    user_id: str | None
    currency: str | None
    exponent: int | None
    amount_minor: int | None
    order_id: int | None
    is_posted_since: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An event that is not to be sent, and why."""

    event_id: UUID
    why: WhyNot
    order_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The events that are to be sent again, oldest first, and those that are not."""

    to_send: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFilter:
    """Which events, of those that ended without an acknowledgement; all that is given must hold."""

    unconfirmed: bool = False
    state: str | None = None
    code: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    user_id: str | None = None
    cashback_id: int | None = None
    producer: str | None = None


def choose_by_filter(connection: psycopg.Connection[Any], wanted: ReplayFilter) -> Choice:
    """Return what a filter means. Raises TooManyEvents."""
    return _choice(_candidates(connection, sql.SQL(" AND ").join(_conditions(wanted))))


def choose_by_ids(connection: psycopg.Connection[Any], event_ids: tuple[UUID, ...]) -> Choice:
    """Return how these events stand: those to be sent, and those that are not or not any more."""
    if len(event_ids) > MAX_EVENTS:
        raise TooManyEvents
    found = _candidates(connection, sql.SQL("receipts.event_id = ANY ({})").format(list(event_ids)))
    choice = _choice(found)
    known = {each.event_id for each in found}
    unknown = tuple(
        LeftOut(event_id=event_id, why=WhyNot.UNKNOWN)
        for event_id in dict.fromkeys(event_ids)
        if event_id not in known
    )
    return Choice(to_send=choice.to_send, left_out=choice.left_out + unknown)


def _conditions(wanted: ReplayFilter) -> list[sql.Composable]:
    conditions: list[sql.Composable] = [
        _ENDED_BADLY if wanted.state is None else sql.SQL("state = {}").format(wanted.state)
    ]
    if wanted.unconfirmed:
        conditions.append(sql.SQL("unconfirmed"))
    if wanted.user_id is not None:
        # Of what was declined the receipt alone knows whose it was to be.
        conditions.append(sql.SQL("coalesce(accounts.user_id, receipts.user_id) = {}").format(wanted.user_id))
    for condition, value in (
        ("code = {}", wanted.code),
        ("receipts.received_at >= {}", wanted.since),
        ("receipts.received_at < {}", wanted.until),
        ("receipts.cashback_id = {}", wanted.cashback_id),
    ):
        if value is not None:
            conditions.append(sql.SQL(condition).format(value))
    if wanted.producer is not None:
        conditions.append(
            sql.SQL("coalesce(receipts.producer, {}) = {}").format(OWN_PRODUCER, wanted.producer)
        )
    return conditions


def _candidates(connection: psycopg.Connection[Any], condition: sql.Composable) -> list[Candidate]:
    with snapshot(connection), connection.cursor(row_factory=class_row(Candidate)) as cursor:
        found = cursor.execute(_CANDIDATES.format(condition, MAX_EVENTS + 1)).fetchall()
    if len(found) > MAX_EVENTS:
        raise TooManyEvents
    return found


def _choice(found: list[Candidate]) -> Choice:
    reasons = [(each, _why_not(each)) for each in found]
    return Choice(
        to_send=tuple(each for each, why in reasons if why is None),
        left_out=tuple(
            LeftOut(event_id=each.event_id, why=why, order_id=each.order_id)
            for each, why in reasons
            if why is not None
        ),
    )


def _why_not(candidate: Candidate) -> WhyNot | None:
    if candidate.state == State.ANSWERED:
        return WhyNot.ANSWERED
    if candidate.state in {State.RECEIVED, State.SETTLED}:
        return WhyNot.UNDER_WAY
    if candidate.is_posted_since:
        return WhyNot.POSTED_SINCE
    return None if candidate.order_id is None else WhyNot.ORDERED
