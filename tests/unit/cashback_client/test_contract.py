"""The contract: the same token is the same event, and data is read exactly."""

import hashlib
import json
from decimal import Decimal
from uuid import RFC_4122

import jsonschema
import pytest
from pydantic import ValidationError

from cashback_client.contract import (
    MAX_CASHBACK_ID,
    MAX_DATA_DEPTH,
    MAX_TOKEN_CHARS,
    QUEUE,
    DataError,
    SettleMessage,
    cashback_id_of,
    celery_options,
    event_id_of,
    producer_of,
    queue_of,
    read_data,
)
from deploy.local.environment import ROOT

SCHEMA_FILE = ROOT / "docs" / "contract" / "message.schema.json"
MESSAGE = SettleMessage(token="a.b.c", received_at_ms=1_800_000_000_123)
ODD_IDS: list[object] = [None, True, 1.0, Decimal("1.5"), "", "x", "-1", "\u0661", "1 ", "9" * 400, [], {}]


def test_the_event_id_is_a_version_8_uuid_of_the_token_alone() -> None:
    later = SettleMessage(token="a.b.c", received_at_ms=1)

    assert MESSAGE.event_id == later.event_id == event_id_of("a.b.c")
    digest = bytearray(hashlib.sha256(b"a.b.c").digest()[:16])
    assert MESSAGE.event_id.version == 8
    assert MESSAGE.event_id.variant == RFC_4122
    assert MESSAGE.event_id.bytes[:6] == digest[:6]
    assert MESSAGE.event_id.bytes[9:] == digest[9:]
    assert event_id_of("a.b.d") != MESSAGE.event_id


def test_the_time_of_receipt_is_read_to_the_millisecond() -> None:
    assert MESSAGE.received_at.isoformat() == "2027-01-15T08:00:00.123000+00:00"


@pytest.mark.parametrize(
    "change",
    [
        {"token": ""},
        {"token": "x" * (MAX_TOKEN_CHARS + 1)},
        {"token": 5},
        {"received_at_ms": "1"},
        {"received_at_ms": 1.5},
        {"received_at_ms": -1},
        {"received_at_ms": 2**53},
        {"received_at_ms": True},
        {"version": 2},
        {"version": 0},
        {"version": True},
        {"version": "1"},
    ],
)
def test_a_message_that_is_not_in_the_form_is_refused_by_the_model_and_by_the_schema(
    change: dict[str, object],
) -> None:
    values = MESSAGE.model_dump() | change

    with pytest.raises(ValidationError):
        SettleMessage.model_validate(values)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, json.loads(SCHEMA_FILE.read_text("utf-8")))


def test_the_published_schema_is_that_of_the_model() -> None:
    published = json.loads(SCHEMA_FILE.read_text("utf-8"))
    head = {name: published.pop(name) for name in ("$schema", "$id")}

    assert published == SettleMessage.model_json_schema()
    assert head["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.validate(MESSAGE.model_dump(), published)


def test_data_is_read_with_exact_decimals() -> None:
    assert read_data('{"Amount": 0.1, "CashbackId": 12345678901234567890}') == {
        "Amount": Decimal("0.1"),
        "CashbackId": 12345678901234567890,
    }


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        {},
        b"{}",
        "",
        "x",
        "[]",
        "1",
        '{"a": NaN}',
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        "[" * 9_999,
        '{"a": 1e9999999999999999999, "a": 1}',
        '{"a": 1e9999999999999999999, "b": NaN}',
        '{"a": 1e9999999999999999999',
        "1e9999999999999999999",
    ],
)
def test_data_that_is_not_one_unambiguous_object_is_refused(data: object) -> None:
    with pytest.raises(DataError):
        read_data(data)


@pytest.mark.parametrize(
    "number",
    ["1e9999999999999999999", "-1e9999999999999999999", "1.5e-9999999999999999999", "9" * 5_000],
    ids=lambda text: text[:30],
)
def test_a_number_that_python_cannot_hold_is_none_and_harms_no_other_member(number: str) -> None:
    data = read_data(f'{{"CashbackId": 480, "More": [{number}], "Amount": {number}, "TaxAmount": 0.10}}')

    assert (data["CashbackId"], data["TaxAmount"]) == (480, Decimal("0.10"))
    assert data["Amount"].is_nan()
    assert data["More"][0].is_nan()
    assert cashback_id_of(read_data(f'{{"CashbackId": {number}}}')) is None


def test_what_is_nested_too_deeply_is_refused_wherever_the_caller_stands() -> None:
    def nested(levels: int) -> str:
        return '{"a":' + "[" * (levels - 1) + "1" + "]" * (levels - 1) + "}"

    def read_from_below(frames: int) -> object:
        return read_from_below(frames - 1) if frames else read_data(nested(MAX_DATA_DEPTH))

    assert read_from_below(500) == read_data(nested(MAX_DATA_DEPTH))
    with pytest.raises(DataError, match="deeper"):
        read_data(nested(MAX_DATA_DEPTH + 1))
    assert read_data('{"a": [' + "[], " * 500 + "1]}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        ("480", 480),
        (Decimal("480.00"), 480),
        ("4.8e2", 480),
        (MAX_CASHBACK_ID, MAX_CASHBACK_ID),
        (0, None),
        (-1, None),
        (MAX_CASHBACK_ID + 1, None),
    ]
    + [(value, None) for value in ODD_IDS],
)
def test_a_cashback_id_is_a_positive_64_bit_integer(value: object, expected: int | None) -> None:
    assert cashback_id_of({"CashbackId": value}) == expected


def test_the_options_for_celery_name_the_event_and_show_no_token() -> None:
    options = celery_options(MESSAGE, {"CashbackId": 480})

    assert options["task_id"] == str(MESSAGE.event_id)
    assert options["queue"] == QUEUE
    # A declaration would ask Redis for more than a partner's user may do.
    assert options["declare"] == []
    assert MESSAGE.token not in json.dumps(options)


@pytest.mark.parametrize(
    ("producer", "queue"),
    [("betcore", "cashback"), ("edge-2", "cashback.partner.edge-2"), ("7", "cashback.partner.7")],
)
def test_each_producer_has_its_queue(producer: str, queue: str) -> None:
    assert queue_of(producer) == queue
    assert producer_of(queue) == producer


@pytest.mark.parametrize("name", ["", "Edge", "edge.eu", "-edge", "edge-", "e" * 33, "édge", "edge\n", "a b"])
def test_what_could_not_be_a_queue_or_a_label_is_no_producers_name(name: str) -> None:
    with pytest.raises(ValueError, match="no producer's name"):
        queue_of(name)
    assert producer_of(f"cashback.partner.{name}") == "betcore"


@pytest.mark.parametrize("queue", ["cashback", "cashback.retry", "celery", "", "edge"])
def test_what_is_on_no_partners_queue_counts_as_our_receivers(queue: str) -> None:
    assert producer_of(queue) == "betcore"
