"""The kinds of test makes: what each asks the simulator for, and how it is to end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

USER: Final = "188509"
"""The user of `make up` with an active account; the next one's is blocked."""
_BLOCKED: Final = "188510"
_STRANGER: Final = "nobody-has-this-id"
_AMOUNT: Final = "10.00"
_FINER_THAN_CENTS: Final = "10.005"
_CANCEL: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeKind:
    """A kind of make. `becomes` says in words how it ends.

    `after_payout`: a payout of the same CashbackId comes first, and has ended; `same_token`: then its very
    token comes again. `order` is further members of the order to the simulator.
    """

    becomes: str
    user_id: str = USER
    amount: str = _AMOUNT
    transaction_type: int = 1
    count: int = 1
    after_payout: bool = False
    same_token: bool = False
    lasts: bool = False
    order: Mapping[str, Any] = field(default_factory=dict)


KINDS: Final = MappingProxyType(
    {
        "payout": MakeKind(becomes="credited, answered with 200"),
        "cancel": MakeKind(
            becomes="a payout, and then what takes it back; 200 for both",
            transaction_type=_CANCEL,
            after_payout=True,
        ),
        "duplicate": MakeKind(
            becomes="a payout, and the cashback in a new token: 103804",
            after_payout=True,
        ),
        "resend": MakeKind(
            becomes="a payout, and its very token again: the same event",
            after_payout=True,
            same_token=True,
        ),
        "blocked": MakeKind(becomes="answered with 103779: the user is blocked", user_id=_BLOCKED),
        "unknown-user": MakeKind(becomes="answered with 102145: no such account", user_id=_STRANGER),
        "bad-amount": MakeKind(
            becomes="answered with 103801: finer than the currency", amount=_FINER_THAN_CENTS
        ),
        "forged": MakeKind(becomes="no event: its signature is wrong", order={"tamper": "signature"}),
        "refused": MakeKind(
            becomes="credited; BETCORE says no: refused, unconfirmed", order={"script": ["103752"]}
        ),
        "late": MakeKind(
            becomes="credited; BETCORE fails to the end: expired, unconfirmed",
            lasts=True,
        ),
        "burst": MakeKind(becomes="many payouts at once", count=50),
    }
)


def late_script(deadline_seconds: float) -> list[str]:
    """Return what makes accept fail until the deadline of the event, and no longer: a replay then works."""
    return [f"503*{deadline_seconds:g}"]
