"""The demo's checks of money: each way in which it can be wrong is found."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from deploy.local.demo import check
from deploy.local.demo.history import (
    Entry,
    History,
    LedgerAccount,
)
from tests.support.demo_history import (
    BALANCES,
    BEGUN,
    CANCEL_ROW,
    DECLINED,
    GOOD,
    HOUSE,
    OPENING_ROW,
    PAYOUT_ROW,
    with_accept,
    with_more_transactions,
    with_receipt,
    with_transaction,
)

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
