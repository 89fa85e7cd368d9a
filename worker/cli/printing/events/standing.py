"""The first question of all: whether money moved, and whether BETCORE knows."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from worker.cli.printing.events.words import why
from worker.cli.queries.events.cashback import Cashback, Transaction
from worker.cli.queries.events.listing import Event
from worker.domain.settlement import Kind, State


class Money(StrEnum):
    """What became of the money."""

    MOVED = "moved"
    TAKEN_BACK = "taken_back"
    NOT_MOVED = "not_moved"
    UNDECIDED = "undecided"


class Knowledge(StrEnum):
    """What BETCORE knows of it."""

    KNOWS = "knows"
    BEING_TOLD = "being_told"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    NOTHING_YET = "nothing_yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The answer, and its sentence."""

    money: Money
    betcore: Knowledge
    sentence: str


# From good to bad.
_KNOWS: Final = {
    Knowledge.KNOWS: "BETCORE knows",
    Knowledge.BEING_TOLD: "BETCORE is being told",
    Knowledge.NOT_ACKNOWLEDGED: "BETCORE has NOT acknowledged it",
}


def standing_of(cashback: Cashback) -> Standing:
    """Return the answer about a cashback, or about the one event of it that was asked for."""
    if cashback.event_id is not None:
        return _of_event(cashback.events[0], cashback.transactions)
    if cashback.transactions:
        return _of_transactions(cashback.transactions)
    return _without_transaction(
        next((event for event in cashback.events if event.state == State.RECEIVED), cashback.events[0])
    )


def _of_event(event: Event, transactions: tuple[Transaction, ...]) -> Standing:
    own = [each for each in transactions if each.transaction_id == event.transaction_id]
    if not own:
        return _without_transaction(event)
    by_another = "" if own[0].event_id == event.event_id else f" by event {own[0].event_id}"
    known = _knowledge(own[0])
    if own[0].kind == Kind.CANCEL:
        return Standing(
            money=Money.TAKEN_BACK,
            betcore=known,
            sentence=f"Money was taken back{by_another}, and {_KNOWS[known]}.",
        )
    taken_back = [each for each in transactions if each.reverses == own[0].transaction_id]
    later = f" It was taken back later, by event {taken_back[0].event_id}." if taken_back else ""
    return Standing(
        money=Money.TAKEN_BACK if taken_back else Money.MOVED,
        betcore=known,
        sentence=f"Money moved{by_another}, and {_KNOWS[known]}.{later}",
    )


def _of_transactions(transactions: tuple[Transaction, ...]) -> Standing:
    known = [_knowledge(each) for each in transactions]
    worst = max(known, key=list(_KNOWS).index)
    if len(transactions) == 1:
        return Standing(money=Money.MOVED, betcore=worst, sentence=f"Money moved, and {_KNOWS[worst]}.")
    if worst is Knowledge.KNOWS:
        said = f"{_KNOWS[worst]} both."
    else:
        said = " ".join(
            f"{transaction.kind.capitalize()}: {_KNOWS[each]}."
            for transaction, each in zip(transactions, known, strict=True)
        )
    return Standing(money=Money.TAKEN_BACK, betcore=worst, sentence=f"Money moved and was taken back. {said}")


def _without_transaction(event: Event) -> Standing:
    if event.state == State.RECEIVED:
        return Standing(
            money=Money.UNDECIDED,
            betcore=Knowledge.NOTHING_YET,
            sentence="No money has moved so far: the event is not decided yet.",
        )
    if event.state == State.ANSWERED:
        known = Knowledge.KNOWS
    else:
        known = Knowledge.BEING_TOLD if event.state == State.SETTLED else Knowledge.NOT_ACKNOWLEDGED
    return Standing(
        money=Money.NOT_MOVED,
        betcore=known,
        sentence=f"No money moved: {why(event)}. {_KNOWS[known]}.",
    )


def _knowledge(transaction: Transaction) -> Knowledge:
    if transaction.is_acknowledged:
        return Knowledge.KNOWS
    return Knowledge.BEING_TOLD if transaction.is_being_told else Knowledge.NOT_ACKNOWLEDGED
