"""The body of accept: exact numbers, plain ASCII, and the Value that BETCORE's table asks for."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashback_client.contract import ErrorCode
from worker.betcore.accept_body import MESSAGES, accept_body
from worker.domain.settlement import (
    Instruction,
    Kind,
    PostedTransaction,
    Settlement,
    State,
    unread_instruction,
)

users = st.text(min_size=1, max_size=128).filter(str.isprintable)


def settlement(code: int | None, transaction: PostedTransaction | None = None) -> Settlement:
    return Settlement(
        state=State.SETTLED,
        cashback_id=480,
        code=code,
        transaction=transaction,
        runs=1,
        seconds_to_cutoff=25,
        seconds_to_deadline=30,
    )


def posted(
    *, user_id: str = "7", amount_minor: int = 1000, tax_minor: int = 0, exponent: int = 2
) -> PostedTransaction:
    return PostedTransaction(
        transaction_id=120730817,
        cashback_id=480,
        transaction_type=1,
        user_id=user_id,
        amount_minor=amount_minor,
        tax_minor=tax_minor,
        exponent=exponent,
    )


def asked(amount: Decimal | None, *, user_id: str | None = "7", tax: Decimal | None = None) -> Instruction:
    return Instruction(
        cashback_id=480, kind=Kind.PAYOUT, transaction_type=1, user_id=user_id, amount=amount, tax=tax
    )


def read(body: bytes) -> dict[str, object]:
    """Read JSON with exact decimals."""
    value = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    assert isinstance(value, dict)
    return value


def test_the_example_of_betcore_comes_out_as_it_is_printed() -> None:
    body = accept_body(
        settlement(200, posted(user_id="188509", amount_minor=100_000)), unread_instruction(480)
    )

    assert body == (
        b'{"ErrorCode": 200, "Message": "Success", "Value": {"CashbackId": 480, "PartnerUserId": "188509", '
        b'"PartnerTransactionId": "480-1", "TransactionType": 1, "Amount": 1000, "TaxAmount": 0}}'
    )


@given(
    amount_minor=st.integers(1, 10**15 - 1),
    tax_minor=st.integers(0, 10**15 - 1),
    exponent=st.sampled_from([0, 2, 3, 4]),
    user_id=users,
)
def test_amounts_of_a_transaction_leave_as_exactly_their_numbers(
    amount_minor: int, tax_minor: int, exponent: int, user_id: str
) -> None:
    transaction = posted(user_id=user_id, amount_minor=amount_minor, tax_minor=tax_minor, exponent=exponent)

    body = accept_body(settlement(103804, transaction), asked(Decimal(1)))

    value = read(body)["Value"]
    assert isinstance(value, dict)
    assert body.isascii()
    assert value["Amount"] * 10**exponent == amount_minor
    assert value["TaxAmount"] * 10**exponent == tax_minor
    assert value["PartnerUserId"] == user_id
    assert b"E" not in body.partition(b'"Amount"')[2]


@given(amount=st.decimals(allow_nan=False, allow_infinity=False, places=4), user_id=users)
def test_an_echoed_amount_leaves_as_exactly_its_number(amount: Decimal, user_id: str) -> None:
    body = accept_body(settlement(103801), asked(amount, user_id=user_id, tax=Decimal("1E+3")))

    value = read(body)["Value"]
    assert isinstance(value, dict)
    assert value["Amount"] == amount
    assert value["TaxAmount"] == Decimal(1000)
    assert value["PartnerUserId"] == user_id


def test_what_could_not_be_read_is_left_out_of_the_echo() -> None:
    assert read(accept_body(settlement(103753), unread_instruction(480)))["Value"] == {"CashbackId": 480}
    assert read(accept_body(settlement(103801), asked(None, user_id=None)))["Value"] == {
        "CashbackId": 480,
        "TransactionType": 1,
    }


@pytest.mark.parametrize(
    "code", [code for code in ErrorCode if code != ErrorCode.INCORRECT_REQUEST_PARAMETERS]
)
def test_each_code_that_we_send_has_its_message(code: ErrorCode) -> None:
    transaction = posted() if code in {200, 103804} else None

    body = read(accept_body(settlement(int(code), transaction), asked(Decimal(1))))

    assert (body["ErrorCode"], body["Message"]) == (code, MESSAGES[code])


def test_an_event_without_a_decision_has_no_answer() -> None:
    with pytest.raises(ValueError, match="not settled"):
        accept_body(settlement(None), asked(Decimal(1)))
