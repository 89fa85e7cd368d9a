"""What a make asks for is read as far as it can be, whatever the data holds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.protocol.asked import Asked, read_asked

GOOD: dict[str, object] = {"PartnerUserId": "7", "TransactionType": 1, "Amount": "10.50"}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def test_a_make_asks_for_what_it_says() -> None:
    assert read_asked(GOOD) == Asked("7", names_user=True, transaction_type=1, amount=Decimal("10.50"))


def test_nothing_is_read_of_nothing() -> None:
    assert read_asked({}) == Asked(None, names_user=False, transaction_type=None, amount=None)


@pytest.mark.parametrize("user", ["a\0b", "a\ud800"])
def test_a_user_that_no_database_holds_is_named_all_the_same(user: str) -> None:
    asked = read_asked(GOOD | {"PartnerUserId": user})

    assert (asked.user_id, asked.names_user) == (None, True)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, ANY)))
def test_whatever_stands_there_is_read_within_bounds(data: dict[str, object]) -> None:
    asked = read_asked(data)

    assert asked.user_id is None or 0 < len(asked.user_id.encode()) <= 4 * 128
    assert asked.transaction_type is None or -(2**31) <= asked.transaction_type < 2**31
    assert asked.amount is None or len(str(asked.amount)) < 100
