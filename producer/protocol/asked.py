"""What a make asks for: user, type and amount, as its verified data says them. Pure.

docs/data.md says what is read as what (decision 31). Receiver and worker put it on record (decision 46).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from cashback_client.number import read_decimal, read_whole

MAX_USER_ID_CHARS: Final = 128
_INT32: Final = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a make asks for; None where that cannot be read. `amount` is in major units.

    `names_user`: there is text that names a user; `user_id` is None beside it where no database can hold it.
    """

    user_id: str | None
    names_user: bool
    transaction_type: int | None
    amount: Decimal | None


def read_asked(data: Mapping[str, object]) -> Asked:
    """Read the verified data of a make, as `read_data` gives it. Never fails."""
    user_id = _read_user_id(data.get("PartnerUserId"))
    return Asked(
        user_id if user_id is not None and _can_be_stored(user_id) else None,
        user_id is not None,
        _read_transaction_type(data.get("TransactionType")),
        read_decimal(data.get("Amount")),
    )


def _read_transaction_type(value: object) -> int | None:
    number = read_whole(value)
    return number if number is not None and number in _INT32 else None


def _read_user_id(value: object) -> str | None:
    """Return the text that names a user, whatever stands in it; None where it has no usual length."""
    if not isinstance(value, str):
        number = read_whole(value)
        value = None if number is None else str(number)
    return value if value is not None and 0 < len(value) <= MAX_USER_ID_CHARS else None


def _can_be_stored(text: str) -> bool:
    """Say whether PostgreSQL takes the text: it has no NUL and no lone surrogates."""
    return text.isprintable() or not any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text)
