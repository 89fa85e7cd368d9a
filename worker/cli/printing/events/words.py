"""What ErrorCodes and states mean, in words: the one place that has them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from worker.cli.queries.events.cashback import Attempt
from worker.cli.queries.events.listing import Event
from worker.domain.settlement import PAYOUT_TYPE, State

_DECIDED: Final[Mapping[int, str]] = MappingProxyType(
    {
        200: "the payout was made",
        102145: "no account of this user is on record",
        102823: "it could not be decided before the credit cut-off",
        103752: "the parameters of the request are wrong",
        103753: "the data of the event cannot be read",
        103779: "the account is blocked",
        103801: "the amount cannot be paid",
        103804: "it was made before, by another event",
    }
)
_CANCELS: Final[Mapping[int, str]] = MappingProxyType(
    {
        200: "the payout was taken back",
        102823: "no payout to cancel came before the credit cut-off",
        103801: "the amount is not what was paid",
        103804: "it was taken back before, by another event",
    }
)
_NOT_POSTED: Final = 102823
_CANNOT_CANCEL: Final = "the payout is another user's, or the balance does not suffice to take it back"
_ANSWERS: Final[Mapping[int, str]] = MappingProxyType(
    {
        200: "acknowledged",
        102823: "asked to send it again",
        103752: "refused: to send it again cannot help",
    }
)
_ENDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        State.ANSWERED: "BETCORE acknowledged our accept",
        State.REFUSED: "BETCORE refused our accept (103752): to send it again cannot help",
        State.EXPIRED: "the deadline passed without an acknowledgement",
    }
)


def why(event: Event) -> str | None:
    """Say in words why the event was decided as it was; None while it is not."""
    if event.code is None:
        return None
    is_cancel = event.transaction_type not in {None, PAYOUT_TYPE}
    in_time = event.settled_at is not None and event.settled_at < event.credit_cutoff_at
    if is_cancel and in_time and event.code == _NOT_POSTED:
        return _CANNOT_CANCEL
    said = (_CANCELS.get(event.code) if is_cancel else None) or _DECIDED.get(event.code)
    return said or "a code that this program does not know"


def answer(attempt: Attempt) -> str:
    """Say in words what BETCORE answered to one accept."""
    if attempt.code is not None:
        return f"{attempt.code} {_ANSWERS.get(attempt.code, 'an ErrorCode that asks for nothing')}"
    return "no answer" if attempt.status is None else "no answer of BETCORE's own"


def ended(event: Event) -> str | None:
    """Say in words how the event came to its end; None while it is open."""
    return _ENDED.get(event.state)
