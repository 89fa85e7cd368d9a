"""Decimals in major units and integers in minor units, by the exponents of ISO 4217. Pure."""

from decimal import Decimal
from types import MappingProxyType
from typing import Final

from cashback_client.number import is_usable

_TWO_DIGITS: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG
YER ZAR ZMW ZWG
"""
_NO_DIGITS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS: Final = "CLF UYW"

EXPONENTS: Final = MappingProxyType(
    {
        code: exponent
        for exponent, codes in ((0, _NO_DIGITS), (2, _TWO_DIGITS), (3, _THREE_DIGITS), (4, _FOUR_DIGITS))
        for code in codes.split()
    }
)
"""Digits of the minor unit by currency code (ISO 4217, list one), without funds and metals that have none."""


def to_minor(amount: Decimal, exponent: int) -> int | None:
    """Convert major units to whole minor units; None where the amount has more digits than the currency.

    None, too, for what `read_decimal` would not take.
    """
    if not is_usable(amount):
        return None
    minor = amount.scaleb(exponent)
    return int(minor) if minor == minor.to_integral_value() else None


def to_major(amount_minor: int, exponent: int) -> Decimal:
    """Convert minor units to the shortest equal decimal in major units: 1050 with exponent 2 is 10.5."""
    return shortest(Decimal(amount_minor).scaleb(-exponent))


def shortest(amount: Decimal) -> Decimal:
    """Return the equal decimal without trailing zeros and without an exponent above zero."""
    normal = amount.normalize()
    return normal.quantize(Decimal(1)) if normal.as_tuple().exponent > 0 else normal  # type: ignore[operator]
