"""The plan of a demo: who has accounts, what is sent in which order, and what must come of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from typing import Final

MAKES: Final = 300
PAYOUT: Final = 1
CANCELS: Final = (-1, -2)

SUCCESS: Final = 200
USER_NOT_FOUND: Final = 102145
ERROR_ADDING: Final = 102823
DATA_ERROR: Final = 103753
USER_BLOCKED: Final = 103779
INCORRECT_AMOUNT: Final = 103801
ALREADY_EXISTS: Final = 103804


class Stage(IntEnum):
    """How far a make has come, seen from outside."""

    PLANNED = 0
    SENT = 1
    TRIED = 2
    SETTLED = 3
    CLOSED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A player's account; `balance` is its opening one in major units."""

    user_id: str
    currency: str
    exponent: int
    status: str
    balance: str

    @property
    def opening_minor(self) -> int:
        """The opening balance in minor units."""
        return minor(self.balance, self.exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What has to come of a make: the receiver's HTTP status, the event's state and accept's ErrorCode.

    `confirmed`: BETCORE acknowledges another event of the same transaction.
    """

    http_status: int = 200
    state: str | None = "answered"
    code: int | None = SUCCESS
    confirmed: bool = False

    @property
    def unconfirmed(self) -> bool:
        """Whether money moved that BETCORE did not acknowledge."""
        return self.code == SUCCESS and self.state in {"expired", "refused"} and not self.confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMake:
    """One call of the simulator.

    `order` is its body. `place` is when to send it, from 0 (first) to 1 (last). Where `after` names another
    make, it also waits until that one has come as far as `until` and was sent `apart_seconds` ago; with
    `same_token` it sends that one's token again. `effect_minor` is what it adds to the user's balance.
    `ordinary`: BETCORE answers it well and nothing makes it wait, so its latency is the service's own.
    `lasting`: its event takes all the time that it has, on any machine.
    """

    number: int
    kind: str
    order: Mapping[str, object]
    expected: Expectation
    place: float
    after: int | None = None
    until: Stage = Stage.SENT
    apart_seconds: float = 0.0
    same_token: bool = False
    effect_minor: int = 0
    ordinary: bool = True
    lasting: bool = False

    @property
    def user_id(self) -> str:
        """The user whom the order names."""
        return str(self.order.get("user_id", ""))

    @property
    def cashback_id(self) -> int:
        """The CashbackId that the order names."""
        return int(str(self.order["cashback_id"]))


@dataclass(frozen=True, slots=True)
class Plan:
    """Accounts, and makes by number."""

    accounts: tuple[Account, ...]
    makes: tuple[PlannedMake, ...]
    seed: int
    _by_number: Mapping[int, PlannedMake] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_number", {make.number: make for make in self.makes})

    def make(self, number: int) -> PlannedMake:
        """Return the make with this number."""
        return self._by_number[number]

    def accounts_csv(self) -> str:
        """Return the accounts as a file for `cashback accounts import`."""
        rows = (f"{a.user_id},{a.currency},{a.status},{a.balance}\n" for a in self.accounts)
        return "user_id,currency,status,balance\n" + "".join(rows)

    def expected_balances(self) -> dict[str, int]:
        """Return what each account has to hold at the end, in minor units, by this plan's own arithmetic."""
        balances = {account.user_id: account.opening_minor for account in self.accounts}
        for make in self.makes:
            if make.effect_minor:
                balances[make.user_id] += make.effect_minor
        return balances


def minor(amount: str, exponent: int) -> int:
    """Return whole minor units of an amount in major units; raises ValueError where it has more digits."""
    scaled = Decimal(amount).scaleb(exponent)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than {exponent} digits")
    return int(scaled)
