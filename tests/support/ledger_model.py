"""A model of the ledger in plain Python: small, slow, and meant to be seen to be right.

It follows BETCORE's table of codes and the design, not the SQL: no locks, no keys, no entries.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from worker.domain.settlement import Instruction, Kind

LIMIT_MINOR = 10**15
Key = tuple[int, int]


@dataclass
class User:
    """A user's account; the balance is in minor units."""

    exponent: int
    blocked: bool = False
    balance: int = 0


@dataclass(frozen=True)
class Posted:
    """A transaction that was made: once and for ever under its (CashbackId, TransactionType)."""

    key: Key
    kind: Kind
    user_id: str
    amount: int
    tax: int
    moved: int  # what it added to the user's balance


@dataclass(frozen=True)
class Outcome:
    """How an event stands."""

    state: str = "received"
    code: int | None = None
    transaction: Posted | None = None
    unconfirmed: bool = False
    is_confirmed: bool = False  # by another event of the same transaction


@dataclass
class Adjustment:
    """A correction that somebody asked for; the amount is in minor units."""

    user_id: str
    amount: int
    state: str


@dataclass
class Model:
    """All users, transactions and events."""

    users: dict[str, User] = field(default_factory=dict)
    posted: dict[Key, Posted] = field(default_factory=dict)
    reversals: dict[Key, Posted] = field(default_factory=dict)  # by the key of the payout
    events: dict[str, Outcome] = field(default_factory=dict)
    adjustments: dict[str, Adjustment] = field(default_factory=dict)

    def settle(  # noqa: PLR0913 - what the operator decides, each by its name
        self,
        event: str,
        instruction: Instruction,
        *,
        late: bool,
        withhold_tax: bool,
        allow_negative: bool,
        cancel_blocked: bool = True,
    ) -> Outcome:
        """Decide once what becomes of an event; after that say what was decided."""
        outcome = self.events.setdefault(event, Outcome())
        if outcome.state == "received":
            decided = self._decide(
                instruction,
                late=late,
                withhold_tax=withhold_tax,
                allow_negative=allow_negative,
                cancel_blocked=cancel_blocked,
            )
            if decided is not None:
                code, transaction = decided
                self.events[event] = Outcome("settled", code, transaction)
        return self.events[event]

    def give_up(self, event: str, *, late: bool) -> Outcome | None:
        """Decide 102823 where nothing is decided and it is late."""
        outcome = self.events.get(event)
        if outcome is not None and outcome.state == "received" and late:
            self.events[event] = Outcome("settled", 102823)
        return self.events.get(event)

    def close(self, event: str, state: str) -> bool:
        """Bring a settled event to a bad end."""
        outcome = self.events.get(event)
        if outcome is None or outcome.state != "settled":
            return False
        unconfirmed = outcome.code == 200 and not outcome.is_confirmed
        self.events[event] = replace(outcome, state=state, unconfirmed=unconfirmed)
        return True

    def mark_answered(self, event: str) -> bool:
        """Bring an event to its good end, which wins over a bad one."""
        outcome = self.events.get(event)
        if outcome is None or outcome.state not in {"settled", "refused", "expired"}:
            return False
        self.events[event] = replace(outcome, state="answered", unconfirmed=False)
        if outcome.transaction is not None:
            for other, same in self.events.items():
                if same.transaction == outcome.transaction:
                    self.events[other] = replace(same, unconfirmed=False, is_confirmed=True)
        return True

    def is_open(self, event: str) -> bool:
        """Say whether something is still to be done for the event."""
        return event in self.events and self.events[event].state in {"received", "settled"}

    def adjust(
        self, key: str, user_id: str, amount: Decimal, *, limit: int, allow_negative: bool
    ) -> tuple[str, str | None]:
        """Post an adjustment, or put it on record above the limit; returns what came of it, and its state."""
        user = self.users.get(user_id)
        if user is None:
            return "no_account", None
        minor = _minor(amount, user.exponent)
        if key in self.adjustments:
            stands = self.adjustments[key]
            is_same = (stands.user_id, stands.amount) == (user_id, minor)
            return ("stands" if is_same else "key_taken"), stands.state
        if minor is None or not 0 < abs(minor) < LIMIT_MINOR:
            return "no_amount", None
        if not allow_negative and minor < 0 and user.balance + minor < 0:
            return "overdraft", None
        state = "open" if abs(amount) > limit else "posted"
        self.adjustments[key] = Adjustment(user_id, minor, state)
        if state == "open":
            return "asked", state
        user.balance += minor
        return "posted", state

    def decide_adjustment(self, key: str, *, approves: bool, is_second: bool, allow_negative: bool) -> str:
        """Post an adjustment that waits, or let go of it; returns what came of it."""
        asked = self.adjustments.get(key)
        if asked is None:
            return "not_asked"
        wanted = "posted" if approves else "rejected"
        if asked.state != "open":
            return "stands" if asked.state == wanted else "decided"
        user = self.users[asked.user_id]
        if approves and not is_second:
            return "same_person"
        if approves and not allow_negative and asked.amount < 0 and user.balance + asked.amount < 0:
            return "overdraft"
        asked.state = wanted
        if approves:
            user.balance += asked.amount
        return wanted

    def _decide(  # noqa: PLR0911 - one line of BETCORE's table each
        self,
        asked: Instruction,
        *,
        late: bool,
        withhold_tax: bool,
        allow_negative: bool,
        cancel_blocked: bool,
    ) -> tuple[int, Posted | None] | None:
        if asked.kind is None or asked.transaction_type is None:
            return 103753, None
        key = (asked.cashback_id, asked.transaction_type)
        if key in self.posted:
            return 103804, self.posted[key]
        if late:
            return 102823, None
        user = self.users.get(asked.user_id or "")
        if asked.user_id is None or user is None:
            return 102145, None
        if user.blocked and not (asked.kind is Kind.CANCEL and cancel_blocked):
            return 103779, None
        amount, tax = _minor(asked.amount, user.exponent), _minor(asked.tax, user.exponent)
        if amount is None or tax is None or not 0 < amount < LIMIT_MINOR or not 0 <= tax <= amount:
            return 103801, None
        if asked.kind is Kind.PAYOUT:
            moved = amount - tax if withhold_tax else amount
            return 200, self._post(Posted(key, asked.kind, asked.user_id, amount, tax, moved))
        return self._cancel(key, asked.user_id, amount, tax, allow_negative=allow_negative)

    def _cancel(
        self, key: Key, user_id: str, amount: int, tax: int, *, allow_negative: bool
    ) -> tuple[int, Posted | None] | None:
        paid = self.posted.get((key[0], 1))
        if paid is None:
            return None  # it waits for its payout
        if paid.user_id != user_id:
            return 102823, None
        if paid.amount != amount:
            return 103801, None
        if paid.key in self.reversals:
            return 103804, self.reversals[paid.key]
        if not allow_negative and self.users[user_id].balance < paid.moved:
            return 102823, None
        reversal = self._post(Posted(key, Kind.CANCEL, user_id, amount, tax, -paid.moved))
        self.reversals[paid.key] = reversal
        return 200, reversal

    def _post(self, transaction: Posted) -> Posted:
        self.posted[transaction.key] = transaction
        self.users[transaction.user_id].balance += transaction.moved
        return transaction


def _minor(amount: Decimal | None, exponent: int) -> int | None:
    if amount is None:
        return None
    minor = Fraction(amount) * 10**exponent
    return int(minor) if minor.denominator == 1 else None
