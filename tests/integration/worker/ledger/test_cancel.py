"""What a cancel does to a payout, case by case."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.books import (
    SOUND,
    add_user,
    audit,
    balances,
    cancel,
    ledger_on,
    move,
    new_event,
    payout,
    policy,
    pool_of,
)
from worker.ledger.group_commit import GroupCommitLedger
from worker.ledger.ledger import Ledger


@pytest.fixture
def books(database_url: str) -> Iterator[psycopg.Connection]:
    """Give books with two users."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann", balance_minor=500)
        add_user(connection, "bob", balance_minor=500)
        yield connection
        assert audit(connection) == SOUND


def test_a_cancel_takes_back_exactly_what_the_user_got(database_url: str, books: psycopg.Connection) -> None:
    with ledger_on(database_url, withhold_tax=True) as ledger:
        ledger.settle(new_event(1), payout(1, "ann", "10", tax="2"))
        between = balances(books, "ann")

        settlement = ledger.settle(new_event(1), cancel(1, "ann", "10"))

    assert settlement.code == 200
    assert (between, balances(books, "ann")) == ({"ann": 1300}, {"ann": 500})


def test_another_type_of_cancel_gets_the_first_reversal(database_url: str, books: psycopg.Connection) -> None:
    with ledger_on(database_url) as ledger:
        ledger.settle(new_event(1), payout(1, "ann", "10"))
        first = ledger.settle(new_event(1), cancel(1, "ann", "10", cancel_type=-1))
        second = ledger.settle(new_event(1), cancel(1, "ann", "10", cancel_type=-2))

    assert (first.code, second.code) == (200, 103804)
    assert second.transaction == first.transaction
    assert balances(books, "ann") == {"ann": 500}


@pytest.mark.parametrize(("allow_negative", "code", "balance"), [(True, 200, -1000), (False, 102823, 0)])
def test_a_balance_goes_below_zero_only_where_the_setting_says_so(
    database_url: str,
    books: psycopg.Connection,
    allow_negative: bool,  # noqa: FBT001 - a case
    code: int,
    balance: int,
) -> None:
    with ledger_on(database_url, allow_negative=allow_negative) as ledger:
        ledger.settle(new_event(1), payout(1, "ann", "10"))
        move(books, "ann", -1500)

        settlement = ledger.settle(new_event(1), cancel(1, "ann", "10"))

    assert settlement.code == code
    assert balances(books, "ann") == {"ann": balance}


@pytest.mark.parametrize(("user_id", "amount", "code"), [("bob", "10", 102823), ("ann", "9", 103801)])
def test_a_cancel_that_does_not_fit_its_payout_changes_nothing(
    database_url: str, books: psycopg.Connection, user_id: str, amount: str, code: int
) -> None:
    with ledger_on(database_url) as ledger:
        ledger.settle(new_event(1), payout(1, "ann", "10"))

        assert ledger.settle(new_event(1), cancel(1, user_id, amount)).code == code

    assert balances(books, "ann", "bob") == {"ann": 1500, "bob": 500}


@pytest.mark.parametrize(("cancel_blocked", "expected"), [(True, (200, 500)), (False, (103779, 1500))])
@pytest.mark.parametrize("kind", [Ledger, GroupCommitLedger])
def test_money_comes_back_from_a_blocked_user_unless_the_setting_says_no(
    database_url: str,
    books: psycopg.Connection,
    kind: type[Ledger],
    cancel_blocked: bool,  # noqa: FBT001 - a case
    expected: tuple[int, int],
) -> None:
    with pool_of(database_url) as pool:
        ledger = kind(pool, policy=policy(cancel_blocked=cancel_blocked), timeout_seconds=120)
        ledger.settle(new_event(1), payout(1, "ann", "10"))
        books.execute("UPDATE accounts SET status = 'blocked' WHERE user_id = 'ann'")

        taken_back = ledger.settle(new_event(1), cancel(1, "ann", "10"))
        paid = ledger.settle(new_event(2), payout(2, "ann", "10"))

    assert (taken_back.code, balances(books, "ann")["ann"]) == expected
    assert paid.code == 103779


def test_a_payout_that_was_cancelled_is_not_paid_again(database_url: str, books: psycopg.Connection) -> None:
    with ledger_on(database_url) as ledger:
        paid = ledger.settle(new_event(1), payout(1, "ann", "10"))
        ledger.settle(new_event(1), cancel(1, "ann", "10"))

        again = ledger.settle(new_event(1), payout(1, "ann", "10"))

    assert (again.code, again.transaction) == (103804, paid.transaction)
    assert balances(books, "ann") == {"ann": 500}
