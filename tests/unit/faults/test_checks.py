"""The fault suite's checks: quiet on a true history, and each one finds what it is there for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from deploy.local.demo.history import Accept, Entry, History, LedgerAccount, Make, Receipt, Transaction
from tests.faults import checks
from tests.faults.evidence import Aside, Evidence, Fault, Key, Ordered
from tests.faults.outcome import INVARIANTS, Outcome, judge

BEGUN_MS = 1_800_000_000_000
BEGUN = datetime.fromtimestamp(BEGUN_MS / 1000, tz=UTC)
CUTOFF_SECONDS = 7.0
TOKEN, AGAIN = "token-1", "token-2"


def make(token: str = TOKEN, *, make_id: int = 1) -> Make:
    return Make(
        make_id=make_id,
        token_sha256=token,
        cashback_id=480,
        transaction_type=1,
        http_status=200,
        first_sent_at_ms=BEGUN_MS,
    )


def accept(**changes: Any) -> Accept:  # noqa: ANN401 -- any field's value
    good = Accept(
        accept_id=1,
        cashback_id=480,
        transaction_type=1,
        error_code=200,
        user_id="u-0",
        partner_transaction_id="480-1",
        amount=Decimal(10),
        tax_amount=Decimal(0),
        received_at_ms=BEGUN_MS + 900,
        answered_at_ms=BEGUN_MS + 1_000,
        in_time=True,
        late=False,
        acknowledged=True,
        delivered=True,
    )
    return replace(good, **changes)


RECEIPT = Receipt(
    token_sha256=TOKEN,
    cashback_id=480,
    state="answered",
    code=200,
    transaction_id=9,
    unconfirmed=False,
    credit_cutoff_at=BEGUN + timedelta(seconds=CUTOFF_SECONDS),
)
TRANSACTION = Transaction(
    transaction_id=9,
    kind="payout",
    cashback_id=480,
    transaction_type=1,
    token_sha256=TOKEN,
    user_id="u-0",
    exponent=2,
    amount_minor=1_000,
    tax_minor=0,
    reverses=None,
    created_at=BEGUN + timedelta(milliseconds=500),
)
TRUE = Evidence(
    history=History(
        makes=(make(),),
        accepts=(accept(),),
        receipts=(RECEIPT,),
        transactions=(TRANSACTION,),
        accounts=(LedgerAccount(account_id=1, user_id="u-0", currency="EUR", balance_minor=1_000),),
        entries=(
            Entry(transaction_id=9, account_id=1, amount_minor=1_000),
            Entry(transaction_id=9, account_id=2, amount_minor=-1_000),
        ),
    ),
    ordered={(480, 1): Ordered(user_id="u-0", effect_minor=1_000)},
    received_by_ms={TOKEN: BEGUN_MS + 20},
    users=("u-0",),
)


def but(**changes: Any) -> Evidence:  # noqa: ANN401 -- any field's value
    """Return the true evidence with another history."""
    return replace(TRUE, history=replace(TRUE.history, **changes))


def judged(evidence: Evidence, *, least_in_time_share: float = 0.0) -> Outcome:
    return judge(
        "some",
        evidence,
        cutoff_seconds=CUTOFF_SECONDS,
        least_in_time_share=least_in_time_share,
        unmet=(),
        figures={},
        seconds=1.0,
    )


FAULT = Fault(name="some", begun_at_ms=BEGUN_MS + 100, ended_at_ms=BEGUN_MS + 300)


def test_a_true_history_shows_no_finding() -> None:
    outcome = judged(replace(TRUE, faults=(FAULT,)), least_in_time_share=1.0)

    assert outcome.lines() == []
    assert outcome.is_good
    assert outcome.as_json() | {"seconds": 0} == {
        "events": 1,
        "faults": 1,
        **dict.fromkeys(INVARIANTS, 0),
        "late_accepts": 0,
        "answered_in_time": 1,
        "recovery_ms": {"p50": 900, "p99": 900},
        "seconds": 0,
        "ok": True,
        "unmet": [],
        "figures": {},
        "findings": [],
    }


def test_a_received_event_without_a_receipt_is_lost_and_silent() -> None:
    gone = but(receipts=(), transactions=(), entries=(), accepts=())

    assert len(checks.lost(gone)) == 1
    assert len(checks.silent(gone)) == 1


def test_what_its_scenario_judges_itself_is_set_aside() -> None:
    gone = but(receipts=(), transactions=(), entries=(), accepts=())

    without = gone.without(Aside(tokens={TOKEN}))
    assert judged(without).events == 0
    assert checks.lost(without) == checks.silent(without) == []
    assert len(checks.lost(gone.without(Aside(tokens={AGAIN})))) == 1

    untrue = but(transactions=())
    assert len(checks.false_success(untrue)) == 1
    assert checks.false_success(untrue.without(Aside(accept_ids={1}))) == []
    assert len(checks.false_success(untrue.without(Aside(accept_ids={2})))) == 1


def test_an_event_that_is_on_record_as_answered_and_was_never_acknowledged_is_lost() -> None:
    assert len(checks.lost(but(accepts=()))) == 1
    assert len(checks.lost(but(accepts=(accept(acknowledged=False),)))) == 1


@pytest.mark.parametrize("state", ["received", "settled"])
def test_a_received_event_that_is_still_open_is_silent(state: str) -> None:
    assert len(checks.silent(but(receipts=(replace(RECEIPT, state=state),)))) == 1


@pytest.mark.parametrize("state", ["answered", "refused", "expired"])
def test_an_event_with_an_end_on_record_is_not_silent(state: str) -> None:
    assert checks.silent(but(receipts=(replace(RECEIPT, state=state),))) == []


def test_two_transactions_under_one_key_are_a_double_credit() -> None:
    second = replace(TRANSACTION, transaction_id=10)

    assert checks.double_credits(but(transactions=(TRANSACTION, second)))


def test_money_that_moved_beside_the_transactions_is_a_double_credit() -> None:
    account = LedgerAccount(account_id=1, user_id="u-0", currency="EUR", balance_minor=2_000)
    entries = (*TRUE.history.entries, *TRUE.history.entries)

    assert checks.double_credits(but(accounts=(account,), entries=entries)) == [
        "the balance of user u-0 is 2000, not 1000 minor units"
    ]


def test_an_amount_other_than_the_ordered_one_is_found() -> None:
    ordered: dict[Key, Ordered] = {(480, 1): Ordered(user_id="u-0", effect_minor=1_001)}

    assert checks.double_credits(replace(TRUE, ordered=ordered))


def test_a_success_without_its_credit_is_a_false_one() -> None:
    assert checks.false_success(but(transactions=(), entries=()))


def test_an_error_in_spite_of_a_credit_is_a_false_answer() -> None:
    declined = accept(accept_id=2, error_code=102823, partner_transaction_id=None, amount=None)

    assert checks.false_success(but(accepts=(accept(), declined)))


def test_a_success_that_was_told_before_the_credit_was_made_is_false() -> None:
    assert checks.false_success(but(accepts=(accept(received_at_ms=BEGUN_MS + 400),)))


def test_a_credit_after_the_cutoff_on_record_is_late() -> None:
    late = replace(TRANSACTION, created_at=RECEIPT.credit_cutoff_at + timedelta(milliseconds=1))

    assert checks.late_credits(but(transactions=(late,)), cutoff_seconds=60.0)


def test_a_credit_is_late_by_betcores_clock_though_the_record_allows_it() -> None:
    late = replace(TRANSACTION, created_at=BEGUN + timedelta(seconds=CUTOFF_SECONDS, milliseconds=30))
    generous = replace(RECEIPT, credit_cutoff_at=BEGUN + timedelta(seconds=60))

    found = checks.late_credits(
        but(transactions=(late,), receipts=(generous,)), cutoff_seconds=CUTOFF_SECONDS
    )

    assert found == ["transaction 9 is later than its cut-off by BETCORE's clock"]


def test_answered_in_time_counts_what_betcore_took_whatever_is_on_record() -> None:
    assert checks.answered_in_time(but(receipts=(replace(RECEIPT, state="expired"),))) == 1
    assert checks.answered_in_time(but(accepts=(accept(in_time=False),))) == 0
    assert checks.answered_in_time(but(accepts=(accept(acknowledged=False),))) == 0


def test_one_acknowledgement_does_not_count_for_two_events() -> None:
    second = replace(RECEIPT, token_sha256=AGAIN)
    both = replace(
        but(makes=(make(), make(AGAIN, make_id=2)), receipts=(RECEIPT, second)),
        received_by_ms={TOKEN: BEGUN_MS, AGAIN: BEGUN_MS},
    )

    assert checks.answered_in_time(both) == 1
    assert len(checks.lost(both)) == 1


def test_recovery_counts_from_the_first_fault_in_the_life_of_the_event() -> None:
    before = Fault(name="before", begun_at_ms=BEGUN_MS - 50, ended_at_ms=BEGUN_MS - 10)
    during = Fault(name="during", begun_at_ms=BEGUN_MS + 200, ended_at_ms=BEGUN_MS + 200)
    later = Fault(name="later", begun_at_ms=BEGUN_MS + 700, ended_at_ms=BEGUN_MS + 800)

    assert checks.recoveries_ms(replace(TRUE, faults=(later, during, before))) == [800]


def test_recovery_from_a_fault_that_was_there_first_counts_from_the_event() -> None:
    lasting = Fault(name="lasting", begun_at_ms=BEGUN_MS - 50, ended_at_ms=BEGUN_MS + 10)

    assert checks.recoveries_ms(replace(TRUE, faults=(lasting,))) == [1_000]


def test_an_event_that_no_fault_met_has_no_recovery() -> None:
    after = Fault(name="after", begun_at_ms=BEGUN_MS + 1_000, ended_at_ms=BEGUN_MS + 2_000)

    assert checks.recoveries_ms(replace(TRUE, faults=(after,))) == []


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = list(range(1, 201))

    assert checks.percentile(values, 50) == 100
    assert checks.percentile(values, 99) == 198
    assert checks.percentile([], 99) is None


def test_a_scenario_that_injected_nothing_is_not_good() -> None:
    assert judged(TRUE).lines() == ["no faults: it proves nothing"]


def test_a_scenario_without_an_event_is_not_good() -> None:
    nothing = Evidence(
        history=History(makes=(), accepts=(), receipts=(), transactions=(), accounts=(), entries=()),
        ordered={},
        received_by_ms={},
        users=(),
        faults=(FAULT,),
    )

    assert judged(nothing).lines() == ["no events: it proves nothing"]


def test_an_event_that_missed_its_deadline_counts_where_more_had_to_be_in_time() -> None:
    expired = replace(
        but(receipts=(replace(RECEIPT, state="expired", unconfirmed=True),), accepts=()), faults=(FAULT,)
    )

    assert judged(expired).is_good
    assert judged(expired, least_in_time_share=1.0).lines() == ["1 of 1 events were not answered in time"]


def test_an_accept_that_came_too_late_is_unmet() -> None:
    late = accept(accept_id=2, in_time=False, late=True, acknowledged=False)

    assert not judged(replace(but(accepts=(accept(), late)), faults=(FAULT,))).is_good
