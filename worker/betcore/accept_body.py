"""The body of the accept call (BETCORE, cashback accept). Pure."""

import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from producer.client.contract import ErrorCode
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
