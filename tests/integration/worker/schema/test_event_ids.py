"""An event's id is its token's SHA-256: the database records and credits no other."""

from uuid import uuid4

import psycopg
import pytest

from cashback_client.contract import event_id_of
from tests.support.books import balances


@pytest.mark.parametrize("token", ["head.payload.signature", "ä€😀", "x" * 16_384])
def test_the_database_knows_the_event_of_a_token_as_the_program_does(
    books: psycopg.Connection, token: str
) -> None:
    assert books.execute("SELECT event_id_of(%s)", (token,)).fetchone() == (event_id_of(token),)


TO_ANOTHER = (
    "SELECT record_receipt(%(event_id)s, 'another', 8, now(), 25, 30, 3)",
    """SELECT record_receipts(ARRAY[event_id_of('its own'), %(event_id)s], '{its own,another}', '{8,9}',
        '{1,1}', 25, 30, 3)""",
    "SELECT record_receipts(ARRAY[%(event_id)s], '{}', '{9}', '{1}', 25, 30, 3)",
    """SELECT record_receipts(ARRAY[ARRAY[%(event_id)s]], '{{another}}', '{{9}}', '{{1}}', 25, 30, 3)""",
    """SELECT record_receipts(('[7:7]={' || %(event_id)s || '}')::uuid[], '[7:7]={another}', '{9}', '{1}',
        25, 30, 3)""",
    """SELECT settle_event(%(event_id)s, 'another', 8, now(), 25, 30, 5, 'payout', 1, 'ann', 1000000, 0,
        false, true, true)""",
    """SELECT settle_events(json_build_array(json_build_object('event_id', %(event_id)s, 'token', 'another',
        'cashback_id', 8, 'received_at', now(), 'hold_seconds', 3, 'kind', 'payout',
        'transaction_type', 1, 'user_id', 'ann', 'amount', 1000000, 'tax', 0)), 25, 30, false)""",
)


@pytest.mark.parametrize(
    "call",
    TO_ANOTHER,
    ids=["one", "several", "no token", "in rows", "from 7 on", "settled alone", "settled in a group"],
)
def test_nobody_is_credited_for_an_event_that_is_not_its_tokens(books: psycopg.Connection, call: str) -> None:
    before = balances(books, "ann")

    with (
        pytest.raises(psycopg.errors.CheckViolation, match="is not the one of its token"),
        books.transaction(),
    ):
        books.execute(call.encode(), {"event_id": uuid4()})

    assert balances(books, "ann") == before
