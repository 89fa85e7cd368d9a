"""What a check is, what it finds, and what it asks by."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, LiteralString
from uuid import UUID

from worker.reconciliation.period import Period

# A sweep comes by each second: what is open for longer than this after its time, nobody closes.
GRACE: Final = timedelta(seconds=60)
# A receipt is older than the transaction that was made for it.
_RECEIPT_IS_OLDER: Final = timedelta(hours=1)


class Scope(StrEnum):
    """What a check looks at."""

    ENTRIES = "entries"
    ACCOUNTS = "accounts"
    BUSINESS_KEYS = "business keys"
    TRANSACTIONS = "transactions"
    POSTINGS = "postings"
    CANCELS = "cancels"
    ADJUSTMENTS = "adjustments"
    RECEIPTS = "receipts"
    STATEMENT = "statement rows"


class Weight(StrEnum):
    """What it means that a check finds something."""

    WRONG = "wrong"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to the books: `differences` is the SQL whose rows are what is off.

    `pending` counts what is not decided yet and so is not wrong. Both take the parameters of `asked`.
    """

    name: str
    what: str
    scope: Scope
    differences: LiteralString
    pending: LiteralString | None = None
    weight: Weight = Weight.WRONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is off; amounts in major units. What a check does not know of it is None."""

    cashback_id: int | None = None
    transaction_type: int | None = None
    transaction_id: int | None = None
    event_id: UUID | None = None
    user_id: str | None = None
    currency: str | None = None
    ours: str | None = None
    theirs: str | None = None
    at: datetime | None = None
    line_number: int | None = None
    detail: str


def asked(
    period: Period, *, now: datetime, keep_receipts: timedelta, has_types: bool = False
) -> dict[str, object]:
    """Return the parameters of every check; `now` is the database's."""
    end = min(period.until, now)
    return {
        "since": period.since,
        "until": period.until,
        "stuck_before": now - GRACE,
        "pruned_before": now - keep_receipts + _RECEIPT_IS_OLDER,
        "end": end,
        "settled_before": end - GRACE,
        "grace": GRACE,
        "has_types": has_types,
    }


COUNTS: Final[dict[Scope, LiteralString]] = {
    Scope.ENTRIES: "SELECT count(*) FROM entries",
    Scope.ACCOUNTS: "SELECT count(*) FROM accounts WHERE kind = 'user'",
    Scope.BUSINESS_KEYS: "SELECT count(*) FROM transactions WHERE cashback_id IS NOT NULL",
    Scope.TRANSACTIONS: (
        "SELECT count(*) FROM transactions WHERE created_at >= %(since)s AND created_at < %(until)s"
    ),
    Scope.POSTINGS: (
        "SELECT count(*) FROM transactions WHERE created_at >= %(since)s AND created_at < %(until)s "
        "AND kind IN ('payout', 'cancel')"
    ),
    Scope.CANCELS: (
        "SELECT count(*) FROM transactions WHERE created_at >= %(since)s AND created_at < %(until)s "
        "AND kind = 'cancel'"
    ),
    Scope.ADJUSTMENTS: (
        "SELECT count(*) FROM transactions WHERE created_at >= %(since)s AND created_at < %(until)s "
        "AND kind = 'adjustment'"
    ),
    Scope.RECEIPTS: (
        "SELECT count(*) FROM receipts WHERE received_at >= %(since)s AND received_at < %(until)s"
    ),
    Scope.STATEMENT: "SELECT count(*) FROM pg_temp.betcore_statement",
}
"""How many of each there are to look at."""
