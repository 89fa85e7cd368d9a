"""What Hypothesis makes random histories of the ledger from: users, CashbackIds, types, amounts and taxes."""

from decimal import Decimal

from hypothesis import strategies as st

CURRENCIES = {"ann": ("EUR", 2), "bob": ("JPY", 0), "cem": ("KWD", 3), "eve": ("EUR", 2)}

# The last is text that PostgreSQL cannot hold.
users = st.sampled_from(["ann", "ann", *CURRENCIES, "nobody", "nul\0"])
# Few CashbackIds and few amounts, so that histories meet themselves again and again.
cashbacks = st.integers(min_value=1, max_value=3)
types = st.sampled_from([1, 1, 1, -1, -1, -2, 2, None])
good_amounts = st.sampled_from(["10", "10.00", 10, Decimal("1E+1"), "25"])
odd_amounts = st.sampled_from(
    [
        "0",
        "-10",
        "10.001",
        "10.0001",
        "0.1",
        "999999999999999",
        "1000000000000000",
        "10000000000000",
        "9999999999999.99",
        "9" * 28,
        "ten",
        "",
        None,
        True,
    ]
) | st.decimals(allow_nan=False, min_value=-5, max_value=50, places=3)
amounts = st.one_of(good_amounts, good_amounts, good_amounts, odd_amounts)
choices = st.integers(min_value=0, max_value=1_000)
taxes = st.sampled_from([None, "0", "2", "10", "11", "-1", "x"])
