"""The demo's checks: a good history passes them all, and each way to break it is found."""

from dataclasses import replace

import pytest

from deploy.local.demo import check
from deploy.local.demo.history import (
    History,
)
from deploy.local.demo.report import examine
from tests.support.demo_history import GOOD, PLAN, SENT, make, with_accept, with_receipt


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


def test_an_accept_after_the_deadline_is_found() -> None:
    assert check.late_accepts(GOOD) == []
    assert check.late_accepts(with_accept(late=True))


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
