"""What a make carries: its body, the token's data, and the amounts in that."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from cashback_client.contract import MAX_DATA_DEPTH, DataError, cashback_id_of, read_data
from cashback_client.number import read_decimal, read_whole
from cashback_client.summary import is_summary, summary_of
from producer.protocol.errors import NotAToken
from producer.receiver.http.body import token_in
from tests.fuzz.exact import number_of, whole_of
from tests.fuzz.samples import TOKEN
from tests.fuzz.target import NOTHING, Target, demand_named, text_of, unambiguous
from worker.betcore.accept_body import accept_body
from worker.domain import money
from worker.domain.settlement import Instruction, Settlement, State, read_instruction

_CANCEL_TYPES: Final = frozenset({-1, -2})
_MAX_MINOR: Final = 10**15


def check_body(data: bytes) -> None:
    """Demand that the token that is taken out of a body is the one that stands there."""
    try:
        token = token_in(data)
    except NotAToken as error:
        demand_named(error)
        return
    assert token.isascii()
    stripped = data.strip(b" \t\r\n")
    if stripped.startswith(b"{"):
        assert unambiguous(stripped) == {"token": token}
    elif stripped.startswith(b'"'):
        assert unambiguous(stripped) == token
    else:
        assert stripped == token.encode("ascii")


def check_data(data: bytes) -> None:
    """Demand that data is read as the standard library reads JSON, or refused if it is ambiguous."""
    text = text_of(data)
    expected = _expected(text)
    try:
        members = read_data(text)
    except DataError as error:
        demand_named(error)
        assert expected is NOTHING
        return
    assert expected is not NOTHING
    _assert_same(members, expected)
    cashback_id = cashback_id_of(members)
    assert cashback_id == _expected_cashback_id(expected.get("CashbackId"))
    instruction = read_instruction(members, cashback_id=cashback_id or 1, cancel_types=_CANCEL_TYPES)
    amount = None if instruction.amount is None else _fraction(instruction.amount)
    assert amount == _as_number(expected.get("Amount"))
    assert is_summary(summary_of(members))
    _assert_answers(instruction)


def check_amount(data: bytes) -> None:
    """Demand that a number is read exactly or not at all, as text and as JSON alike."""
    text = text_of(data)
    expected = number_of(text)
    read = read_decimal(text)
    assert (None if read is None else _fraction(read)) == expected
    assert read_whole(text) == whole_of(text)
    if _is_json_number(text):
        assert read_decimal(read_data(f'{{"Amount": {text}}}')["Amount"]) == read
    if read is None or expected is None:
        return
    for exponent in (0, 2, 3, 4):
        minor = money.to_minor(read, exponent)
        exact = expected * 10**exponent
        assert minor == (exact if exact.denominator == 1 else None)
        if minor is not None and abs(minor) < _MAX_MINOR:
            assert _fraction(money.to_major(minor, exponent)) == expected


def _expected(text: str) -> Any:  # noqa: ANN401 - JSON
    # The constants that JSON does not have are texts of the standard library's alone.
    value = unambiguous(text)
    if not isinstance(value, dict) or _depth(value) > MAX_DATA_DEPTH or _holds_constants(value):
        return NOTHING
    return value


def _depth(value: Any) -> int:  # noqa: ANN401 - JSON
    levels, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        levels += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return levels


def _holds_constants(value: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(value, float):
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_holds_constants, inner))


def _assert_same(read: Any, expected: Any) -> None:  # noqa: ANN401 - JSON
    if isinstance(expected, tuple):
        _, text = expected
        number = _decimal_or_none(text)
        assert read == number or (read != read and number is None)  # noqa: PLR0124 - NaN
    elif isinstance(expected, dict):
        assert list(read) == list(expected)
        for name, member in expected.items():
            _assert_same(read[name], member)
    elif isinstance(expected, list):
        assert len(read) == len(expected)
        for one, other in zip(read, expected, strict=True):
            _assert_same(one, other)
    else:
        assert read == expected
        assert type(read) is type(expected)


def _decimal_or_none(text: str) -> int | Decimal | None:
    try:
        return int(text) if text.lstrip("-").isdigit() else Decimal(text)
    except (ValueError, ArithmeticError):
        return None


def _as_number(member: Any) -> Fraction | None:  # noqa: ANN401 - JSON
    if isinstance(member, tuple):
        return number_of(member[1])
    return number_of(member) if isinstance(member, str) else None


def _expected_cashback_id(member: Any) -> int | None:  # noqa: ANN401 - JSON
    value = _as_number(member)
    return int(value) if value is not None and value.denominator == 1 and 0 < value < 2**63 else None


def _assert_answers(instruction: Instruction) -> None:
    """Demand that the answer is JSON, and says what was read of the request, to the last digit."""
    refused = Settlement(
        state=State.SETTLED,
        cashback_id=instruction.cashback_id,
        code=103753,
        transaction=None,
        runs=1,
        seconds_to_cutoff=1.0,
        seconds_to_deadline=2.0,
    )
    value = json.loads(accept_body(refused, instruction), parse_float=Decimal)["Value"]
    said = {
        "CashbackId": instruction.cashback_id,
        "PartnerUserId": instruction.user_id,
        "TransactionType": instruction.transaction_type,
        "Amount": instruction.amount,
        "TaxAmount": instruction.tax,
    }
    assert value == {name: member for name, member in said.items() if member is not None}


def _fraction(amount: Decimal) -> Fraction:
    return Fraction(amount)


def _is_json_number(text: str) -> bool:
    value = unambiguous(text)
    return isinstance(value, tuple) and value[1] == text


_GOOD: Final = (
    b'{"CashbackId": 480, "PartnerUserId": "188509", "TransactionType": 1, '
    b'"Amount": "1000.50", "TaxAmount": 0}'
)
_DATA_NAMES: Final = ("CashbackId", "PartnerUserId", "TransactionType", "Amount", "TaxAmount", "Other")
_NUMBER_WORDS: Final = (
    *(
        b"e",
        b"E-",
        b".",
        b"-0",
        b"+",
        b"1e28",
        b"1e29",
        b"1e-28",
        b"9" * 28,
        b"9" * 29,
        b"0" * 30,
        b"1e999999",
    ),
    *(
        b"1e9999999999999999999",
        b"NaN",
        b"Infinity",
        b"_",
        b" ",
        b"\xd9\xa1",
        b"\xc2\xa0",
        b"0x",
        b",",
        b"10.50",
    ),
)

TARGETS: Final = (
    Target(
        name="body",
        check=check_body,
        seeds=(
            *(TOKEN.encode(), json.dumps(TOKEN).encode(), json.dumps({"token": TOKEN}).encode(), b'"a.b.c"'),
            *(b" a.b.c\r\n", b'{"token": "a.b.c", "token": "a.b.c"}', b'{"Token": 1}', b'{"token":' * 500),
        ),
        words=(b'"token":', b".", b'"', b"{", b"}", b"\\u002e", b"\xff", b"\xef\xbb\xbf", b"\t", b"\\ud800"),
        names=("token", "Token"),
    ),
    Target(
        name="data",
        check=check_data,
        share=1,
        seeds=(
            *(
                _GOOD,
                b'{"CashbackId": "7", "Amount": 1e1, "Amount": 2}',
                b'{"Other": ' + b"[" * 99 + b"]" * 99,
            ),
            *(
                b'{"CashbackId": 1, "PartnerUserId": "\\ud800\\u0000", "Amount": 1e9999999999999999999}',
                b"[]",
            ),
        ),
        words=(
            *_NUMBER_WORDS,
            *(f'"{name}":'.encode() for name in _DATA_NAMES),
            b"null",
            b"true",
            b"\\u0000",
        ),
        names=_DATA_NAMES,
    ),
    Target(
        name="amount",
        check=check_amount,
        seeds=(b"10.50", b"1050E-2", b"+010", b"-0.0", b"9999999999999.99", b"1e28", b"0e28", b"0" * 60),
        words=_NUMBER_WORDS,
        max_bytes=128,
    ),
)
