"""The name that BETCORE knows money by: the same in whichever database it stands."""

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from tests.support.books import add_user, cancel, database_of, ledger_on, new_event, payout
from worker.domain.settlement import PostedTransaction
from worker.ledger.ledger import Ledger, VerifiedEvent


@pytest.fixture
def two_databases(postgres_server: PostgresServer, migrated_template: str) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(database_of(postgres_server, migrated_template)) for _ in range(2)]


def _posted(ledger: Ledger, *events: VerifiedEvent) -> list[PostedTransaction]:
    instructions = [payout(480, "7", "10"), cancel(480, "7", "10")]
    settlements = [
        ledger.settle(event, instruction) for event, instruction in zip(events, instructions, strict=True)
    ]
    return [settlement.transaction for settlement in settlements if settlement.transaction is not None]


def test_two_databases_that_number_it_otherwise_give_the_same_money_the_same_name(
    two_databases: list[str],
) -> None:
    events = new_event(480), new_event(480)
    names, numbers = [], []

    for openings, database_url in enumerate(two_databases):
        with psycopg.connect(database_url, autocommit=True) as connection, ledger_on(database_url) as ledger:
            # What the one had and the other had not: its transactions are counted from another number.
            for number in range(openings * 5):
                add_user(connection, f"other-{number}", balance_minor=1)
            add_user(connection, "7")
            posted = _posted(ledger, *events)
        names.append([transaction.partner_transaction_id for transaction in posted])
        numbers.append([transaction.transaction_id for transaction in posted])

    assert not set(numbers[0]) & set(numbers[1])
    assert names == [["480-1", "480--1"]] * 2


def test_the_name_for_one_who_asks_again_is_the_one_of_then(two_databases: list[str]) -> None:
    database_url, _ = two_databases
    with psycopg.connect(database_url, autocommit=True) as connection, ledger_on(database_url) as ledger:
        add_user(connection, "7")
        first, again = (ledger.settle(new_event(480), payout(480, "7", "10")) for _ in range(2))

    assert (first.code, again.code) == (200, 103804)
    assert [each.transaction and each.transaction.partner_transaction_id for each in (first, again)] == [
        "480-1",
        "480-1",
    ]
