"""The ways to draw one make: a payout, a cancel of it, the same token again, the same request anew. Pure."""

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from deploy.local.demo.planning.plan import (
    CANCELS,
    PAYOUT,
    SUCCESS,
    Account,
    Expectation,
    PlannedMake,
    Stage,
    minor,
)

_CURRENCIES: Final = (("EUR", 2), ("USD", 2), ("JPY", 0), ("CLP", 0), ("KWD", 3), ("BHD", 3))
_ACTIVE_USERS: Final = 60
_BLOCKED_USERS: Final = 6
_FIRST_USER_ID: Final = 188_500
_FIRST_CASHBACK_ID: Final = 480
_LARGEST_MINOR: Final = 1_000_000
_SHAPES: Final = ("json_string", "raw", "object")
# Of the whole: what is sent again in the same token follows soon.
_SOON: Final = 0.1
# A token says its times in whole seconds: the same request within one second is the same token.
_NEW_TOKEN_SECONDS: Final = 1.1


def draw_accounts(rng: random.Random) -> tuple[Account, ...]:
    """Draw accounts in several currencies, some of them empty and some blocked."""
    accounts = []
    for index in range(_ACTIVE_USERS + _BLOCKED_USERS):
        currency, exponent = _CURRENCIES[index % len(_CURRENCIES)]
        opening_minor = rng.choice((0, rng.randrange(_LARGEST_MINOR)))
        account = Account(
            user_id=str(_FIRST_USER_ID + index),
            currency=currency,
            exponent=exponent,
            status="active" if index < _ACTIVE_USERS else "blocked",
            balance=_major(opening_minor, exponent),
        )
        accounts.append(account)
    return tuple(accounts)


class Drawing:
    """Makes drawn so far; what depends on another make is drawn after it and placed behind it."""

    def __init__(self, rng: random.Random, accounts: tuple[Account, ...]) -> None:
        self.rng = rng
        self.makes: list[PlannedMake] = []
        self._accounts = accounts
        self._by_user = {account.user_id: account for account in accounts}
        self._cashback_id = _FIRST_CASHBACK_ID

    def account(
        self, *, status: str = "active", exponent: int | None = None, other_than: str | None = None
    ) -> Account:
        """Draw an account with this status, with this exponent where one is given, of another user."""
        fitting = [
            account
            for account in self._accounts
            if account.status == status
            and exponent in {None, account.exponent}
            and account.user_id != other_than
        ]
        return self.rng.choice(fitting)

    def order(self, account: Account, **changes: object) -> dict[str, Any]:
        """Draw the order of a payout to `account` under a CashbackId of its own."""
        self._cashback_id += self.rng.randint(1, 9)
        amount_minor = self.rng.randint(1, _LARGEST_MINOR)
        order: dict[str, Any] = {
            "cashback_id": self._cashback_id,
            "user_id": account.user_id,
            "transaction_type": PAYOUT,
            "amount": self._spelled(amount_minor, account.exponent),
            "amount_as": self.rng.choice(("string", "number")),
            "body_shape": self.rng.choice(_SHAPES),
        }
        if self.rng.random() < 1 / 2:
            order["tax_amount"] = self._spelled(self.rng.randint(0, amount_minor), account.exponent)
        return {**order, **changes}

    def add(self, kind: str, order: Mapping[str, Any], expected: Expectation, **more: Any) -> PlannedMake:  # noqa: ANN401 -- PlannedMake's own
        """Keep a make under the next number; it moves money where its code is to be 200."""
        effect_minor = 0
        if expected.code == SUCCESS and not more.get("same_token"):
            account = self._by_user[order["user_id"]]
            sign = 1 if order["transaction_type"] == PAYOUT else -1
            effect_minor = sign * minor(order["amount"], account.exponent)
        given = {"place": self.rng.random(), "ordinary": not order.get("script"), **more}
        make = PlannedMake(
            number=len(self.makes) + 1,
            kind=kind,
            order=order,
            expected=expected,
            effect_minor=effect_minor,
            **given,
        )
        self.makes.append(make)
        return make

    def payout(
        self,
        kind: str,
        expected: Expectation | None = None,
        *,
        script: Sequence[str] = (),
        **more: Any,  # noqa: ANN401 -- PlannedMake's own
    ) -> PlannedMake:
        """Draw a payout to an active user, which BETCORE answers as `script` says."""
        order = self.order(self.account())
        if script:
            order["script"] = list(script)
        return self.add(kind, order, expected or Expectation(), **more)

    def cancel(
        self,
        kind: str,
        payout: PlannedMake,
        expected: Expectation | None = None,
        *,
        changes: Mapping[str, Any] | None = None,
        **more: Any,  # noqa: ANN401 -- PlannedMake's own
    ) -> PlannedMake:
        """Draw a cancel of `payout`, once that is settled; `changes` are made to its order."""
        order = {
            **payout.order,
            "transaction_type": self.rng.choice(CANCELS),
            "script": None,
            **(changes or {}),
        }
        order["body_shape"] = self.rng.choice(_SHAPES)
        given = {"after": payout.number, "until": Stage.SETTLED, "place": self.behind(payout), **more}
        return self.add(kind, order, expected or Expectation(), **given)

    def again(self, kind: str, make: PlannedMake, *, until: Stage) -> PlannedMake:
        """Draw another sending of a make's token: the same event, which comes to the same end."""
        order = {**make.order, "script": None, "body_shape": self.rng.choice(_SHAPES)}
        return self.add(
            kind,
            order,
            make.expected,
            after=make.number,
            until=until,
            same_token=True,
            place=make.place + _SOON * self.rng.random(),
            ordinary=make.ordinary,
        )

    def resubmit(
        self,
        make: PlannedMake,
        *,
        until: Stage = Stage.SETTLED,
        changes: Mapping[str, Any] | None = None,
        code: int,
    ) -> PlannedMake:
        """Draw the same request in a new token: an event of its own for the same transaction."""
        order = {**make.order, "script": None, **(changes or {})}
        return self.add(
            "duplicate, new token",
            order,
            Expectation(code=code),
            after=make.number,
            until=until,
            apart_seconds=_NEW_TOKEN_SECONDS,
            place=self.behind(make),
        )

    def behind(self, make: PlannedMake) -> float:
        """Draw a place behind that of `make`."""
        return make.place + (1.0 - min(make.place, 1.0)) * self.rng.random()

    def _spelled(self, amount_minor: int, exponent: int) -> str:
        # As partners see them: with all digits of the currency, with fewer, or with zeros to spare.
        major = Decimal(amount_minor).scaleb(-exponent)
        shortest = format(major.normalize(), "f")
        padded = f"{shortest}0" if "." in shortest else f"{shortest}.0"
        return self.rng.choice((_major(amount_minor, exponent), shortest, padded))


def _major(amount_minor: int, exponent: int) -> str:
    return format(Decimal(amount_minor).scaleb(-exponent), "f")
