"""The strict reading of an accept's body (BETCORE, cashback accept)."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn

from deploy.local.simulator.errors import MalformedAccept

MAX_BODY_BYTES: Final = 65_536
# With these Value holds the transaction, all six members of it ("please pass the contents of Value").
_WITH_TRANSACTION: Final = frozenset({200, 103804})
_CODES: Final = frozenset({102145, 103801, 102823, 103779, 103753}) | _WITH_TRANSACTION
_VALUE_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "CashbackId": (int,),
    "PartnerUserId": (str,),
    "PartnerTransactionId": (str,),
    "TransactionType": (int,),
    "Amount": (int, Decimal),
    "TaxAmount": (int, Decimal),
}


@dataclass(frozen=True, slots=True)
class AcceptBody:
    """A well-formed accept; what its code does not require may be None. Amounts are exact."""

    error_code: int
    cashback_id: int
    transaction_type: int | None
    user_id: str | None
    partner_transaction_id: str | None
    amount: int | Decimal | None
    tax_amount: int | Decimal | None


def read_accept_body(raw: bytes, *, content_type: str) -> AcceptBody:
    """Read an accept's body; raises MalformedAccept, which says what is wrong with it."""
    if len(raw) > MAX_BODY_BYTES:
        raise MalformedAccept(f"the body is longer than {MAX_BODY_BYTES} bytes")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise MalformedAccept(f"Content-Type is {content_type!r}")
    try:
        body = json.loads(
            raw.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_unique_members,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedAccept(f"the body is not JSON: {error}") from error
    _require_members(
        body,
        {"ErrorCode": (int,), "Message": (str,), "Value": (dict,)},
        required={"ErrorCode", "Message", "Value"},
    )
    code, value = body["ErrorCode"], body["Value"]
    if code not in _CODES:
        raise MalformedAccept(f"ErrorCode {code} is none of accept's")
    required = set(_VALUE_TYPES) if code in _WITH_TRANSACTION else {"CashbackId"}
    _require_members(value, _VALUE_TYPES, required=required)
    if code in _WITH_TRANSACTION and not value["PartnerTransactionId"]:
        raise MalformedAccept("PartnerTransactionId is empty")
    return AcceptBody(
        error_code=code,
        cashback_id=value["CashbackId"],
        transaction_type=value.get("TransactionType"),
        user_id=value.get("PartnerUserId"),
        partner_transaction_id=value.get("PartnerTransactionId"),
        amount=value.get("Amount"),
        tax_amount=value.get("TaxAmount"),
    )


def _require_members(found: Any, types: dict[str, tuple[type, ...]], *, required: set[str]) -> None:  # noqa: ANN401 -- JSON
    if not isinstance(found, dict):
        raise MalformedAccept("an object is required")
    if missing := required - found.keys():
        raise MalformedAccept(f"missing: {', '.join(sorted(missing))}")
    for name, member in found.items():
        if name not in types:
            raise MalformedAccept(f"unknown member {name}")
        # A bool is an int to Python, and none to JSON.
        if isinstance(member, bool) or not isinstance(member, types[name]):
            raise MalformedAccept(f"{name} has the wrong type")


def _no_constant(name: str) -> NoReturn:
    raise MalformedAccept(f"{name} is no JSON number")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedAccept("a member stands twice")
    return members
