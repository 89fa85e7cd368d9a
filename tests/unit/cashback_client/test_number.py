"""Numbers as make carries them: what is read as a decimal and as a whole number, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashback_client.contract import read_data
from cashback_client.number import MAX_DIGITS, read_decimal, read_whole


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (1000, "1000"),
        ("1000.50", "1000.50"),
        ("007", "7"),
        ("-3", "-3"),
        ("+3", "3"),
        (Decimal("0.1"), "0.1"),
        (Decimal("1E+3"), "1000"),
        ("9" * 28, "9" * 28),
        ("1e3", "1000"),
        ("1.05E+1", "10.5"),
        ("0" * 40 + "7", "7"),
    ],
)
def test_a_decimal_is_read_exactly(value: object, amount: str) -> None:
    assert read_decimal(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0.1, [], {}, b"1", "", " 1", "1 ", "1\n", "1,5", "1_000", "1e",
        "e3", "1e3.0", "1e 3", ".5", "5.", "0x10",
        "NaN", "Infinity", "\u0661\u0662", "9" * 29, "1." + "0" * 29, 10**28, Decimal("NaN"),
        Decimal("Infinity"), Decimal("1E+29"), Decimal("1E-29"), "1e29", "1e-29",
        "1e9999999999999999999",
    ],
)  # fmt: skip
def test_what_is_no_plain_decimal_of_a_usable_size_is_refused(value: object) -> None:
    assert read_decimal(value) is None


@pytest.mark.parametrize("zero", [0, "0", "-0", "-0.00", Decimal("-0.0"), Decimal("0E-20"), "0e5"])
def test_a_zero_has_no_sign(zero: object) -> None:
    amount = read_decimal(zero)

    assert str(amount) == "0"
    assert read_whole(zero) == 0


@pytest.mark.parametrize(
    "one", [1, Decimal(1), Decimal("1.0"), Decimal("10E-1"), "1", "1.0", "1e0", "+1", "01", "0.1e1"], ids=repr
)
def test_a_whole_number_is_one_in_each_spelling(one: object) -> None:
    assert read_whole(one) == 1


@pytest.mark.parametrize(
    "value",
    [None, True, 1.0, Decimal("1.5"), "1.5", "", " 1", "one", [], {}, Decimal("NaN"), Decimal("Infinity"),
     Decimal("1E+29"), "1e999999", b"1"],
    ids=repr,
)  # fmt: skip
def test_what_is_more_or_less_than_a_whole_number_is_none(value: object) -> None:
    assert read_whole(value) is None


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,22})?", fullmatch=True))
def test_a_number_of_json_and_its_text_are_read_as_one(text: str) -> None:
    data = read_data(f'{{"number": {text}, "text": "{text}"}}')

    assert read_decimal(data["number"]) == read_decimal(data["text"])
    if isinstance(data["number"], Decimal):
        assert read_whole(data["number"]) == read_whole(data["text"])


@given(st.text() | st.decimals() | st.integers() | st.floats() | st.none() | st.binary())
def test_whatever_comes_a_decimal_is_small_enough_to_be_computed_with(value: object) -> None:
    amount = read_decimal(value)

    assert amount is None or (amount.is_finite() and abs(amount) < 10 ** (2 * MAX_DIGITS))
    assert read_whole(value) is None or read_whole(value) == amount or type(value) is int
