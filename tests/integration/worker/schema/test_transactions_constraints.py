"""Wrong transactions and accounts are refused by the schema; without its protections they would stand."""

import psycopg
import pytest

from tests.support.books import balances
from tests.support.breaking import Forbidden, expect_refused, no_constraint, run
from tests.support.wrong_books import (
    ACCOUNTS_BEGIN,
    ACCOUNTS_GUARD,
    ADJUSTED,
    ANN,
    BOB,
    CANCELLED,
    ENTRIES_BALANCE,
    EVENT,
    EXACT_REVERSE,
    HAVE_ENTRIES,
    INSERT_ACCOUNT,
    REVERSED,
    adjusting,
    bare_transaction,
    cancelling,
    house,
    opening,
    paying,
    posted,
)

TRANSACTIONS = [
    Forbidden(
        "transaction without entries",
        bare_transaction("kind, account_id, amount_minor", f"'opening', {ANN}, 5"),
        (HAVE_ENTRIES,),
        "are not what it says",
    ),
    Forbidden(
        "transaction of nothing without entries",
        bare_transaction("kind, account_id, amount_minor", f"'opening', {ANN}, 0"),
        (HAVE_ENTRIES,),
        "are not what it says",
    ),
    *(
        Forbidden(name, statements, (ENTRIES_BALANCE,), "are not what it says")
        for name, statements in {
            "payout of more than it says": paying((ANN, 1000), (house("cashback"), -1000)),
            "payout from the user to the house": paying((ANN, -10), (house("cashback"), 10)),
            "payout to another user": paying((BOB, 10), (house("cashback"), -10)),
            "payout shared with another user": paying(
                (ANN, 8), (BOB, 2), (house("cashback"), -10), amount=10, tax=2
            ),
            "payout that withholds more than the tax": paying(
                (ANN, 7), (house("tax"), 3), (house("cashback"), -10), amount=10, tax=2
            ),
            "payout out of the opening account and the cashback account": paying(
                (ANN, 10), (house("cashback"), -12), (house("tax"), 2)
            ),
            "opening of another amount": opening((ANN, 5), (house("opening"), -5)),
            "cancel of a part": cancelling((ANN, -1), (house("cashback"), 1)),
            "cancel that pays again": cancelling((ANN, 1000), (house("cashback"), -1000)),
            "cancel at another user's cost": cancelling((BOB, -1000), (house("cashback"), 1000)),
            "cancel of another amount": cancelling(*EXACT_REVERSE, amount=5),
            "cancel of another cashback": cancelling(*EXACT_REVERSE, cashback_id=77),
            "cancel in another user's name": cancelling(*EXACT_REVERSE, account=BOB),
            "cancel of a cancel": cancelling(
                (ANN, 1000), (house("cashback"), -1000), of=CANCELLED, cashback_id=2
            ),
            "payout out of the adjustment account": paying((ANN, 10), (house("adjustment"), -10)),
            "payout beside the adjustment account": paying(
                (ANN, 10), (house("cashback"), -10), (house("adjustment"), 5), (house("tax"), -5)
            ),
            "opening beside the adjustment account": opening(
                (ANN, 1), (house("opening"), -1), (house("adjustment"), 5), (house("tax"), -5)
            ),
            "adjustment of more than it says": adjusting((ANN, 6), (house("adjustment"), -6)),
            "adjustment the other way round": adjusting((ANN, -5), (house("adjustment"), 5)),
            "adjustment to another user": adjusting((BOB, 5), (house("adjustment"), -5)),
            "adjustment shared with another user": adjusting((ANN, 5), (BOB, 1), (house("adjustment"), -6)),
            "adjustment at another user's cost": adjusting((ANN, 5), (BOB, -5)),
            "adjustment out of the cashback account": adjusting((ANN, 5), (house("cashback"), -5)),
            "adjustment out of the tax": adjusting((ANN, 5), (house("tax"), -5)),
            "adjustment in parts": adjusting((ANN, 2), (ANN, 3), (house("adjustment"), -5)),
            "adjustment beside the tax": adjusting(*ADJUSTED, (house("tax"), 1), (house("cashback"), -1)),
            "adjustment of the house": adjusting(
                (house("tax"), 5), (house("adjustment"), -5), account=house("tax")
            ),
        }.items()
    ),
    *(
        Forbidden(
            f"adjustment with {name}",
            adjusting(*ADJUSTED, more=more),
            (no_constraint("transactions_check1", "transactions"),),
            "transactions_check1",
        )
        for name, more in {
            "a cashback": "cashback_id = 9",
            "a type": "transaction_type = 1",
            "an event": f"event_id = {EVENT}",
            "a tax": "tax_minor = 1",
        }.items()
    ),
    Forbidden(
        "second effect of a business key",
        paying((ANN, 10), (house("cashback"), -10), key="1, 1"),
        (no_constraint("transactions_cashback_id_transaction_type_key", "transactions"),),
        "transactions_cashback_id_transaction_type_key",
    ),
    Forbidden(
        "second cancel of a payout",
        cancelling(*EXACT_REVERSE, of=REVERSED, cashback_id=2),
        ("DROP INDEX transactions_reverses_key",),
        "transactions_reverses_key",
    ),
    Forbidden(
        "cancel of nothing",
        cancelling(*EXACT_REVERSE, of="NULL"),
        (no_constraint("transactions_check3", "transactions"), ENTRIES_BALANCE),
        "transactions_check3",
    ),
    Forbidden(
        "tax above the amount",
        paying((ANN, 10), (house("cashback"), -10), tax=11),
        (no_constraint("transactions_check2", "transactions"),),
        "transactions_check2",
    ),
    Forbidden(
        "payout without its event",
        posted(
            f"kind, cashback_id, transaction_type, account_id, amount_minor = 'payout', 9, 1, {ANN}, 10",
            (ANN, 10),
            (house("cashback"), -10),
        ),
        (no_constraint("transactions_check1", "transactions"),),
        "transactions_check1",
    ),
    Forbidden(
        "payout of less than nothing",
        paying((ANN, -10), (house("cashback"), 10), amount=-10),
        (
            no_constraint("transactions_check", "transactions"),
            no_constraint("transactions_check2", "transactions"),
        ),
        'transactions_check"',
    ),
    Forbidden(
        "tax below zero",
        paying((ANN, 10), (house("cashback"), -10), tax=-1),
        (no_constraint("transactions_tax_minor_check", "transactions"),),
        "transactions_tax_minor_check",
    ),
]


ACCOUNTS = [
    Forbidden(
        "balance changed by hand",
        ("UPDATE accounts SET balance_minor = balance_minor + 1 WHERE user_id = 'ann'",),
        (ACCOUNTS_GUARD,),
        "by entries only",
    ),
    *(
        Forbidden(
            name,
            (f"UPDATE accounts SET {change} WHERE user_id = 'idle'",),  # noqa: S608 - constants of this file
            (ACCOUNTS_GUARD,),
            "never change",
        )
        for name, change in {
            "currency changed": "currency = 'JPY'",
            "user changed": "user_id = 'someone'",
            "id changed": "account_id = DEFAULT",
        }.items()
    ),
    *(
        Forbidden(name, (INSERT_ACCOUNT + values,), protections, says)
        for name, values, protections, says in (
            (
                "account that begins with money",
                "('user', 'x', 'EUR', 'active', 5)",
                (ACCOUNTS_BEGIN,),
                "at zero",
            ),
            (
                "second account of a user",
                "('user', 'ann', 'EUR', 'active', 0)",
                (no_constraint("accounts_user_id_key", "accounts"),),
                "accounts_user_id_key",
            ),
            (
                "second house account",
                "('tax', NULL, 'EUR', 'active', NULL)",
                ("DROP INDEX accounts_house",),
                "accounts_house",
            ),
            (
                "user without a kept balance",
                "('user', 'x', 'EUR', 'active', NULL)",
                (no_constraint("accounts_check1", "accounts"),),
                "accounts_check1",
            ),
            (
                "account of an unknown currency",
                "('user', 'x', 'XTS', 'active', 0)",
                (ACCOUNTS_BEGIN,),
                "currencies does not have",
            ),
            (
                "account of an unknown status",
                "('user', 'x', 'EUR', 'asleep', 0)",
                (no_constraint("accounts_status_check", "accounts"),),
                "accounts_status_check",
            ),
            (
                "nameless user",
                "('user', '', 'EUR', 'active', 0)",
                (no_constraint("accounts_user_id_check", "accounts"),),
                "accounts_user_id_check",
            ),
        )
    ),
]


@pytest.mark.parametrize("forbidden", [*TRANSACTIONS, *ACCOUNTS], ids=str)
def test_the_schema_refuses(books: psycopg.Connection, forbidden: Forbidden) -> None:
    expect_refused(books, forbidden)


@pytest.mark.parametrize("amount", [5, -5])
def test_an_adjustment_adds_and_takes(books: psycopg.Connection, amount: int) -> None:
    before = balances(books, "ann")["ann"]

    run(books, adjusting((ANN, amount), (house("adjustment"), -amount), amount=amount))

    assert balances(books, "ann") == {"ann": before + amount}
