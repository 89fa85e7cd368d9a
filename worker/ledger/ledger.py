"""The ledger in PostgreSQL: calls of the SQL functions of `worker/schema/`, nothing else.

Decisions 3 and 12.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg_pool import ConnectionPool

from producer.shared.postgres.prepared import PreparedStatement, boolean, float8, integer, timestamptz
from worker.domain.accepts import SentAccepts
from worker.domain.deadline import Deadline
from worker.domain.settlement import Instruction, PostedTransaction, Settlement, State
from worker.ledger.accepts import NONE_SENT, SentByEvent, accepts_by_event, accepts_json
from worker.ledger.database import Database, DeadlineConnection

# An attempt that has not begun or ended this long after it should have counts as lost.
OVERDUE_SECONDS: Final = 0.5

# Each parameter of settle_event with its type; numbers that are exact go as text.
_SETTLE_TYPES: Final = (
    *("uuid", "text", "int8", "timestamptz", "float8", "float8", "float8"),
    *("text", "int4", "text", "numeric", "numeric", "bool", "bool", "bool", "text"),
)
_SETTLE: Final = PreparedStatement(
    "settle_event",
    "SELECT * FROM settle_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    _SETTLE_TYPES,
    texts=[place for place, kind in enumerate(_SETTLE_TYPES) if kind == "numeric"],
)
_SETTLE_GROUP: Final = "SELECT * FROM settle_events(%s, %s, %s, %s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPolicy:
    """What the operator decides about the books. Seconds count from receipt."""

    cutoff_seconds: float
    deadline_seconds: float
    withhold_tax: bool
    allow_negative: bool
    cancel_blocked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvent:
    """A received make: its id, BETCORE's token, and when it was received (UTC).

    `producer` is the partner service that handed it in; None: our own receiver.
    """

    event_id: UUID
    token: str
    cashback_id: int
    received_at: datetime
    producer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRequest:
    """An event to be settled, what it asks for, and how long its caller may take for the answer."""

    event: VerifiedEvent
    instruction: Instruction
    attempt_seconds: float


class Ledger:
    """The one way to the books. Every method is bounded in time and raises LedgerUnavailable.

    A lost reply says nothing about the commit. All methods may be called again: they find what stands
    and return it.
    """

    def __init__(
        self, pool: ConnectionPool[DeadlineConnection], *, policy: LedgerPolicy, timeout_seconds: float
    ) -> None:
        self._database = Database(pool, timeout_seconds=timeout_seconds)
        self._policy = policy

    def settle(
        self, event: VerifiedEvent, instruction: Instruction, *, attempt_seconds: float = 3.0
    ) -> Settlement:
        """Credit or decline the event, once and for ever, and say how it stands.

        `attempt_seconds` is how long the caller may take for the answer; after it the event is overdue.

        Raises CutoffPassed when the cut-off passed during the call: nothing was credited, and calling
        again decides 102823.
        """
        request = SettlementRequest(event=event, instruction=instruction, attempt_seconds=attempt_seconds)
        return self.settle_alone(request, deadline=self.next_deadline())

    def next_deadline(self) -> Deadline:
        """Return the moment (monotonic) by which a call that starts now has ended."""
        return self._database.next_deadline()

    def settle_alone(self, request: SettlementRequest, *, deadline: Deadline) -> Settlement:
        """Do what `settle` says in a transaction of its own, by `deadline` (monotonic)."""
        row = self._database.row_of(_SETTLE, self._parameters(request), deadline=deadline)
        return settlement_of(
            [None if raw is None else read(raw) for read, raw in zip(_READERS, row, strict=True)]
        )

    def _parameters(self, request: SettlementRequest) -> list[bytes | None]:
        event, instruction, policy = request.event, request.instruction, self._policy
        type_ = instruction.transaction_type
        return [
            event.event_id.bytes,
            event.token.encode(),
            integer(event.cashback_id, octets=8),
            timestamptz(event.received_at),
            float8(policy.cutoff_seconds),
            float8(policy.deadline_seconds),
            float8(request.attempt_seconds + OVERDUE_SECONDS),
            _text(instruction.kind),
            None if type_ is None else integer(type_, octets=4),
            _text(instruction.user_id),
            _text(instruction.amount),
            _text(instruction.tax),
            boolean(policy.withhold_tax),
            boolean(policy.allow_negative),
            boolean(policy.cancel_blocked),
            _text(event.producer),
        ]

    def settle_group(
        self, requests: Sequence[SettlementRequest], *, deadline: Deadline
    ) -> dict[UUID, Settlement]:
        """Settle several events in one transaction, by `deadline` (monotonic); no event may be there twice.

        Who is not in the result must be settled alone; so must everybody after CutoffPassed, which says
        nothing about whose cut-off it was, and after LedgerUnavailable.
        """
        policy = self._policy
        rows = self._database.rows(
            _SETTLE_GROUP,
            (
                json.dumps([_as_json(request) for request in requests]),
                policy.cutoff_seconds,
                policy.deadline_seconds,
                policy.withhold_tax,
            ),
            deadline=deadline,
        )
        return {row[0]: settlement_of(row[1:]) for row in rows}

    def give_up(self, event_id: UUID) -> Settlement | None:
        """Decide 102823 for an event whose cut-off has passed; say how it stands, None without a receipt."""
        row = self._database.one_row("SELECT * FROM give_up_event(%s)", (event_id,))
        return None if row[0] is None else settlement_of(row)

    def close(
        self, event_id: UUID, state: State, *, error: str | None = None, sent: SentAccepts = ()
    ) -> bool:
        """Bring the event to a bad end, refused or expired, after these accepts more.

        True if that changed anything. Without an `error` the record keeps the last one.
        """
        row = self._database.one_row(
            "SELECT close_event(%s, %s, %s, %s::json)", (event_id, state, error, accepts_json(sent))
        )
        return bool(row[0])

    def mark_answered(self, event_ids: Iterable[UUID], *, sent: SentByEvent = NONE_SENT) -> int:
        """Bring events to their good end, all in one commit; returns how many that changed.

        `sent` has the accepts of each: those in vain, and the one that was acknowledged.
        """
        # In one order for all, so that no two groups can each hold what the other waits for.
        ids = sorted(event_ids)
        accepts = accepts_by_event(sent.get(each, ()) for each in ids)
        return int(self._database.one_row("SELECT mark_answered(%s, %s::json)", (ids, accepts))[0])

    def postpone(self, event_id: UUID, *, delay_seconds: float, error: str, sent: SentAccepts = ()) -> bool:
        """Record that the next attempt is due after `delay_seconds`, and these accepts more.

        True if the event is still open.
        """
        row = self._database.one_row(
            "SELECT postpone_event(%s, %s, %s, %s::json)",
            (event_id, delay_seconds + OVERDUE_SECONDS, error, accepts_json(sent)),
        )
        return bool(row[0])

    def hold(self, event_ids: Sequence[UUID], *, hold_seconds: float) -> int:
        """Have settled events not be overdue before `hold_seconds` from now; returns how many are open."""
        return int(self._database.one_row("SELECT hold_events(%s, %s)", (list(event_ids), hold_seconds))[0])


def _as_json(request: SettlementRequest) -> dict[str, object]:
    # One document, not an array for each column: that costs psycopg six times as much processor time.
    event, instruction = request.event, request.instruction
    return {
        "event_id": str(event.event_id),
        "token": event.token,
        "cashback_id": event.cashback_id,
        "received_at": event.received_at.isoformat(),
        "producer": event.producer,
        "hold_seconds": request.attempt_seconds + OVERDUE_SECONDS,
        "kind": instruction.kind,
        "transaction_type": instruction.transaction_type,
        "user_id": instruction.user_id,
        "amount": None if instruction.amount is None else str(instruction.amount),
        "tax": None if instruction.tax is None else str(instruction.tax),
    }


def _text(value: str | Decimal | None) -> bytes | None:
    return None if value is None else str(value).encode()


# How to read each column of a settlement from PostgreSQL's text.
_READERS: Final[tuple[Callable[[bytes], Any], ...]] = (
    *(bytes.decode, int, int, int, int, bytes.decode, int, int, int, int),
    *(float, float),
)


def settlement_of(row: Sequence[Any]) -> Settlement:
    """Read the columns of SQL's type `settlement`."""
    (state, code, transaction_id, cashback_id, transaction_type, user_id, amount_minor, tax_minor, exponent,
     runs, seconds_to_cutoff, seconds_to_deadline) = row  # fmt: skip
    transaction = None
    if transaction_id is not None:
        transaction = PostedTransaction(
            transaction_id=transaction_id,
            cashback_id=cashback_id,
            transaction_type=transaction_type,
            user_id=user_id,
            amount_minor=amount_minor,
            tax_minor=tax_minor,
            exponent=exponent,
        )
    return Settlement(
        state=State(state),
        cashback_id=cashback_id,
        code=code,
        transaction=transaction,
        runs=runs,
        seconds_to_cutoff=seconds_to_cutoff,
        seconds_to_deadline=seconds_to_deadline,
    )
