"""Which accepts are late: on a fast machine to the blink, on a slow one by what is certain."""

from dataclasses import replace
from decimal import Decimal

import pytest

from deploy.local.demo.history import Accept, History, Make
from deploy.local.demo.lateness import with_lateness

BEGUN_MS = 1_800_000_000_000
LIMIT_SECONDS = 30.0
LIMIT_MS = 30_000


def make(token: str, *, took_ms: int | None, status: int | None = 200, at_ms: int = 0, kind: int = 1) -> Make:
    """Return a make of cashback 480, sent `at_ms` after the begin and replied to `took_ms` later."""
    return Make(
        make_id=1,
        token_sha256=token,
        cashback_id=480,
        transaction_type=kind,
        http_status=status,
        first_sent_at_ms=BEGUN_MS + at_ms,
        replied_at_ms=None if took_ms is None else BEGUN_MS + at_ms + took_ms,
    )


def accept(after_ms: int, *, kind: int | None = 1, cashback_id: int = 480) -> Accept:
    return Accept(
        accept_id=1,
        cashback_id=cashback_id,
        transaction_type=kind,
        error_code=200,
        user_id="7",
        partner_transaction_id="480-1",
        amount=Decimal(1),
        tax_amount=Decimal(0),
        received_at_ms=BEGUN_MS + after_ms,
        answered_at_ms=None,
        in_time=True,
        late=False,
        acknowledged=True,
        delivered=True,
    )


def judged(*makes: Make, of: Accept) -> tuple[bool, bool]:
    history = History(makes=makes, accepts=(of,), receipts=(), transactions=(), accounts=(), entries=())
    (found,) = with_lateness(history, limit_seconds=LIMIT_SECONDS).accepts
    return found.in_time, found.late


@pytest.mark.parametrize(
    ("after_ms", "expected"), [(LIMIT_MS + 20, (True, False)), (LIMIT_MS + 21, (False, True))]
)
def test_the_limit_counts_from_the_reply_and_the_way_there_is_not_counted(
    after_ms: int, expected: tuple[bool, bool]
) -> None:
    # Ten milliseconds to the reply, and as many for the accept's own way.
    assert judged(make("a", took_ms=10), of=accept(after_ms)) == expected


def test_where_one_make_took_long_an_accept_may_have_been_as_long_on_its_way() -> None:
    slow = make("b", took_ms=4_000, at_ms=90_000, kind=-1)

    assert judged(make("a", took_ms=10), slow, of=accept(LIMIT_MS + 4_010)) == (True, False)
    assert judged(make("a", took_ms=10), slow, of=accept(LIMIT_MS + 4_011)) == (False, True)


def test_a_token_that_is_sent_again_does_not_begin_anew() -> None:
    first = make("a", took_ms=10)
    again = replace(first, replied_at_ms=BEGUN_MS + 9_000)

    assert judged(first, again, of=accept(LIMIT_MS + 21)) == (False, True)


def test_a_request_in_a_new_token_begins_anew_but_not_for_accepts_before_it() -> None:
    later = make("b", took_ms=10, at_ms=50_000)

    assert judged(make("a", took_ms=10), later, of=accept(60_000)) == (True, False)
    assert judged(make("a", took_ms=10), later, of=accept(49_000)) == (False, True)


def test_an_accept_of_no_make_is_neither_in_time_nor_late() -> None:
    known = make("a", took_ms=10)

    assert judged(known, of=accept(10, cashback_id=481)) == (False, False)
    assert judged(known, of=accept(10, kind=-1)) == (False, False)
    assert judged(known, of=accept(10, kind=None)) == (True, False)
    assert judged(make("a", took_ms=10, status=401), of=accept(10)) == (False, False)


def test_a_make_without_a_reply_counts_from_its_sending() -> None:
    assert judged(make("a", took_ms=None, status=None), of=accept(LIMIT_MS)) == (True, False)
    assert judged(make("a", took_ms=None, status=None), of=accept(LIMIT_MS + 1)) == (False, True)
