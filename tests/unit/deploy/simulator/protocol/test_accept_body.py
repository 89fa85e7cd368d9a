"""What the simulated BETCORE takes for an accept."""

import json
from decimal import Decimal
from typing import Any

import pytest

from deploy.local.simulator.errors import MalformedAccept
from deploy.local.simulator.protocol.accept_body import MAX_BODY_BYTES, read_accept_body

# The body of BETCORE's page, with the comma that the page forgets.
SAMPLE = {
    "ErrorCode": 200,
    "Message": "Success",
    "Value": {
        "CashbackId": 480,
        "PartnerUserId": "188509",
        "PartnerTransactionId": "480-1",
        "TransactionType": 1,
        "Amount": 1000,
        "TaxAmount": 0,
    },
}


def sample(*, code: int = 200, without: str = "", **value: object) -> bytes:
    members: dict[str, Any] = {**SAMPLE["Value"], **value}  # type: ignore[dict-item]  # the sample's Value is an object
    members.pop(without, None)
    return json.dumps({**SAMPLE, "ErrorCode": code, "Value": members}).encode()


def read(raw: bytes, content_type: str = "application/json") -> Any:  # noqa: ANN401 -- compared by its members
    return read_accept_body(raw, content_type=content_type)


def test_the_page_s_sample_is_read() -> None:
    body = read(json.dumps(SAMPLE).encode(), "application/json; charset=utf-8")

    assert (body.error_code, body.cashback_id, body.transaction_type) == (200, 480, 1)
    assert (body.user_id, body.partner_transaction_id) == ("188509", "480-1")
    assert (body.amount, body.tax_amount) == (1000, 0)


def test_amounts_keep_every_digit() -> None:
    raw = sample().replace(b'"Amount": 1000', b'"Amount": 0.10000000000000000000001')

    assert read(raw).amount == Decimal("0.10000000000000000000001")


@pytest.mark.parametrize("code", [102145, 103801, 102823, 103779, 103753])
def test_an_error_may_come_with_the_cashback_id_alone(code: int) -> None:
    raw = json.dumps({"ErrorCode": code, "Message": "Error", "Value": {"CashbackId": 480}}).encode()

    assert (read(raw).error_code, read(raw).transaction_type) == (code, None)


@pytest.mark.parametrize("code", [200, 103804])
@pytest.mark.parametrize("member", sorted(SAMPLE["Value"]))  # type: ignore[call-overload]  # the same
def test_a_code_that_speaks_of_a_transaction_needs_all_of_its_value(code: int, member: str) -> None:
    with pytest.raises(MalformedAccept, match=f"missing: {member}"):
        read(sample(code=code, without=member))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"ErrorCode": 200}',
        b'{"ErrorCode": 200, "ErrorCode": 200, "Message": "Success", "Value": {}}',
        b"[" * 20_000,
        b" " * (MAX_BODY_BYTES + 1),
        sample(code=0),
        sample(Amount=float("nan")),
        sample(Amount=None),
        sample(CashbackId=480.0),
        sample(CashbackId=True),
        sample(Extra=1),
    ],
    ids=lambda raw: raw[:40].decode("latin-1"),
)
def test_anything_else_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedAccept):
        read(raw)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_the_content_type_must_be_json(content_type: str) -> None:
    with pytest.raises(MalformedAccept, match="Content-Type"):
        read(sample(), content_type)
