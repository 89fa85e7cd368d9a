"""What a make token says, as BETCORE's sample shows it: its header, its claims and the payment in them."""

import json
from dataclasses import dataclass
from typing import Any, Literal


def make_header(*, kid: str, x5t: str, algorithm: str = "RS256") -> dict[str, str]:
    """Return the header of a make token."""
    return {"alg": algorithm, "kid": kid, "x5t": x5t, "typ": "JWT"}


def make_claims(*, nbf: int, exp: int, issuer: str, client_id: str, data: str) -> dict[str, Any]:
    """Return the claims of a make token; times are Unix seconds, `data` is a JSON document in a string."""
    return {"nbf": nbf, "exp": exp, "iss": issuer, "client_id": client_id, "data": data}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What one make is about; amounts are decimals in major units, verbatim."""

    cashback_id: int
    user_id: str
    transaction_type: int
    amount: str
    tax_amount: str | None = None
    amount_as: Literal["string", "number"] = "string"
    data_override: str | None = None

    def as_data(self, *, with_cashback_id: bool = True) -> str:
        """Return the `data` claim: a JSON document inside a string."""
        if self.data_override is not None:
            return self.data_override
        amount = json.dumps if self.amount_as == "string" else str
        members = {
            "CashbackId": str(self.cashback_id) if with_cashback_id else None,
            "PartnerUserId": json.dumps(self.user_id),
            "TransactionType": str(self.transaction_type),
            "Amount": amount(self.amount),
            "TaxAmount": amount(self.tax_amount) if self.tax_amount is not None else None,
        }
        # Put together by hand, so that an amount's digits reach the partner as they were given.
        return (
            "{" + ", ".join(f'"{name}": {text}' for name, text in members.items() if text is not None) + "}"
        )
