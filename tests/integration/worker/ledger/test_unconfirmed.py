"""Money is unconfirmed until BETCORE acknowledges an event of its transaction, whichever it is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import pytest

from deploy.local.processes import wait_until
from tests.support.books import (
    CUTOFF_SECONDS,
    DEADLINE_SECONDS,
    SOUND,
    add_user,
    audit,
    cancel,
    ledger_on,
    new_event,
    payout,
)
from worker.domain.settlement import Instruction, State
from worker.ledger.ledger import Ledger, VerifiedEvent

MARK = "SELECT mark_answered(ARRAY[%s]::uuid[])"
BAD_ENDS = pytest.mark.parametrize("end", [State.EXPIRED, State.REFUSED])


@dataclass(frozen=True)
class Books:
    """A ledger, and a look at its receipts."""

    connection: psycopg.Connection
    ledger: Ledger

    def settled(self, instruction: Instruction) -> VerifiedEvent:
        """Settle an event of its own."""
        event = new_event(instruction.cashback_id)
        self.ledger.settle(event, instruction)
        return event

    def receipt(self, event: VerifiedEvent) -> tuple[str, bool]:
        """Return its state, and whether it is unconfirmed."""
        row = self.connection.execute(
            "SELECT state, unconfirmed FROM receipts WHERE event_id = %s", (event.event_id,)
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    def confirmed_by(self, event: VerifiedEvent) -> object:
        row = self.connection.execute(
            "SELECT confirmed_by FROM receipts WHERE event_id = %s", (event.event_id,)
        ).fetchone()
        assert row is not None
        return row[0]

    def end(self, event: VerifiedEvent, state: State) -> None:
        assert self.ledger.close(event.event_id, state, error="why")


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    with psycopg.connect(database_url, autocommit=True) as connection, ledger_on(database_url) as ledger:
        add_user(connection, "ann")
        yield Books(connection, ledger)
        assert audit(connection) == SOUND


PAYOUT = payout(1, "ann", "10")


@BAD_ENDS
def test_an_acknowledged_resubmission_confirms_what_ended_badly(books: Books, end: State) -> None:
    first = books.settled(PAYOUT)
    books.end(first, end)
    again = books.settled(PAYOUT)
    before = books.receipt(first)

    books.ledger.mark_answered([again.event_id])

    assert (before, books.receipt(first)) == ((end, True), (end, False))
    assert books.confirmed_by(first) == again.event_id


@BAD_ENDS
def test_a_resubmission_that_was_acknowledged_before_the_end_confirms_it_too(
    books: Books, end: State
) -> None:
    first, again = books.settled(PAYOUT), books.settled(PAYOUT)
    books.ledger.mark_answered([again.event_id])

    books.end(first, end)

    assert books.receipt(first) == (end, False)


def test_the_sweep_counts_what_was_confirmed_as_expired_and_not_as_unconfirmed(
    database_url: str, books: Books
) -> None:
    # Given two credits, one of them acknowledged in another event, and deadlines that have passed since,
    firsts = [books.settled(payout(number, "ann", "10")) for number in (1, 2)]
    books.ledger.mark_answered([books.settled(payout(1, "ann", "10")).event_id])
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SET session_replication_role = replica")
        other.execute(
            "UPDATE receipts SET received_at = received_at - make_interval(secs => %(age)s), "
            "credit_cutoff_at = credit_cutoff_at - make_interval(secs => %(age)s), "
            "deadline_at = deadline_at - make_interval(secs => %(age)s), "
            "next_attempt_at = next_attempt_at - make_interval(secs => %(age)s) WHERE state = 'settled'",
            {"age": DEADLINE_SECONDS + CUTOFF_SECONDS},
        )

    expired = books.connection.execute("SELECT expired, unconfirmed FROM expire_overdue(10)").fetchone()

    assert expired == (2, 1)
    assert [books.receipt(first) for first in firsts] == [("expired", False), ("expired", True)]


def test_a_resubmission_in_the_same_group_of_marks_hides_no_mark(books: Books) -> None:
    first, again = books.settled(PAYOUT), books.settled(PAYOUT)

    assert books.ledger.mark_answered([again.event_id, first.event_id]) == 2

    assert (books.receipt(first), books.receipt(again)) == (("answered", False), ("answered", False))


def test_a_late_acknowledgement_of_the_event_itself_wins_over_all(books: Books) -> None:
    first, again = books.settled(PAYOUT), books.settled(PAYOUT)
    books.end(first, State.EXPIRED)
    books.ledger.mark_answered([again.event_id])

    assert books.ledger.mark_answered([first.event_id]) == 1

    assert books.receipt(first) == ("answered", False)


def test_what_is_acknowledged_of_another_transaction_or_of_none_confirms_nothing(books: Books) -> None:
    first = books.settled(PAYOUT)
    books.end(first, State.EXPIRED)
    unread = Instruction(cashback_id=1, kind=None, transaction_type=None, user_id=None, amount=None, tax=None)
    others = [
        books.settled(payout(2, "ann", "10")),
        books.settled(cancel(1, "ann", "10")),
        books.settled(unread),
    ]

    books.ledger.mark_answered([other.event_id for other in others])

    assert books.receipt(first) == ("expired", True)


def test_a_cancel_is_confirmed_by_one_of_the_other_type(books: Books) -> None:
    books.settled(PAYOUT)
    first = books.settled(cancel(1, "ann", "10", cancel_type=-1))
    books.end(first, State.EXPIRED)

    books.ledger.mark_answered([books.settled(cancel(1, "ann", "10", cancel_type=-2)).event_id])

    assert books.receipt(first) == ("expired", False)


def test_money_stays_confirmed_when_the_receipt_that_confirmed_it_is_gone(books: Books) -> None:
    first, again = books.settled(PAYOUT), books.settled(PAYOUT)
    books.end(first, State.EXPIRED)
    books.ledger.mark_answered([again.event_id])

    assert books.connection.execute("SELECT prune_receipts(0, 10)").fetchone() == (1,)

    assert books.receipt(first) == ("expired", False)


@pytest.mark.parametrize("acknowledged_first", [True, False])
def test_who_closes_an_event_and_who_confirms_it_at_once_leave_it_confirmed(
    database_url: str,
    books: Books,
    acknowledged_first: bool,  # noqa: FBT001 - a case
) -> None:
    # Given one of both that has not committed yet,
    first, again = books.settled(PAYOUT), books.settled(PAYOUT)
    statements = [
        (MARK, (again.event_id,)),
        ("SELECT close_event(%s, 'expired', 'why')", (first.event_id,)),
    ]
    begun, then = statements if acknowledged_first else reversed(statements)
    with (
        psycopg.connect(database_url) as one,
        psycopg.connect(database_url) as other,
        ThreadPoolExecutor() as threads,
    ):
        one.execute(*begun)

        # When the other one comes in between,
        waiting = threads.submit(lambda: other.execute(*then))
        wait_until(
            lambda: (
                books.connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
                    (other.info.backend_pid,),
                ).fetchone()
                == (1,)
            ),
            what="the other one waits for the receipt",
            timeout_seconds=120,
        )
        one.commit()
        waiting.result(timeout=120)
        other.commit()

    # Then neither has missed what the other one did.
    assert books.receipt(first) == ("expired", False)
    assert books.confirmed_by(first) == again.event_id
