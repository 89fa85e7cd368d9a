"""What is read out of the verified data of a make; what is wrong with it becomes a code later."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.settlement import (
    Kind,
    PostedTransaction,
    Settlement,
    State,
    partner_transaction_id,
    read_instruction,
    unread_instruction,
)

CANCELS = frozenset({-1, -2})
GOOD: dict[str, object] = {"PartnerUserId": "7", "TransactionType": 1, "Amount": "10.50", "TaxAmount": "0.5"}


def read(**changes: object) -> tuple[Kind | None, str | None, Decimal | None, Decimal | None]:
    read_as = read_instruction(GOOD | changes, cashback_id=480, cancel_types=CANCELS)
    return read_as.kind, read_as.user_id, read_as.amount, read_as.tax


def test_a_payout_is_read() -> None:
    assert read() == (Kind.PAYOUT, "7", Decimal("10.50"), Decimal("0.5"))


@pytest.mark.parametrize(
    ("transaction_type", "kind"),
    [(1, Kind.PAYOUT), (-1, Kind.CANCEL), (-2, Kind.CANCEL), ("1", Kind.PAYOUT),
     (Decimal("1.0"), Kind.PAYOUT), ("-2.0", Kind.CANCEL), (2, None), (0, None), ("", None), (True, None),
     (None, None), (1.0, None), (Decimal("1.5"), None), (2**31 + 1, None),
     (10**30, None), (Decimal("NaN"), None), ([1], None)],
)  # fmt: skip
def test_the_type_says_what_is_asked_for(transaction_type: object, kind: Kind | None) -> None:
    assert read(TransactionType=transaction_type)[0] is kind


def test_the_cancel_types_are_a_setting() -> None:
    read_as = read_instruction(GOOD | {"TransactionType": 9}, cashback_id=480, cancel_types=frozenset({9}))

    assert read_as.kind is Kind.CANCEL


@pytest.mark.parametrize(
    ("user", "user_id"),
    [
        (7, "7"),
        (Decimal("7.0"), "7"),
        ("Ümit-7 x", "Ümit-7 x"),
        ("u" * 128, "u" * 128),
        ("a\u00a0b\n", "a\u00a0b\n"),
    ],
)
def test_a_user_is_text_or_a_whole_number(user: object, user_id: str) -> None:
    assert read(PartnerUserId=user)[:2] == (Kind.PAYOUT, user_id)


@pytest.mark.parametrize(
    "user", [None, "", "u" * 129, True, 1.5, Decimal("1.5"), Decimal("NaN"), [], {}, 10**200], ids=repr
)
def test_a_user_that_cannot_be_one_makes_the_data_unreadable(user: object) -> None:
    assert read(PartnerUserId=user)[:2] == (None, None)


@pytest.mark.parametrize("user", ["a\x00b", "\ud800", "7\udfff"], ids=repr)
def test_a_user_that_no_database_can_hold_is_nobody_and_the_data_readable(user: str) -> None:
    assert read(PartnerUserId=user)[:2] == (Kind.PAYOUT, None)


def test_data_without_an_amount_is_unreadable_and_a_wrong_amount_is_not() -> None:
    without = {name: value for name, value in GOOD.items() if name != "Amount"}

    assert read_instruction(without, cashback_id=480, cancel_types=CANCELS).kind is None
    assert read(Amount="ten") == (Kind.PAYOUT, "7", None, Decimal("0.5"))


@pytest.mark.parametrize(
    ("tax", "read_as"), [(None, Decimal(0)), ("x", None), (0, Decimal(0)), ("1.5", Decimal("1.5"))]
)
def test_no_tax_is_zero_and_a_wrong_tax_is_none(tax: object, read_as: Decimal | None) -> None:
    assert read(TaxAmount=tax)[3] == read_as


def test_nothing_is_believed_of_what_could_not_be_verified() -> None:
    unread = unread_instruction(480)

    assert (unread.cashback_id, unread.kind, unread.user_id, unread.amount, unread.tax) == (
        480,
        None,
        None,
        None,
        None,
    )


# BETCORE keeps these names for ever: another form would give money that it knows a second name. It may never
# change.
NAMES = {
    (480, 1): "480-1",
    (480, -1): "480--1",
    (48, 1): "48-1",
    (4, 8): "4-8",
    (2**63 - 1, -(2**31)): ("9223372036854775807--2147483648"),
}


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("transaction_id", [1, 120730817])
def test_the_same_money_has_the_same_name_for_ever_whatever_number_it_was_given(
    key: tuple[int, int], transaction_id: int
) -> None:
    transaction = PostedTransaction(
        transaction_id=transaction_id,
        cashback_id=key[0],
        transaction_type=key[1],
        user_id="7",
        amount_minor=1,
        tax_minor=0,
        exponent=2,
    )

    assert transaction.partner_transaction_id == NAMES[key]


@given(cashback_id=st.integers(1, 2**63 - 1), transaction_type=st.integers(-(2**31), 2**31 - 1))
def test_a_partner_transaction_id_can_be_read_back(cashback_id: int, transaction_type: int) -> None:
    before, _, after = partner_transaction_id(cashback_id, transaction_type).partition("-")

    assert (int(before), int(after)) == (cashback_id, transaction_type)


@pytest.mark.parametrize("state", State)
def test_an_event_is_closed_in_its_three_ends(state: State) -> None:
    settlement = Settlement(
        state=state,
        cashback_id=1,
        code=None,
        transaction=None,
        runs=0,
        seconds_to_cutoff=0,
        seconds_to_deadline=0,
    )

    assert settlement.is_closed == (state in {State.ANSWERED, State.REFUSED, State.EXPIRED})
