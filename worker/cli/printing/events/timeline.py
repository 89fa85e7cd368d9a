"""One cashback or event, as a person reads it: the standing, what happened when, and what it posted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.text import Text

from worker.cli.printing.events.cashback import print_transactions
from worker.cli.printing.events.listing import OPEN_STATES
from worker.cli.printing.events.standing import Knowledge, standing_of
from worker.cli.printing.events.words import answer, ended, why
from worker.cli.printing.output import STYLES, as_text, console, print_line, wrapped
from worker.cli.queries.events.cashback import Attempt, Cashback, Replay
from worker.cli.queries.events.listing import Event
from worker.domain.settlement import State

_STANDING_STYLES: Final = {
    Knowledge.KNOWS: "bold green",
    Knowledge.BEING_TOLD: "bold yellow",
    Knowledge.NOTHING_YET: "bold yellow",
    Knowledge.NOT_ACKNOWLEDGED: "bold red",
}
_INDENT: Final = "  "
_WHAT_CHARS: Final = 9
_BEGIN_CHARS: Final = len(_INDENT) + len("18:00:00.123") + 2 + _WHAT_CHARS + 2


@dataclass(frozen=True, slots=True)
class _Moment:
    """Something that happened; without a time it belongs to the one before."""

    at: datetime | None
    what: str
    text: str
    style: str = ""


def print_cashback(cashback: Cashback, *, attempts: bool) -> None:
    """Print the standing, the time line of each event, and each transaction; all attempts if asked for."""
    screen = console()
    standing = standing_of(cashback)
    for line in wrapped(Text(standing.sentence, style=_STANDING_STYLES[standing.betcore]), screen.width):
        print_line(line, screen=screen)
    many = len(cashback.events) > 1
    print_line(
        Text(f"CashbackId {cashback.cashback_id}{', its events newest first' if many else ''}; times in UTC"),
        screen=screen,
    )
    for event in cashback.events:
        _print_event(event, cashback, screen, attempts=attempts)
    if cashback.more_events:
        print_line(Text("\nThere are older events: raise --limit"), screen=screen)
    if cashback.transactions:
        print_line(Text(), screen=screen)
        print_transactions(cashback)


def _print_event(event: Event, cashback: Cashback, screen: Console, *, attempts: bool) -> None:
    state = f"{event.state}, unconfirmed" if event.unconfirmed else event.state
    style = STYLES["unconfirmed" if event.unconfirmed else event.state]
    print_line(Text.assemble("\nEvent ", (str(event.event_id), "bold"), "  ", (state, style)), screen=screen)
    asks = [
        f"{name} {as_text(value)}"
        for name, value in (
            ("user", event.user_id),
            ("TransactionType", event.transaction_type),
            ("Amount", event.amount),
        )
        if value is not None
    ]
    if asks:
        for line in wrapped(Text(", ".join(asks)), screen.width - len(_INDENT)):
            print_line(Text(_INDENT).append_text(line), screen=screen)
    sent = [each for each in cashback.attempts if each.event_id == event.event_id]
    replays = [each for each in cashback.replays if each.event_id == event.event_id]
    day = None
    for moment in _moments(event, sent, replays, every=attempts):
        if moment.at is not None and moment.at.astimezone(UTC).date() != day:
            day = moment.at.astimezone(UTC).date()
            print_line(Text(f"{_INDENT}{day}", style="dim"), screen=screen)
        _print_moment(moment, screen)


def _print_moment(moment: _Moment, screen: Console) -> None:
    at = "" if moment.at is None else as_text(moment.at).partition(" ")[2]
    begin = Text.assemble(_INDENT, f"{at:12}  ", (f"{moment.what:{_WHAT_CHARS}}", moment.style), "  ")
    for line in wrapped(Text(as_text(moment.text)), screen.width - _BEGIN_CHARS):
        print_line(begin.append_text(line), screen=screen)
        begin = Text(" " * _BEGIN_CHARS)


def _moments(event: Event, sent: list[Attempt], replays: list[Replay], *, every: bool) -> Iterator[_Moment]:
    told = [
        _Moment(event.received_at, "received", f"from {event.producer}"),
        *_decided(event),
        *_attempts(event, sent, every=every),
        *_ended(event),
        *(
            _Moment(each.ordered_at, "replayed", f"by {each.person}: {each.reason or 'no reason given'}")
            for each in replays
        ),
    ]
    # What has no time stays behind what it belongs to.
    at = event.received_at
    keyed = []
    for moment in told:
        at = moment.at or at
        keyed.append((at, moment))
    yield from (moment for _, moment in sorted(keyed, key=lambda each: each[0]))


def _decided(event: Event) -> Iterator[_Moment]:
    if event.code is not None:
        by = f", transaction {event.transaction_id}" if event.transaction_id is not None else ""
        yield _Moment(event.settled_at, "decided", f"{event.code}: {why(event)}{by}")


def _attempts(event: Event, sent: list[Attempt], *, every: bool) -> Iterator[_Moment]:
    shown = sent if every or len(sent) <= 3 else [sent[0], sent[-1]]  # noqa: PLR2004 - two and one between
    for attempt in shown:
        if attempt is not sent[0] and len(shown) < len(sent):
            yield _Moment(None, "", f"… {len(sent) - len(shown)} more attempts: --attempts shows them")
        yield _sent(attempt)
    if event.attempts > len(sent):
        yield _Moment(
            None, "sent", f"accepts that are not on record one by one: {event.attempts - len(sent)}"
        )


def _sent(attempt: Attempt) -> _Moment:
    said = [answer(attempt)]
    if attempt.status is not None:
        said.append(f"HTTP {attempt.status}")
    if attempt.duration_ms is not None:
        said.append(f"{attempt.duration_ms} ms")
    if attempt.worker:
        said.append(f"worker {attempt.worker}")
    detail = f": {attempt.detail}" if attempt.detail else ""
    return _Moment(attempt.sent_at, "sent", f"{', '.join(said)}{detail}")


def _ended(event: Event) -> Iterator[_Moment]:
    style = STYLES[event.state]
    if event.state in OPEN_STATES:
        if event.last_error:
            yield _Moment(None, "", f"last error: {event.last_error}")
        if event.state == State.RECEIVED:
            yield _Moment(event.credit_cutoff_at, "cut-off", "no credit after it", style)
        yield _Moment(event.deadline_at, "deadline", "the latest end", style)
        return
    yield _Moment(event.closed_at, event.state, ended(event) or "", style)
    if event.last_error:
        yield _Moment(None, "", f"last error: {event.last_error}")
    if event.unconfirmed:
        yield _Moment(None, "", "UNCONFIRMED: money moved, and BETCORE has not acknowledged it")
    if event.confirmed_by is not None:
        yield _Moment(None, "", f"BETCORE acknowledged event {event.confirmed_by} of the same transaction")
