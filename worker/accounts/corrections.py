"""What a person does to the account of a user: block it, adjust its balance, approve what another asked for.

Each is one call of SQL, which notes it in the audit in the same transaction. Decision 51.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from worker.errors import NotFound, WorkerError

_KEEPS_TO: Final = "what `cashback migrate` was told"


class CorrectionRefused(WorkerError):
    """What was asked for an account is against its rules; nothing was changed."""

    reason = "correction_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Who acts, as the person says, and why."""

    person: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """How an adjustment stands.

    `outcome` says what this call did: `posted`, `asked`, `rejected`, or nothing as it `stands`. `state` is
    `open`, `posted` or `rejected`. Amount and balance are in minor units, of which `exponent` digits make one
    major unit. `allowed` is what could have been posted without a second person, in major units, or None.
    """

    outcome: str
    key: str
    user_id: str
    state: str
    amount_minor: int
    currency: str
    exponent: int
    transaction_id: int | None
    balance_minor: int
    allowed: Decimal | None = None


def set_status(connection: psycopg.Connection[Any], user_id: str, status: str, acting: Acting) -> bool:
    """Give an account a status; returns whether that changed anything. Raises NotFound."""
    row = connection.execute(
        "SELECT set_account_status(%s, %s, %s, %s)", (user_id, status, acting.person, acting.reason)
    ).fetchone()
    before = row[0] if row else None
    if before is None:
        raise _no_account(user_id)
    return bool(before != status)


def adjust(
    connection: psycopg.Connection[Any], key: str, user_id: str, amount: Decimal, acting: Acting
) -> Adjusted:
    """Adjust a balance by `amount` major units, or ask for a second person; see the SQL function.

    Raises NotFound and CorrectionRefused; nothing was changed then.
    """
    with connection.cursor(row_factory=class_row(_Asked)) as cursor:
        asked = cursor.execute(
            "SELECT * FROM adjust_account(%s, %s, %s, %s, %s)",
            (key, user_id, amount, acting.person, acting.reason),
        ).fetchone()
    if asked is None or asked.outcome == "no_account":
        raise _no_account(user_id)
    if asked.state is None or asked.outcome == "key_taken" or asked.state == "rejected":
        raise CorrectionRefused(_why_not(asked, key=key, user_id=user_id, amount=amount))
    return Adjusted(
        outcome=asked.outcome,
        key=key,
        user_id=user_id,
        state=asked.state,
        amount_minor=int(amount.scaleb(asked.exponent)),
        currency=asked.currency,
        exponent=asked.exponent,
        transaction_id=asked.transaction_id,
        balance_minor=asked.balance_minor,
        allowed=asked.allowed,
    )


def decide(connection: psycopg.Connection[Any], key: str, acting: Acting, *, approves: bool) -> Adjusted:
    """Approve an adjustment that waits for a second person, or reject it.

    Raises NotFound and CorrectionRefused; nothing was changed then.
    """
    with connection.cursor(row_factory=class_row(_Decided)) as cursor:
        decided = cursor.execute(
            "SELECT * FROM decide_adjustment(%s, %s, %s, %s)", (key, approves, acting.person, acting.reason)
        ).fetchone()
    if decided is None or decided.outcome == "not_asked":
        raise NotFound(f"no adjustment has the key {key!a}: `cashback accounts adjustments` lists them")
    if decided.outcome not in {"posted", "rejected", "stands"}:
        raise CorrectionRefused(_why_undecided(decided, key))
    return Adjusted(
        outcome=decided.outcome,
        key=key,
        user_id=decided.user_id,
        state=decided.state,
        amount_minor=decided.amount_minor,
        currency=decided.currency,
        exponent=decided.exponent,
        transaction_id=decided.transaction_id,
        balance_minor=decided.balance_minor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    outcome: str
    state: str | None
    transaction_id: int | None
    currency: str
    exponent: int
    balance_minor: int
    allowed: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    outcome: str
    state: str
    transaction_id: int | None
    user_id: str
    currency: str
    exponent: int
    amount_minor: int
    balance_minor: int
    approver: str
    asked_by: str
    asked_person: str


def _why_not(asked: _Asked, *, key: str, user_id: str, amount: Decimal) -> str:
    if asked.outcome == "key_taken":
        return (
            f"the key {key!a} is that of another adjustment, of another user or amount: give this one its own"
        )
    if asked.outcome == "overdraft":
        return _overdraft(user_id, asked.balance_minor, asked.exponent, asked.currency)
    if asked.outcome == "too_many_open":
        return "1000 adjustments wait for a second person already: have them approved or rejected first"
    if asked.outcome == "stands":
        return f"the adjustment {key!a} was rejected, and its key is used up: give a new one another key"
    return f"{amount} is too large, or has more digits than {asked.currency}, which has {asked.exponent}"


def _why_undecided(decided: _Decided, key: str) -> str:
    if decided.outcome == "decided":
        return f"the adjustment {key!a} was {decided.state} before, and stays so"
    if decided.outcome == "overdraft":
        return _overdraft(decided.user_id, decided.balance_minor, decided.exponent, decided.currency)
    if decided.approver == "person":
        return (
            f"{decided.asked_person} asked for the adjustment {key!a}: another person has to approve it "
            "(CASHBACK_PERSON says who acts)"
        )
    return (
        f"the database user {decided.asked_by} asked for the adjustment {key!a}: another one has to approve "
        "it, so give each person a login (docs/operating/accounts.md)"
    )


def _overdraft(user_id: str, balance_minor: int, exponent: int, currency: str) -> str:
    balance = Decimal(balance_minor).scaleb(-exponent)
    return (
        f"the balance of {user_id!a} is {balance} {currency}, and may not go below zero "
        f"(CASHBACK_NEGATIVE_BALANCE=refuse is {_KEEPS_TO})"
    )


def _no_account(user_id: str) -> NotFound:
    return NotFound(f"no account of user {user_id!a} is on record")
