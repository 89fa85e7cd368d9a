"""Each ErrorCode has a sentence, and the standing says what is true of every way that an event can stand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from cashback_client.contract import ErrorCode
from worker.cli.printing.events.standing import Standing, standing_of
from worker.cli.printing.events.words import why
from worker.cli.queries.events.cashback import Cashback, Transaction
from worker.cli.queries.events.listing import Event
from worker.domain.settlement import State

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = Event(
    event_id=uuid4(),
    cashback_id=480,
    state=State.ANSWERED,
    code=200,
    transaction_id=17,
    attempts=1,
    unconfirmed=False,
    confirmed_by=None,
    last_error=None,
    received_at=MOMENT,
    credit_cutoff_at=MOMENT + timedelta(seconds=25),
    deadline_at=MOMENT + timedelta(seconds=30),
    next_attempt_at=MOMENT,
    settled_at=MOMENT,
    closed_at=MOMENT,
    producer="betcore",
    user_id="188509",
    transaction_type=1,
    amount=Decimal("10.50"),
)
PAYOUT = Transaction(
    transaction_id=17,
    kind="payout",
    cashback_id=480,
    transaction_type=1,
    event_id=EVENT.event_id,
    user_id="188509",
    currency="EUR",
    exponent=2,
    amount_minor=1050,
    tax_minor=0,
    reverses=None,
    created_at=MOMENT,
    is_acknowledged=True,
    is_being_told=False,
)
CANCEL = replace(PAYOUT, transaction_id=18, kind="cancel", transaction_type=-1, event_id=uuid4(), reverses=17)
HALF_KNOWN = "Money moved and was taken back. Payout: BETCORE knows. Cancel: BETCORE has NOT acknowledged it."
UNTOLD = replace(PAYOUT, is_acknowledged=False)
TOLD = replace(UNTOLD, is_being_told=True)


def standing(*transactions: Transaction, event: Event = EVENT, event_id: UUID | None = None) -> Standing:
    return standing_of(
        Cashback(
            cashback_id=480,
            event_id=event_id,
            events=(event,),
            more_events=False,
            transactions=transactions,
            entries=(),
            attempts=(),
            replays=(),
        )
    )


def said(given: Standing) -> tuple[str, str, str]:
    return given.money, given.betcore, given.sentence


def declined(state: State, code: int | None) -> Event:
    return replace(EVENT, state=state, code=code, transaction_id=None)


@pytest.mark.parametrize("code", list(ErrorCode), ids=str)
def test_each_error_code_has_a_sentence_for_payouts_and_for_cancels(code: ErrorCode) -> None:
    for transaction_type in (1, -1, None):
        said = why(replace(EVENT, code=int(code), transaction_type=transaction_type))

        assert said is not None
        assert "does not know" not in said


def test_why_is_said_by_what_happened_and_not_by_the_code_alone() -> None:
    late = EVENT.credit_cutoff_at
    cancel = replace(EVENT, code=102823, transaction_type=-1)

    assert why(replace(EVENT, code=103779)) == "the account is blocked"
    assert why(replace(EVENT, code=102823)) == "it could not be decided before the credit cut-off"
    assert why(replace(cancel, settled_at=late)) == "no payout to cancel came before the credit cut-off"
    assert why(cancel) == "the payout is another user's, or the balance does not suffice to take it back"
    assert why(replace(EVENT, code=None)) is None
    assert why(replace(EVENT, code=7)) == "a code that this program does not know"


@pytest.mark.parametrize(
    ("transactions", "expected"),
    [
        ([PAYOUT], ("moved", "knows", "Money moved, and BETCORE knows.")),
        ([TOLD], ("moved", "being_told", "Money moved, and BETCORE is being told.")),
        (
            [UNTOLD],
            ("moved", "not_acknowledged", "Money moved, and BETCORE has NOT acknowledged it."),
        ),
        ([PAYOUT, CANCEL], ("taken_back", "knows", "Money moved and was taken back. BETCORE knows both.")),
        (
            [PAYOUT, replace(CANCEL, is_acknowledged=False)],
            (
                "taken_back",
                "not_acknowledged",
                HALF_KNOWN,
            ),
        ),
    ],
    ids=["known", "being told", "not acknowledged", "taken back", "taken back, half known"],
)
def test_of_a_cashback_what_stands_in_the_books_decides(
    transactions: list[Transaction], expected: tuple[str, str, str]
) -> None:
    assert said(standing(*transactions)) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            declined(State.RECEIVED, None),
            ("undecided", "nothing_yet", "No money has moved so far: the event is not decided yet."),
        ),
        (
            declined(State.ANSWERED, 103779),
            ("not_moved", "knows", "No money moved: the account is blocked. BETCORE knows."),
        ),
        (
            declined(State.SETTLED, 102145),
            (
                "not_moved",
                "being_told",
                "No money moved: no account of this user is on record. BETCORE is being told.",
            ),
        ),
        (
            declined(State.EXPIRED, 103801),
            (
                "not_moved",
                "not_acknowledged",
                "No money moved: the amount cannot be paid. BETCORE has NOT acknowledged it.",
            ),
        ),
    ],
    ids=["undecided", "declined", "declined, being told", "declined, not acknowledged"],
)
def test_where_nothing_was_posted_the_event_decides(event: Event, expected: tuple[str, str, str]) -> None:
    assert said(standing(event=event)) == expected
    assert said(standing(event=event, event_id=event.event_id)) == expected


def test_of_an_event_its_own_transaction_decides() -> None:
    again = replace(EVENT, event_id=uuid4(), code=103804)
    cancel = replace(EVENT, event_id=CANCEL.event_id, transaction_id=18, transaction_type=-1)

    assert said(standing(PAYOUT, event_id=EVENT.event_id)) == (
        "moved",
        "knows",
        "Money moved, and BETCORE knows.",
    )
    assert standing(PAYOUT, event=again, event_id=again.event_id).sentence == (
        f"Money moved by event {EVENT.event_id}, and BETCORE knows."
    )
    assert said(standing(PAYOUT, CANCEL, event_id=EVENT.event_id)) == (
        "taken_back",
        "knows",
        f"Money moved, and BETCORE knows. It was taken back later, by event {CANCEL.event_id}.",
    )
    assert said(standing(PAYOUT, CANCEL, event=cancel, event_id=cancel.event_id)) == (
        "taken_back",
        "knows",
        "Money was taken back, and BETCORE knows.",
    )
