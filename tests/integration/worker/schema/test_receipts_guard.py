"""A receipt's outcome, its times and its way through the states are guarded by the schema itself."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from cashback_client.contract import MAX_TOKEN_CHARS, OWN_PRODUCER
from deploy.local.postgres import PostgresServer
from tests.support.books import SOUND, add_user, audit, database_of, ledger_on, new_event, payout
from tests.support.breaking import Forbidden, expect_refused, no_constraint, no_trigger
from worker.domain.settlement import State
from worker.ledger.ledger import VerifiedEvent

GUARD = no_trigger("receipts_guard", "receipts")
OPEN, PAID, DECLINED, AGAIN, GONE, DONE = (
    new_event(number, token=f"token-{name}")
    for number, name in ((1, "open"), (2, "paid"), (3, "declined"), (2, "again"), (4, "gone"), (5, "done"))
)
AGAIN_OPEN = new_event(2, token="token-again-open")
PAID_TRANSACTION = "(SELECT transaction_id FROM transactions WHERE cashback_id = 2)"
OTHER_TRANSACTION = "(SELECT transaction_id FROM transactions WHERE cashback_id = 4)"
CLOSED = "closed_at = clock_timestamp()"
COLUMNS = "event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at"
TIMES = "now(), now() + interval '25 s', now() + interval '30 s', now()"


def just_received(event: VerifiedEvent) -> VerifiedEvent:
    """Return the event as received now: it was made when this file was read, which may be long ago."""
    return replace(event, received_at=datetime.now(UTC))


def change(event: VerifiedEvent, changes: str) -> tuple[str, ...]:
    return (f"UPDATE receipts SET {changes} WHERE event_id = '{event.event_id}'",)  # noqa: S608 - constants of this file


def insert(
    columns: str = "", values: str = "", *, cashback_id: int = 1, times: str = TIMES
) -> tuple[str, ...]:
    row = f"'00000000-0000-8000-8000-000000000009', {cashback_id}, {times}{values}"
    return (f"INSERT INTO receipts ({COLUMNS}{columns}) VALUES ({row})",)  # noqa: S608 - constants of this file


def record(token: str) -> tuple[str, ...]:
    return (f"SELECT record_receipt(event_id_of('{token}'), '{token}', 1, now(), 25, 30, 3)",)


def constraint(name: str) -> str:
    return no_constraint(name, "receipts")


TOKEN_CHECK = no_constraint("tokens_token_check", "tokens")
DECIDED = [
    Forbidden(name, statements, (GUARD,), "is decided")
    for name, statements in {
        "a success becomes an error": change(PAID, "code = 102823, transaction_id = NULL"),
        "an error becomes another": change(DECLINED, "code = 102823"),
        "an error becomes a duplicate": change(
            DECLINED, f"code = 103804, transaction_id = {PAID_TRANSACTION}"
        ),
        "a success for another transaction": change(PAID, f"transaction_id = {OTHER_TRANSACTION}"),
        "a decision is undone": change(PAID, "code = NULL, transaction_id = NULL, state = 'received'"),
        "an answered one is undone": change(
            DONE, "code = NULL, transaction_id = NULL, state = 'received', closed_at = NULL"
        ),
    }.items()
]

FIXED = [
    Forbidden(f"another {column}", change(OPEN, f"{column} = {value}"), (GUARD,), "never change")
    for column, value in {
        "event_id": "gen_random_uuid()",
        "cashback_id": "99",
        "received_at": "received_at - interval '1 ms'",
        "credit_cutoff_at": "credit_cutoff_at + interval '1 ms'",
        "deadline_at": "deadline_at + interval '1 ms'",
        "producer": "'edge'",
    }.items()
]

ASKED = [
    Forbidden(f"asks for {what}", change(PAID, what), (GUARD,), "asks for never changes")
    for column, value in {"user_id": "'eve'", "transaction_type": "7", "amount": "amount + 1"}.items()
    for what in (f"{column} = {value}", f"{column} = NULL")
]

WAYS = [
    *(
        Forbidden(name, change(event, changes), (GUARD,), "cannot go from")
        for name, event, changes in (
            ("from refused to expired", GONE, "state = 'expired'"),
            ("from refused to settled", GONE, "state = 'settled', closed_at = NULL, unconfirmed = false"),
            ("from answered to expired", DONE, "state = 'expired'"),
            ("from answered to refused", DONE, "state = 'refused'"),
            ("from answered to settled", DONE, "state = 'settled', closed_at = NULL"),
        )
    ),
    *(
        Forbidden(name, change(event, changes), (GUARD, constraint("receipts_check1")), "cannot go from")
        for name, event, changes in (
            ("from settled back to received", PAID, "state = 'received'"),
            ("from received to answered", OPEN, f"state = 'answered', {CLOSED}"),
            ("from received to expired", OPEN, f"state = 'expired', {CLOSED}"),
        )
    ),
]

TRUTH = [
    Forbidden(
        "success without a transaction",
        change(OPEN, "state = 'settled', code = 200"),
        (constraint("receipts_check2"),),
        "receipts_check2",
    ),
    Forbidden(
        "duplicate without a transaction",
        change(OPEN, "state = 'settled', code = 103804"),
        (constraint("receipts_check2"),),
        "receipts_check2",
    ),
    Forbidden(
        "error with a transaction",
        change(OPEN, f"state = 'settled', code = 102823, transaction_id = {PAID_TRANSACTION}"),
        (constraint("receipts_check2"), GUARD),
        "receipts_check2|does not stand behind",
    ),
    Forbidden(
        "success by the transaction of another event",
        change(
            AGAIN_OPEN,
            f"state = 'settled', code = 200, transaction_id = {PAID_TRANSACTION}",
        ),
        (GUARD,),
        "does not stand behind",
    ),
    Forbidden(
        "duplicate of another cashback",
        change(OPEN, f"state = 'settled', code = 103804, transaction_id = {PAID_TRANSACTION}"),
        (GUARD,),
        "does not stand behind",
    ),
    Forbidden(
        "settled without a code",
        change(OPEN, "state = 'settled'"),
        (constraint("receipts_check1"),),
        "receipts_check1",
    ),
    Forbidden(
        "code without being settled",
        change(OPEN, "code = 102823"),
        (constraint("receipts_check1"),),
        "receipts_check1",
    ),
    Forbidden(
        "end without a time",
        change(PAID, "state = 'expired'"),
        (constraint("receipts_check3"),),
        "receipts_check3",
    ),
    Forbidden(
        "time of an end without an end",
        change(PAID, CLOSED),
        (constraint("receipts_check3"),),
        "receipts_check3",
    ),
    Forbidden(
        "unconfirmed while it is open",
        change(PAID, "unconfirmed = true"),
        (constraint("receipts_check4"),),
        "receipts_check4",
    ),
    Forbidden(
        "unconfirmed without money",
        change(DECLINED, f"state = 'expired', {CLOSED}, unconfirmed = true"),
        (constraint("receipts_check4"),),
        "receipts_check4",
    ),
    Forbidden(
        "unconfirmed though it is confirmed",
        change(GONE, "unconfirmed = true, confirmed_by = gen_random_uuid()"),
        (constraint("receipts_check4"),),
        "receipts_check4",
    ),
    Forbidden(
        "unknown state",
        change(PAID, "state = 'lost'"),
        (constraint("receipts_state_check"), GUARD),
        "receipts_state_check|cannot go",
    ),
    Forbidden(
        "born with a success",
        insert(", state, code, transaction_id", f", 'settled', 200, {PAID_TRANSACTION}", cashback_id=2),
        (GUARD,),
        "begins as received",
    ),
    Forbidden(
        "no CashbackId",
        insert(cashback_id=0),
        (constraint("receipts_cashback_id_check"),),
        "receipts_cashback_id_check",
    ),
    *(
        Forbidden(
            f"the producer {name!r}",
            insert(", producer", f", '{name}'"),
            (constraint("receipts_producer_check"),),
            "receipts_producer_check",
        )
        for name in ("", "Edge", "-edge", "edge-", "edge\n", "e" * 33, OWN_PRODUCER)
    ),
    Forbidden("no token", record(""), (TOKEN_CHECK,), "tokens_token_check"),
    Forbidden(
        "a token that is too long", record("t" * (MAX_TOKEN_CHARS + 1)), (TOKEN_CHECK,), "tokens_token_check"
    ),
    Forbidden(
        "another token",
        ("UPDATE tokens SET token = 'another'",),
        (no_trigger("tokens_never_change", "tokens"),),
        "a token never changes",
    ),
    Forbidden(
        "cut-off after the deadline",
        insert(times="now(), now() + interval '31 s', now() + interval '30 s', now()"),
        (constraint("receipts_check"),),
        "receipts_check",
    ),
    Forbidden(
        "the same event twice",
        (insert()[0], insert()[0]),
        (constraint("receipts_pkey"),),
        "receipts_pkey",
    ),
]


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer, migrated_template: str) -> Iterator[psycopg.Connection]:
    """Receipts in every state."""
    with (
        database_of(postgres_server, migrated_template) as database_url,
        psycopg.connect(database_url, autocommit=True) as connection,
        ledger_on(database_url) as ledger,
    ):
        add_user(connection, "ann")
        for event in (OPEN, AGAIN_OPEN):
            connection.execute(
                "SELECT record_receipt(%s, %s, %s, %s, 25, 30, 3)",
                (event.event_id, event.token, event.cashback_id, event.received_at),
            )
        for event in (PAID, AGAIN, GONE, DONE):
            ledger.settle(just_received(event), payout(event.cashback_id, "ann", "10"))
        ledger.settle(just_received(DECLINED), payout(3, "nobody", "10"))
        ledger.close(GONE.event_id, State.REFUSED)
        ledger.mark_answered([DONE.event_id])
        assert audit(connection) == SOUND
        yield connection


@pytest.fixture
def receipts(filled: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Give each test the same receipts: whatever it does is rolled back."""
    with filled.transaction(force_rollback=True):
        yield filled


@pytest.mark.parametrize("forbidden", [*DECIDED, *FIXED, *ASKED, *WAYS, *TRUTH], ids=str)
def test_the_schema_refuses(receipts: psycopg.Connection, forbidden: Forbidden) -> None:
    expect_refused(receipts, forbidden)


@pytest.mark.parametrize("state", ["answered", "settled", "received", "lost"])
def test_only_a_bad_end_closes_an_event(receipts: psycopg.Connection, state: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="is no bad end"):
        receipts.execute("SELECT close_event(%s, %s, 'why')", (PAID.event_id, state))


def test_a_receiver_whose_clock_runs_ahead_gains_no_time(receipts: psycopg.Connection) -> None:
    receipts.execute(
        "SELECT record_receipt("
        "event_id_of('ahead'), 'ahead', 8, clock_timestamp() + interval '1 hour', 25, 30, 3)"
    )

    row = receipts.execute(
        "SELECT received_at <= clock_timestamp(), deadline_at - received_at = interval '30 s', "
        "credit_cutoff_at - received_at = interval '25 s' FROM receipts WHERE cashback_id = 8"
    ).fetchone()
    assert row == (True, True, True)
