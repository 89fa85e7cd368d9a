"""What can be wrong with a make and with BETCORE's answers, one of each, and what has to come of it. Pure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAmount:
    """JSON texts of Amount and TaxAmount that no account of a currency with `exponent` digits can take.

    `exponent` None: no currency can take them.
    """

    amount: str
    tax_amount: str | None = None
    exponent: int | None = None


BAD_AMOUNTS: Final = (
    BadAmount(amount="0"),
    BadAmount(amount='"0.00"'),
    BadAmount(amount="-5"),
    BadAmount(amount='"-0.01"'),
    BadAmount(amount='"ten"'),
    BadAmount(amount='""'),
    BadAmount(amount='" 10"'),
    BadAmount(amount='"1,50"'),
    BadAmount(amount='"1e29"'),
    BadAmount(amount='"NaN"'),
    BadAmount(amount="1e9999999999999999999"),
    BadAmount(amount='"99999999999999999999"'),
    BadAmount(amount="null"),
    BadAmount(amount="true"),
    BadAmount(amount="[10]"),
    BadAmount(amount='"1.005"', exponent=2),
    BadAmount(amount="1.5", exponent=0),
    BadAmount(amount='"1.0005"', exponent=3),
    BadAmount(amount='"10"', tax_amount='"11"'),
    BadAmount(amount="10", tax_amount="-1"),
    BadAmount(amount="10", tax_amount='"some"'),
)


# Stands for a user who has an account.
SOMEBODY: Final = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Members of a make's data, as JSON texts; None leaves one out. No request can be read from them."""

    user_id: str | None = SOMEBODY
    transaction_type: str | None = "1"
    amount: str | None = '"10"'


UNREADABLE: Final = (
    Unreadable(user_id=None),
    Unreadable(user_id='""'),
    Unreadable(user_id='{"id": 7}'),
    Unreadable(user_id="1.5"),
    Unreadable(user_id=f'"{"x" * 129}"'),
    Unreadable(transaction_type=None),
    Unreadable(transaction_type='"payout"'),
    Unreadable(transaction_type="1.5"),
    Unreadable(transaction_type="7"),
    Unreadable(amount=None),
)

# What is spoiled about a token, and the HTTP status that the receiver answers it with. One unknown kid only:
# the receiver looks for unknown keys at a limited rate and answers the next one with 503.
TAMPERED: Final = (
    ("signature", 401),
    ("payload", 401),
    ("expired", 401),
    ("not_yet", 401),
    ("unknown_kid", 401),
    ("wrong_key", 401),
    ("hs256", 401),
    ("wrong_issuer", 401),
    ("wrong_client", 401),
    ("alg_none", 400),
    ("garbage", 400),
    ("empty", 400),
    ("no_cashback_id", 400),
    ("no_data", 400),
    ("oversized", 413),
)
# Data that BETCORE signed and nobody can answer: without one sure CashbackId there is no accept.
UNANSWERABLE_DATA: Final = (
    '{"CashbackId": 0, "PartnerUserId": "1", "TransactionType": 1, "Amount": "10"}',
    '{"CashbackId": "many", "PartnerUserId": "1", "TransactionType": 1, "Amount": "10"}',
    '{"CashbackId": 5, "CashbackId": 6, "PartnerUserId": "1", "TransactionType": 1, "Amount": "10"}',
    '{"CashbackId": 5, "PartnerUserId": "1", "TransactionType": 1, "Amount": NaN}',
    "CashbackId=5",
)

# Scripts of BETCORE's answers that pass: after them it acknowledges.
PASSING_SCRIPTS: Final = (
    ("slow:2",),
    ("slow:2",),
    ("slow:2",),
    ("500",),
    ("500",),
    ("503",),
    ("503",),
    ("102823",),
    ("102823",),
    ("102823",),
    ("401",),
    ("401",),
    ("drop",),
    ("drop",),
    ("lost",),
    ("lost",),
    ("lost",),
    ("half",),
    ("half",),
    ("html",),
    ("html",),
    ("redirect",),
    ("redirect",),
    ("500", "drop"),
    ("102823", "503"),
    ("lost", "102823"),
)
