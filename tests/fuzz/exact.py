"""How docs/data.md says that numbers are read, written a second time: without `re` and without `decimal`."""

from fractions import Fraction
from typing import Final

_MAX_DIGITS: Final = 28
_DIGITS: Final = frozenset("0123456789")
# Longer exponents are beyond all that is read.
_MAX_EXPONENT_DIGITS: Final = 6


def number_of(text: str) -> Fraction | None:
    """Return the number that a text is read as, None where it is none."""
    sign, unsigned = (text[:1], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    mantissa, exponent = _split(unsigned)
    if exponent is None:
        return None
    whole, point, fraction = mantissa.partition(".")
    if not _is_digits(whole) or (point and not _is_digits(fraction)):
        return None
    power = exponent - len(fraction)
    significant = (whole + fraction).lstrip("0")
    if len(significant) > _MAX_DIGITS or not -_MAX_DIGITS <= power <= _MAX_DIGITS:
        return None
    value = int(significant or "0") * Fraction(10) ** power
    return -value if sign == "-" else value


def whole_of(text: str) -> int | None:
    """Return the whole number that a text is read as, None where it is none."""
    value = number_of(text)
    return int(value) if value is not None and value.denominator == 1 else None


def _split(unsigned: str) -> tuple[str, int | None]:
    for mark in "eE":
        mantissa, found, exponent = unsigned.partition(mark)
        if found:
            return mantissa, _exponent_of(exponent)
    return unsigned, 0


def _exponent_of(text: str) -> int | None:
    sign, digits = (text[:1], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    if not _is_digits(digits):
        return None
    short = digits.lstrip("0") or "0"
    size = int(short) if len(short) <= _MAX_EXPONENT_DIGITS else 10**_MAX_EXPONENT_DIGITS
    return -size if sign == "-" else size


def _is_digits(text: str) -> bool:
    return bool(text) and set(text) <= _DIGITS
