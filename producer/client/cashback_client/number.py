"""Numbers as make carries them: JSON numbers or texts, read exactly, within bounds. Pure.

Imports the standard library only. docs/data.md has the table of what is read as what (decision 31).
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Final

# More digits than any real amount, and no more than decimal's default context computes exactly.
MAX_DIGITS: Final = 28
# What JSON writes for a number, and in front of it + and zeros as well.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def read_decimal(value: object) -> Decimal | None:
    """Read an amount that arrived as a JSON number or as its text; None where it is no usable decimal.

    Usable are at most MAX_DIGITS digits and as many zeros before or behind them. A zero has no sign. Floats
    are refused: whoever parsed the JSON must have kept the digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    if not is_usable(amount):
        return None
    return amount or Decimal(0)


def read_whole(value: object) -> int | None:
    """Read a whole number that arrived as a JSON number or as its text: 1.0, 1e0 and "1" are all 1."""
    if type(value) is int:
        return value
    amount = read_decimal(value)
    return None if amount is None or amount != amount.to_integral_value() else int(amount)


def is_usable(amount: Decimal) -> bool:
    """Say whether a decimal can be computed with: others would be rounded, or fill the memory with zeros."""
    _, digits, exponent = amount.as_tuple()
    return len(digits) <= MAX_DIGITS and isinstance(exponent, int) and -MAX_DIGITS <= exponent <= MAX_DIGITS
