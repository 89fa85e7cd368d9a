"""A summary is one short printable line that shows no secret, whatever the data holds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashback_client.summary import is_summary, summary_of

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


def test_the_summary_shows_the_event_and_masks_the_user() -> None:
    data = {"CashbackId": 480, "TransactionType": 1, "Amount": Decimal("1000.50"), "PartnerUserId": "188509"}

    assert summary_of(data) == "CashbackId=480 type=1 amount=1000.50 user=18***09"


@pytest.mark.parametrize("user", ["1", "12", "1234", "12345"])
def test_a_short_user_is_masked_altogether(user: str) -> None:
    assert summary_of({"PartnerUserId": user}).endswith("user=***")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "-"),
        (True, "?"),
        ([1], "?"),
        ({}, "?"),
        pytest.param(10**5000, "?", id="a number that Python refuses to write"),
        (Decimal("1E+999999"), "1E+999999"),
        ("1 user=evil", "1?user?evil"),
        ("\ud800\n\x00é", "????"),
        ("9" * 33, "9" * 32 + "..."),
    ],
)
def test_odd_values_are_shown_in_plain_short_text(amount: object, shown: str) -> None:
    assert summary_of({"Amount": amount}) == f"CashbackId=- type=- amount={shown} user=-"


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("CashbackId", "TransactionType", "Amount", "PartnerUserId"), JSON_VALUES)
    )
)
def test_the_summary_of_anything_is_one_short_printable_line(data: dict[str, object]) -> None:
    summary = summary_of(data)

    assert is_summary(summary)
    assert len(summary) < 220
    assert summary.isascii()
    assert summary.isprintable()
    assert [part.split("=")[0] for part in summary.split(" ")] == ["CashbackId", "type", "amount", "user"]


@given(st.text(alphabet="0123456789abc", min_size=6, max_size=30))
def test_the_summary_never_shows_a_whole_user(user: str) -> None:
    assert user not in summary_of({"PartnerUserId": user})


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "()",
        "{'token': 'eyJ'}",
        "CashbackId=1 type=1 amount=1 user=188509",
        "CashbackId=1 type=1 amount=1 user=18***09 token=eyJ",
        f"CashbackId={'e' * 36} type=1 amount=1 user=18***09",
        "CashbackId=1 type=1 amount=1 user=18***09\n",
        "CashbackId=1 type=1 amount=\u00e9 user=-",
    ],
)
def test_what_could_show_a_token_or_a_user_is_no_summary(text: object) -> None:
    assert not is_summary(text)
