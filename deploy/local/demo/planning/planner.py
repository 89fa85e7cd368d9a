"""Draws up the plan of a demo from a seed. Pure: the same seed gives the same plan."""

import json
import random
from typing import Any, Final

from deploy.local.demo.planning.catalogue import (
    BAD_AMOUNTS,
    PASSING_SCRIPTS,
    SOMEBODY,
    TAMPERED,
    UNANSWERABLE_DATA,
    UNREADABLE,
    BadAmount,
    Unreadable,
)
from deploy.local.demo.planning.drawing import Drawing, draw_accounts
from deploy.local.demo.planning.plan import (
    ALREADY_EXISTS,
    CANCELS,
    DATA_ERROR,
    ERROR_ADDING,
    INCORRECT_AMOUNT,
    MAKES,
    PAYOUT,
    USER_BLOCKED,
    USER_NOT_FOUND,
    Expectation,
    Plan,
    PlannedMake,
    Stage,
)

_LARGEST_CASHBACK_ID: Final = 2**63 - 1
_NOBODY: Final = "nobody"
# For ever: on a slow machine the first refusal may come when the worker has given the attempt up.
_REFUSED_SCRIPTS: Final = (("103752*",), ("500", "103752*"))
_UNACKNOWLEDGED: Final = ("500*", "500*", "drop*", "drop*")
_UNKNOWN_USERS: Final = 8
_BLOCKED: Final = 6
_CANCELS: Final = 22
_AHEAD: Final = 4
_SAME_TOKEN_AT_ONCE: Final = 13
_SAME_TOKEN_LATER: Final = 5


def draw_plan(seed: int) -> Plan:
    """Return the plan of this seed: MAKES makes of every kind, in the order of sending."""
    rng = random.Random(seed)  # noqa: S311 -- a plan that can be drawn again, no secret
    accounts = draw_accounts(rng)
    drawing = Drawing(rng, accounts)
    _draw_long_ones(drawing)
    _draw_refused(drawing)
    _draw_declined(drawing)
    _draw_at_the_door(drawing)
    _draw_duplicates(drawing)
    _draw_cancels(drawing)
    while len(drawing.makes) < MAKES:
        drawing.payout("payout")
    makes = sorted(drawing.makes, key=lambda make: (make.place, make.number))
    return Plan(accounts, tuple(makes), seed)


def _draw_long_ones(drawing: Drawing) -> None:
    """Events that take all of their time, so they are sent first."""
    for number, action in enumerate(_UNACKNOWLEDGED):
        comes_again = number % 2 == 0
        expired = Expectation(state="expired", confirmed=comes_again)
        first = drawing.payout("never acknowledged", expired, script=[action], place=0.0, lasting=True)
        if comes_again:
            drawing.resubmit(first, until=Stage.CLOSED, changes={"script": ["ok"]}, code=ALREADY_EXISTS)
    order = drawing.order(drawing.account(status="blocked"), script=["503*"])
    blocked = Expectation(state="expired", code=USER_BLOCKED)
    drawing.add("never acknowledged", order, blocked, place=0.0, lasting=True)
    for transaction_type in (*CANCELS, CANCELS[0]):
        order = drawing.order(drawing.account(), transaction_type=transaction_type)
        drawing.add(
            "cancel of nothing",
            order,
            Expectation(code=ERROR_ADDING),
            place=0.0,
            ordinary=False,
            lasting=True,
        )


def _draw_refused(drawing: Drawing) -> None:
    for script in _REFUSED_SCRIPTS:
        drawing.payout("refused by BETCORE", Expectation(state="refused"), script=script)
    order = drawing.order(drawing.account(), user_id=_NOBODY, script=["103752*"])
    drawing.add("refused by BETCORE", order, Expectation(state="refused", code=USER_NOT_FOUND))


def _draw_declined(drawing: Drawing) -> None:
    for index in range(_UNKNOWN_USERS):
        order = drawing.order(drawing.account(), user_id=f"{_NOBODY}-{index}")
        make = drawing.add("unknown user", order, Expectation(code=USER_NOT_FOUND))
        if index == 0:
            drawing.again("duplicate, same token", make, until=Stage.SENT)
    for _ in range(_BLOCKED):
        order = drawing.order(drawing.account(status="blocked"))
        drawing.add("blocked user", order, Expectation(code=USER_BLOCKED))
    for bad in BAD_AMOUNTS:
        order = drawing.order(drawing.account(exponent=bad.exponent))
        order["data_override"] = _with_bad_amount(order, bad)
        drawing.add("bad amount", order, Expectation(code=INCORRECT_AMOUNT))
    for unreadable in UNREADABLE:
        order = drawing.order(drawing.account())
        # An accept that names a type has to name one that BETCORE sent.
        if unreadable.transaction_type == "7":
            order["transaction_type"] = 7
        order["data_override"] = _unreadable_data(order, unreadable)
        drawing.add("unreadable data", order, Expectation(code=DATA_ERROR))


def _draw_at_the_door(drawing: Drawing) -> None:
    for tamper, status in TAMPERED:
        order = drawing.order(drawing.account(), tamper=tamper)
        drawing.add(
            f"refused at once: {tamper}", order, Expectation(http_status=status, state=None, code=None)
        )
    for data in UNANSWERABLE_DATA:
        order = drawing.order(drawing.account(), data_override=data)
        drawing.add("refused at once: data", order, Expectation(http_status=400, state=None, code=None))


def _draw_duplicates(drawing: Drawing) -> None:
    for script in PASSING_SCRIPTS:
        drawing.payout(f"BETCORE: {', '.join(script)}", script=script)
    for index in range(_SAME_TOKEN_AT_ONCE + _SAME_TOKEN_LATER):
        until = Stage.SENT if index < _SAME_TOKEN_AT_ONCE else Stage.CLOSED
        drawing.again("duplicate, same token", drawing.payout("payout"), until=until)
    for _ in range(10):
        drawing.resubmit(drawing.payout("payout"), code=ALREADY_EXISTS)
    for action in ("500", "lost", "slow:2"):
        first = drawing.payout(f"BETCORE: {action}", script=[action])
        drawing.resubmit(first, until=Stage.CLOSED, code=ALREADY_EXISTS)
    # The first request stands, whatever the second one says.
    stranger = drawing.account().user_id
    for changes in ({"amount": "1"}, {"amount": "0"}, {"user_id": stranger}):
        drawing.resubmit(drawing.payout("payout"), changes=changes, code=ALREADY_EXISTS)
    # The largest CashbackId there is.
    order = {**drawing.order(drawing.account()), "cashback_id": _LARGEST_CASHBACK_ID}
    drawing.add("payout", order, Expectation())


def _draw_cancels(drawing: Drawing) -> None:
    cancels = [drawing.cancel("cancel", drawing.payout("payout")) for _ in range(_CANCELS)]
    for action in ("500", "lost"):
        drawing.cancel("cancel", drawing.payout("payout"), changes={"script": [action]})
    drawing.again("duplicate, same token", cancels[0], until=Stage.SENT)
    for cancel in cancels[1:3]:
        drawing.resubmit(cancel, code=ALREADY_EXISTS)
    for cancel in cancels[3:5]:
        _draw_second_cancel(drawing, cancel)
    for _ in range(_AHEAD):
        _draw_cancel_ahead(drawing)
    wrong = {"amount": "2000000", "tax_amount": None}
    for _ in range(2):
        payout = drawing.payout("payout")
        drawing.cancel("cancel, wrong amount", payout, Expectation(code=INCORRECT_AMOUNT), changes=wrong)
    payout = drawing.payout("payout")
    others = {
        "user_id": drawing.account(other_than=payout.user_id).user_id,
        "amount": "5",
        "tax_amount": None,
    }
    drawing.cancel("cancel, wrong user", payout, Expectation(code=ERROR_ADDING), changes=others)


def _draw_second_cancel(drawing: Drawing, cancel: PlannedMake) -> None:
    """Draw a cancel of the other type: money comes back once, and the answer names the cancel that did it."""
    first_type = cancel.order["transaction_type"]
    other_type = next(candidate for candidate in CANCELS if candidate != first_type)
    order = {**cancel.order, "transaction_type": other_type}
    second = Expectation(code=ALREADY_EXISTS)
    place = drawing.behind(cancel)
    drawing.add("second cancel", order, second, after=cancel.number, until=Stage.SETTLED, place=place)


def _draw_cancel_ahead(drawing: Drawing) -> None:
    """Draw a cancel that is tried before its payout is sent, and waits for it."""
    order = drawing.order(drawing.account())
    cancel_order = {**order, "transaction_type": drawing.rng.choice(CANCELS)}
    cancel = drawing.add("cancel ahead", cancel_order, Expectation(), ordinary=False)
    drawing.add("payout", order, Expectation(), after=cancel.number, until=Stage.TRIED, place=cancel.place)


def _with_bad_amount(order: dict[str, Any], bad: BadAmount) -> str:
    members = {
        "CashbackId": str(order["cashback_id"]),
        "PartnerUserId": json.dumps(order["user_id"]),
        "TransactionType": str(PAYOUT),
        "Amount": bad.amount,
        "TaxAmount": bad.tax_amount,
    }
    return _json_object(members)


def _unreadable_data(order: dict[str, Any], unreadable: Unreadable) -> str:
    user_id = unreadable.user_id
    members = {
        "CashbackId": str(order["cashback_id"]),
        "PartnerUserId": json.dumps(order["user_id"]) if user_id == SOMEBODY else user_id,
        "TransactionType": unreadable.transaction_type,
        "Amount": unreadable.amount,
    }
    return _json_object(members)


def _json_object(members: dict[str, str | None]) -> str:
    # Put together by hand: most of these texts are just what a JSON library would not write.
    return "{" + ", ".join(f'"{name}": {text}' for name, text in members.items() if text is not None) + "}"
