"""Parameters in PostgreSQL's binary form are what psycopg itself would write."""

import struct
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.numeric import Int4, Int8

from producer.shared.postgres.prepared import (
    boolean,
    float8,
    int8_array,
    integer,
    number_array_text,
    text_array,
    timestamptz,
    uuid_array,
)

INT8 = st.integers(-(2**63), 2**63 - 1)
# PostgreSQL has no text with a NUL in it.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def as_psycopg_writes(value: Any) -> bytes:  # noqa: ANN401 -- whatever psycopg takes
    (written,) = Transformer().dump_sequence([value], [PyFormat.BINARY])
    assert written is not None
    return bytes(written)


@given(st.lists(INT8, min_size=1))
def test_an_array_of_numbers(values: list[int]) -> None:
    assert int8_array(values) == as_psycopg_writes([Int8(value) for value in values])


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_number_that_is_no_bigint_is_refused(value: int) -> None:
    with pytest.raises(struct.error):
        int8_array([1, value])


@given(st.lists(TEXT, min_size=1))
def test_an_array_of_texts(values: list[str]) -> None:
    assert text_array(values) == as_psycopg_writes(values)


@given(st.lists(TEXT | st.none(), min_size=1).filter(any))
def test_an_array_of_texts_some_of_which_are_null(values: list[str | None]) -> None:
    assert text_array(values) == as_psycopg_writes(values)


def test_an_array_of_exact_numbers_some_of_which_are_null() -> None:
    values = [Decimal("10.50"), None, 7, Decimal("1E+1"), Decimal("-0.1E-28")]

    assert number_array_text(values) == b"{10.50,NULL,7,1E+1,-1E-29}"


@given(st.lists(st.uuids(), min_size=1))
def test_an_array_of_uuids(values: list[Any]) -> None:
    assert uuid_array(values) == as_psycopg_writes(values)


@given(st.floats())
def test_a_double(value: float) -> None:
    assert float8(value) == as_psycopg_writes(value)


@given(INT8)
def test_a_number_of_eight_octets(value: int) -> None:
    assert integer(value, octets=8) == as_psycopg_writes(Int8(value))


@given(st.integers(-(2**31), 2**31 - 1))
def test_a_number_of_four_octets(value: int) -> None:
    assert integer(value, octets=4) == as_psycopg_writes(Int4(value))


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        integer(2**31, octets=4)


@given(st.datetimes(timezones=st.timezones()))
def test_a_time(value: datetime) -> None:
    assert timestamptz(value) == as_psycopg_writes(value)


@given(st.booleans())
def test_a_boolean(value: bool) -> None:  # noqa: FBT001 - a case
    assert boolean(value) == as_psycopg_writes(value)
