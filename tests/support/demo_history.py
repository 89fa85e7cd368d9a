"""A good history of a small demo, and ways to change one thing in it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

from deploy.local.demo.history import (
    Accept,
    Entry,
    History,
    LedgerAccount,
    Make,
    Receipt,
    Sent,
    Transaction,
)
from deploy.local.demo.planning.plan import Account, Expectation, Plan, PlannedMake

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


BEGUN_MS = int(BEGUN.timestamp() * 1000)


# User 1 has an opening balance of 5.00 EUR and gets 10.50 for cashback 480; cashback 481 names nobody.
PAYOUT, DECLINED = "aa", "bb"


HOUSE, USER = 1, 2


BALANCES = {"1": 1550}


def make(number: int, token: str, cashback_id: int) -> Make:
    return Make(
        make_id=number,
        token_sha256=token,
        cashback_id=cashback_id,
        transaction_type=1,
        http_status=200,
        first_sent_at_ms=BEGUN_MS,
    )


def accept(number: int, cashback_id: int, code: int) -> Accept:
    return Accept(
        accept_id=number,
        cashback_id=cashback_id,
        transaction_type=1,
        error_code=code,
        user_id="1",
        partner_transaction_id="480-1" if code == 200 else None,
        amount=Decimal("10.5"),
        tax_amount=Decimal(0),
        received_at_ms=BEGUN_MS + 20,
        answered_at_ms=BEGUN_MS + 22,
        in_time=True,
        late=False,
        acknowledged=True,
        delivered=True,
    )


def receipt(token: str, cashback_id: int, code: int, transaction_id: int | None) -> Receipt:
    return Receipt(
        token_sha256=token,
        cashback_id=cashback_id,
        state="answered",
        code=code,
        transaction_id=transaction_id,
        unconfirmed=False,
        credit_cutoff_at=BEGUN + timedelta(seconds=25),
    )


OPENING_ROW = Transaction(
    transaction_id=10,
    kind="opening",
    cashback_id=None,
    transaction_type=None,
    token_sha256=None,
    user_id="1",
    exponent=2,
    amount_minor=500,
    tax_minor=0,
    reverses=None,
    created_at=BEGUN - timedelta(minutes=1),
)


PAYOUT_ROW = replace(
    OPENING_ROW,
    transaction_id=11,
    kind="payout",
    cashback_id=480,
    transaction_type=1,
    token_sha256=PAYOUT,
    amount_minor=1050,
    created_at=BEGUN + timedelta(milliseconds=10),
)


GOOD = History(
    makes=(make(1, PAYOUT, 480), make(2, DECLINED, 481)),
    accepts=(accept(1, 480, 200), accept(2, 481, 102145)),
    receipts=(receipt(PAYOUT, 480, 200, 11), receipt(DECLINED, 481, 102145, None)),
    transactions=(OPENING_ROW, PAYOUT_ROW),
    accounts=(
        LedgerAccount(account_id=HOUSE, user_id=None, currency="EUR", balance_minor=None),
        LedgerAccount(account_id=USER, user_id="1", currency="EUR", balance_minor=1550),
    ),
    entries=(
        Entry(transaction_id=10, account_id=USER, amount_minor=500),
        Entry(transaction_id=10, account_id=HOUSE, amount_minor=-500),
        Entry(transaction_id=11, account_id=USER, amount_minor=1050),
        Entry(transaction_id=11, account_id=HOUSE, amount_minor=-1050),
    ),
)


PLAN = Plan(
    (Account(user_id="1", currency="EUR", exponent=2, status="active", balance="5.00"),),
    (
        PlannedMake(
            number=1,
            kind="payout",
            order=MappingProxyType({"cashback_id": 480, "user_id": "1"}),
            expected=Expectation(),
            place=0,
            effect_minor=1050,
        ),
        PlannedMake(
            number=2,
            kind="unknown user",
            order=MappingProxyType({"cashback_id": 481, "user_id": "x"}),
            expected=Expectation(code=102145),
            place=1,
        ),
    ),
    seed=0,
)


SENT: Mapping[int, Sent] = {
    1: Sent(make_id=1, token_sha256=PAYOUT, http_status=200),
    2: Sent(make_id=2, token_sha256=DECLINED, http_status=200),
}


def with_receipt(**changes: object) -> History:
    return replace(GOOD, receipts=(replace(GOOD.receipts[0], **changes), GOOD.receipts[1]))  # type: ignore[arg-type]  # a test's


def with_accept(**changes: object) -> History:
    return replace(GOOD, accepts=(replace(GOOD.accepts[0], **changes), GOOD.accepts[1]))  # type: ignore[arg-type]  # a test's


def with_transaction(**changes: object) -> History:
    return replace(GOOD, transactions=(OPENING_ROW, replace(PAYOUT_ROW, **changes)))  # type: ignore[arg-type]  # a test's


def with_more_transactions(*more: Transaction) -> History:
    return replace(GOOD, transactions=(*GOOD.transactions, *more))


CANCEL_ROW = replace(
    PAYOUT_ROW, transaction_id=12, kind="cancel", transaction_type=-1, token_sha256="cc", reverses=11
)
