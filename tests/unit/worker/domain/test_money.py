"""Amounts: the way between major and minor units."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.money import EXPONENTS, shortest, to_major, to_minor


@given(minor=st.integers(-(10**18), 10**18), exponent=st.sampled_from([0, 2, 3, 4]))
def test_minor_units_survive_the_way_there_and_back(minor: int, exponent: int) -> None:
    assert to_minor(to_major(minor, exponent), exponent) == minor


@pytest.mark.parametrize(
    ("amount", "exponent", "minor"),
    [
        ("10.5", 2, 1050),
        ("10.500", 2, 1050),
        ("10.505", 2, None),
        ("10.5", 0, None),
        ("10.505", 3, 10505),
        ("1E+2", 0, 100),
        ("1E+999999", 2, None),
        ("1E+999999999999999999", 2, None),
        ("NaN", 2, None),
        ("Infinity", 2, None),
    ],
)
def test_what_the_currency_cannot_hold_is_no_amount(amount: str, exponent: int, minor: int | None) -> None:
    assert to_minor(Decimal(amount), exponent) == minor


@pytest.mark.parametrize(
    ("amount", "text"),
    [("10.50", "10.5"), ("100", "100"), ("1E+3", "1000"), ("0.00", "0"), ("-0.10", "-0.1")],
)
def test_the_shortest_form_has_no_trailing_zeros_and_no_exponent(amount: str, text: str) -> None:
    assert str(shortest(Decimal(amount))) == text


def test_the_exponents_are_those_of_iso_4217() -> None:
    assert [EXPONENTS[code] for code in ("EUR", "JPY", "KWD", "CLF", "ISK", "UGX")] == [2, 0, 3, 4, 0, 0]
    assert "XAU" not in EXPONENTS
