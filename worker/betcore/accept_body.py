"""The body of the accept call, and the ErrorCode in that of its reply (BETCORE, cashback accept). Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cashback_client.contract import ErrorCode
from cashback_client.number import read_whole
from worker.domain import money
from worker.domain.settlement import Instruction, PostedTransaction, Settlement

MESSAGES: Final = MappingProxyType(
    {
        ErrorCode.SUCCESS: "Success",
        ErrorCode.USER_NOT_FOUND: "User not found",
        ErrorCode.INCORRECT_AMOUNT: "Incorrect amount",
        ErrorCode.ERROR_ADDING_TRANSACTION: "Error adding transaction",
        ErrorCode.USER_BLOCKED: "User blocked",
        ErrorCode.TRANSACTION_ALREADY_EXISTS: "Transaction already exists",
        ErrorCode.REQUEST_DATA_ERROR: "Request data error",
    }
)

# The right one first: where two of them stand, it counts.
_CODE_NAMES: Final = ("ErrorCode", "errorCode", "error_code")
_INT32: Final = range(-(2**31), 2**31)


class Oddity(StrEnum):
    """How an ErrorCode was written otherwise than BETCORE's pages have it."""

    NAME = "name"
    VALUE = "value"


def accept_body(settlement: Settlement, instruction: Instruction) -> bytes:
    """Build the JSON body of accept; decimals leave as exact JSON numbers.

    With 200 and 103804 the Value is the transaction that stands in the ledger. With the other codes it
    echoes what could be read of the request, so that BETCORE can tell which cashback is meant.
    """
    if settlement.code is None:
        raise ValueError("an event that is not settled has no answer")
    code = ErrorCode(settlement.code)
    if settlement.transaction is not None:
        value = _value_of_transaction(settlement.transaction)
    else:
        value = _value_of_request(instruction)
    return _object({"ErrorCode": int(code), "Message": MESSAGES[code], "Value": value}).encode("ascii")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a reply says: its ErrorCode, what was odd about how that was written, and its Message; or None."""

    code: int | None = None
    oddity: Oddity | None = None
    message: str | None = None


_NO_ENVELOPE: Final = Envelope()


def read_envelope(body: bytes) -> Envelope:
    """Read a reply. Never raises.

    The ErrorCode is a whole number or its text and stands as ErrorCode, errorCode or error_code at the top of
    one JSON object; without one it is no envelope.
    """
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return _NO_ENVELOPE
    if not isinstance(members, dict):
        return _NO_ENVELOPE
    code, oddity = _read_code(members)
    message = members.get("Message")
    return Envelope(code, oddity, message if code is not None and isinstance(message, str) else None)


def _read_code(members: Mapping[str, object]) -> tuple[int | None, Oddity | None]:
    value = members.get("ErrorCode")
    if type(value) is int and value in _INT32:
        return value, None
    name = next((each for each in _CODE_NAMES if each in members), _CODE_NAMES[0])
    code = _whole(members.get(name))
    if code is None or code not in _INT32:
        return None, None
    return code, Oddity.VALUE if name == _CODE_NAMES[0] else Oddity.NAME


def _whole(value: object) -> int | None:
    # A code is so small that a float holds it exactly.
    return int(value) if isinstance(value, float) and value.is_integer() else read_whole(value)


_Member = int | str | Decimal | Mapping[str, "_Member"]


def _value_of_transaction(transaction: PostedTransaction) -> dict[str, _Member]:
    return {
        "CashbackId": transaction.cashback_id,
        "PartnerUserId": transaction.user_id,
        "PartnerTransactionId": transaction.partner_transaction_id,
        "TransactionType": transaction.transaction_type,
        "Amount": money.to_major(transaction.amount_minor, transaction.exponent),
        "TaxAmount": money.to_major(transaction.tax_minor, transaction.exponent),
    }


def _value_of_request(instruction: Instruction) -> dict[str, _Member]:
    members: dict[str, _Member | None] = {
        "CashbackId": instruction.cashback_id,
        "PartnerUserId": instruction.user_id,
        "TransactionType": instruction.transaction_type,
        "Amount": instruction.amount,
        "TaxAmount": instruction.tax,
    }
    return {name: member for name, member in members.items() if member is not None}


def _object(members: Mapping[str, _Member]) -> str:
    # json.dumps has no exact form for Decimal: floats would change digits and strings the type.
    return "{" + ", ".join(f"{json.dumps(name)}: {_text(member)}" for name, member in members.items()) + "}"


def _text(member: _Member) -> str:
    if isinstance(member, Mapping):
        return _object(member)
    return format(member, "f") if isinstance(member, Decimal) else json.dumps(member)
