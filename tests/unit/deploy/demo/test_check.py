"""The demo's checks: a good history passes them all, and each way to break it is found."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import pytest

from deploy.local.demo import check
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
from deploy.local.demo.plan import Account, Expectation, Plan, PlannedMake
from deploy.local.demo.report import examine

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
        attempts=1,
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


def test_a_good_history_holds_every_invariant() -> None:
    findings = examine(PLAN, SENT, GOOD)

    assert findings.all_hold
    assert findings.lines() == []
    assert check.ends(GOOD) == {"answered": 2}
    assert check.books_sum_minor(GOOD) == 0


LOST = {
    "a received event that is not on record": replace(GOOD, receipts=GOOD.receipts[1:]),
    "an event that was received and nothing more": with_receipt(state="received"),
    "an event that was settled and never answered": with_receipt(state="settled"),
    "an answer on record that BETCORE never got": replace(GOOD, accepts=GOOD.accepts[1:]),
    "an answer on record that BETCORE did not take": with_accept(acknowledged=False),
    "an answer on record that came too late": with_accept(in_time=False),
    "an answer on record with another code than BETCORE got": with_receipt(code=103804),
    "an answer on record for another transaction than BETCORE got": with_receipt(transaction_id=12),
    "an acknowledgement that is on record as expiry": with_receipt(state="expired"),
    "an acknowledgement that is on record as refusal": with_receipt(state="refused"),
    "two answers on record of which BETCORE got one": replace(
        GOOD, receipts=(*GOOD.receipts, replace(GOOD.receipts[0], token_sha256="cc"))
    ),
}


@pytest.mark.parametrize("history", LOST.values(), ids=LOST)
def test_a_lost_event_is_found(history: History) -> None:
    assert check.lost(GOOD) == []
    assert check.lost(history)


def test_an_acknowledgement_that_was_cut_off_on_the_way_may_stay_unrecorded() -> None:
    history = replace(with_receipt(state="expired"), accepts=(replace(GOOD.accepts[0], delivered=False),))

    assert check.lost(replace(history, receipts=history.receipts[:1], makes=GOOD.makes[:1])) == []


def test_ends_that_do_not_add_up_to_what_was_received_are_found() -> None:
    assert check.without_end(GOOD) == []
    assert check.without_end(with_receipt(state="settled"))
    assert check.without_end(with_accept(in_time=False))
    assert check.without_end(replace(GOOD, receipts=()))


DOUBLE = {
    "two transactions under one business key": with_more_transactions(
        replace(PAYOUT_ROW, transaction_id=12, token_sha256=DECLINED)
    ),
    "a payout that is reversed twice": with_more_transactions(
        CANCEL_ROW, replace(CANCEL_ROW, transaction_id=13, transaction_type=-2, token_sha256="dd")
    ),
    "two payouts of one cashback": with_more_transactions(
        replace(PAYOUT_ROW, transaction_id=12, transaction_type=2, token_sha256=DECLINED)
    ),
    "two transactions of one event": with_more_transactions(
        replace(PAYOUT_ROW, transaction_id=12, cashback_id=482)
    ),
    "a transaction for a token that nobody sent": with_transaction(token_sha256="ee"),
    "a balance that is too high": replace(
        GOOD, accounts=(GOOD.accounts[0], replace(GOOD.accounts[1], balance_minor=2600))
    ),
    "a balance that is too low": replace(
        GOOD, accounts=(GOOD.accounts[0], replace(GOOD.accounts[1], balance_minor=500))
    ),
    "an account that is missing": replace(GOOD, accounts=GOOD.accounts[:1]),
    "an account that nobody planned": replace(
        GOOD, accounts=(*GOOD.accounts, replace(GOOD.accounts[1], account_id=3, user_id="2"))
    ),
}


@pytest.mark.parametrize("history", DOUBLE.values(), ids=DOUBLE)
def test_money_that_moved_otherwise_than_once_is_found(history: History) -> None:
    assert check.double_credits(GOOD, BALANCES) == []
    assert check.double_credits(history, BALANCES)


FALSE = {
    "a success without a transaction": replace(GOOD, transactions=(OPENING_ROW,)),
    "a success that names another transaction": with_accept(partner_transaction_id="480--1"),
    "a success that names none": with_accept(partner_transaction_id=None),
    "a success for another cashback": with_accept(cashback_id=481),
    "a success for another type": with_accept(transaction_type=-1),
    "a success for another user": with_accept(user_id="2"),
    "a success over another amount": with_accept(amount=Decimal("10.51")),
    "a success over a hundred times the amount": with_accept(amount=Decimal(1050)),
    "a success over no amount": with_accept(amount=None),
    "a success with another tax": with_accept(tax_amount=Decimal(1)),
    "a success before the transaction was made": with_transaction(
        created_at=BEGUN + timedelta(milliseconds=22)
    ),
    "a success where a duplicate was decided": with_receipt(code=103804),
    "a duplicate where a success was decided": with_accept(error_code=103804),
}


@pytest.mark.parametrize("history", FALSE.values(), ids=FALSE)
def test_a_success_that_is_not_true_is_found(history: History) -> None:
    assert check.false_success(GOOD) == []
    assert check.false_success(history)


def test_a_false_success_is_found_even_where_betcore_did_not_take_it() -> None:
    history = with_accept(acknowledged=False, delivered=False, amount=Decimal(11))

    assert check.false_success(history)


DECLINED_CREDITS = {
    "an error that nobody decided, for an event that was credited": with_accept(
        error_code=102823, partner_transaction_id=None
    ),
    "the same without a type": with_accept(
        error_code=102823, partner_transaction_id=None, transaction_type=None
    ),
    "an error on record for an event that was credited": with_receipt(code=102823, transaction_id=None),
}


@pytest.mark.parametrize("history", DECLINED_CREDITS.values(), ids=DECLINED_CREDITS)
def test_an_error_answer_for_an_event_whose_credit_stands_is_found(history: History) -> None:
    assert check.error_answers(GOOD) == []
    assert check.error_answers(history)


def test_a_credit_after_its_cut_off_is_found() -> None:
    cutoff_at = GOOD.receipts[0].credit_cutoff_at

    assert check.late_credits(with_transaction(created_at=cutoff_at)) == []
    assert check.late_credits(with_transaction(created_at=cutoff_at + timedelta(microseconds=1)))


def test_a_credit_for_no_event_is_found() -> None:
    assert check.late_credits(with_transaction(token_sha256=None))


def test_an_accept_after_the_deadline_is_found() -> None:
    assert check.late_accepts(GOOD) == []
    assert check.late_accepts(with_accept(late=True))


def test_books_that_do_not_balance_are_found() -> None:
    off = replace(GOOD, entries=(*GOOD.entries, Entry(transaction_id=11, account_id=HOUSE, amount_minor=3)))

    assert check.books_sum_minor(off) == 3
    assert check.wrong_books(off)


def test_two_currencies_that_are_off_by_opposite_sums_do_not_cancel_out() -> None:
    yen = LedgerAccount(account_id=3, user_id=None, currency="JPY", balance_minor=None)
    off = replace(
        GOOD,
        accounts=(*GOOD.accounts, yen),
        entries=(
            *GOOD.entries,
            Entry(transaction_id=12, account_id=HOUSE, amount_minor=7),
            Entry(transaction_id=12, account_id=3, amount_minor=-7),
        ),
    )

    assert check.books_sum_minor(off) == 14


def test_a_balance_that_is_not_the_sum_of_its_entries_is_found() -> None:
    off = replace(GOOD, accounts=(GOOD.accounts[0], replace(GOOD.accounts[1], balance_minor=1551)))

    assert check.wrong_books(GOOD) == []
    assert check.wrong_books(off)


UNEXPECTED = {
    "another state": with_receipt(state="expired"),
    "another code": with_receipt(code=103804),
    "money marked as unconfirmed": with_receipt(unconfirmed=True),
    "no record": replace(GOOD, receipts=GOOD.receipts[1:]),
}


@pytest.mark.parametrize("history", UNEXPECTED.values(), ids=UNEXPECTED)
def test_an_end_that_was_not_planned_is_found(history: History) -> None:
    assert check.unexpected(PLAN, SENT, GOOD) == []
    assert len(check.unexpected(PLAN, SENT, history)) == 1


def test_a_make_that_was_not_sent_is_found() -> None:
    assert check.unexpected(PLAN, {1: SENT[1]}, GOOD)


def test_a_receiver_that_answers_otherwise_than_planned_is_found() -> None:
    sent = {**SENT, 2: replace(SENT[2], http_status=503)}

    assert check.unexpected(PLAN, sent, GOOD)


def test_a_call_that_was_never_planned_is_found() -> None:
    more = replace(GOOD, makes=(*GOOD.makes, make(3, "cc", 482)))

    assert check.unexpected(PLAN, SENT, more)


def test_each_finding_names_its_invariant_in_one_line() -> None:
    findings = examine(PLAN, SENT, with_receipt(state="settled"))

    assert not findings.all_hold
    assert any(line.startswith("no event is lost: CashbackId 480") for line in findings.lines())
    assert all("\n" not in line for line in findings.lines())
