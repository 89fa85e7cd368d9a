"""What is to be replayed and what came of it, as JSON documents and for people."""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

import click

from worker.cli.printing.output import major, print_table, printable
from worker.cli.queries.replay import Candidate, Choice, LeftOut, WhyNot
from worker.cli.queries.replay_orders import Failure, Order, Progress

_SHOWN: Final = 10
_MAX_LEFT_OUT: Final = 1_000
_SAYS: Final = {
    WhyNot.ANSWERED: "is answered already: nothing to do",
    WhyNot.ORDERED: "has an open replay already, of order {order_id}: nothing to do",
    WhyNot.POSTED_SINCE: "was declined, and its cashback was posted since, for another event: nothing to say",
    WhyNot.UNDER_WAY: "is still under way, nothing to replay",
    WhyNot.UNKNOWN: "is not on record",
}


def choice_document(choice: Choice) -> dict[str, object]:
    """Return the JSON of what is to be sent; the help of `cashback replay` describes it."""
    times = [each.received_at for each in choice.to_send]
    return {
        "events": len(choice.to_send),
        "unconfirmed": sum(each.unconfirmed for each in choice.to_send),
        "oldest": min(times, default=None),
        "newest": max(times, default=None),
        "sums": _sums(choice.to_send),
        "first": [_candidate_document(each) for each in choice.to_send[:_SHOWN]],
        "left_out": [
            {"event_id": each.event_id, "why": each.why} for each in choice.left_out[:_MAX_LEFT_OUT]
        ],
        "left_out_events": len(choice.left_out),
    }


def order_document(order: Order, progress: Progress, failures: tuple[Failure, ...]) -> dict[str, object]:
    """Return the JSON of an order and of what came of it so far."""
    return {
        **asdict(order),
        "events": progress.events,
        "answered": progress.answered,
        "failed": progress.failed,
        "open": progress.open,
        "failures": [asdict(failure) for failure in failures],
    }


def print_choice(choice: Choice) -> None:
    """Print what is left out and why; then what stands in the ledger and what is to be sent."""
    for each in choice.left_out[:_SHOWN]:
        _print_left_out(each)
    for why, count in Counter(each.why for each in choice.left_out[_SHOWN:]).items():
        click.echo(f"{count} more: {_SAYS[why].format(order_id='another one')}")
    if not choice.to_send:
        return
    times = [each.received_at for each in choice.to_send]
    print_table(
        "What stands in the ledger, and is said to BETCORE again",
        ("code", "events", "unconfirmed", "amount", "currency"),
        [
            (line["code"], line["events"], line["unconfirmed"], line["amount"], line["currency"])
            for line in _sums(choice.to_send)
        ],
    )
    click.echo(
        f"{_events(len(choice.to_send))}, received {min(times):%Y-%m-%d %H:%M:%S} to "
        f"{max(times):%Y-%m-%d %H:%M:%S} UTC:"
    )
    for candidate in choice.to_send[:_SHOWN]:
        click.echo(f"  {_line_of(candidate)}")
    if len(choice.to_send) > _SHOWN:
        click.echo(f"  and {len(choice.to_send) - _SHOWN} more")


def print_end(order: Order, progress: Progress, failures: tuple[Failure, ...]) -> None:
    """Print what came of an order so far, and which replays failed and why."""
    click.echo(f"Order {order.order_id}: ", nl=False)
    click.secho(f"{progress.answered} answered", fg="green" if progress.answered else None, nl=False)
    click.secho(f", {progress.failed} failed", fg="red" if progress.failed else None, nl=False)
    click.secho(f", {progress.open} open", fg="yellow" if progress.open else None)
    for failure in failures:
        click.echo(f"  {failure.event_id}  {printable(failure.error or 'no answer of BETCORE is known')}")
    if progress.failed > len(failures):
        click.echo(f"  and {progress.failed - len(failures)} more")
    if progress.open:
        click.echo(f"It goes on by itself. To look again: cashback replay --order {order.order_id}")


@contextmanager
def progress_bar(order_id: int, *, shown: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far an order has come, at a terminal; gives what is to be told."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"Order {order_id}", total=None)
        yield lambda progress: bar.update(
            task, total=progress.events, completed=progress.answered + progress.failed
        )


def _sums(candidates: tuple[Candidate, ...]) -> list[dict[str, object]]:
    """Count by code and currency; the sums are of the transactions that stand in the ledger."""
    groups = defaultdict[tuple[int | None, str | None, int | None], list[Candidate]](list)
    for each in candidates:
        groups[each.code, each.currency, each.exponent].append(each)
    lines: list[dict[str, object]] = []
    for (code, currency, exponent), members in groups.items():
        amount_minor = None if currency is None else sum(each.amount_minor or 0 for each in members)
        lines.append(
            {
                "code": code,
                "events": len(members),
                "unconfirmed": sum(each.unconfirmed for each in members),
                "currency": currency,
                "amount": _amount(amount_minor, exponent),
                "amount_minor": amount_minor,
            }
        )
    return sorted(lines, key=lambda line: (str(line["code"]), str(line["currency"])))


def _amount(amount_minor: int | None, exponent: int | None) -> str | None:
    return None if amount_minor is None or exponent is None else major(amount_minor, exponent)


def _candidate_document(candidate: Candidate) -> dict[str, object]:
    return {
        "event_id": candidate.event_id,
        "cashback_id": candidate.cashback_id,
        "state": candidate.state,
        "code": candidate.code,
        "unconfirmed": candidate.unconfirmed,
        "received_at": candidate.received_at,
        "user_id": candidate.user_id,
        "currency": candidate.currency,
        "amount": _amount(candidate.amount_minor, candidate.exponent),
        "amount_minor": candidate.amount_minor,
    }


def _line_of(candidate: Candidate) -> str:
    amount = _amount(candidate.amount_minor, candidate.exponent)
    money = "" if amount is None else f", {amount} {candidate.currency}"
    return f"{candidate.event_id}  {candidate.cashback_id}: {candidate.code}{money}"


def _print_left_out(each: LeftOut) -> None:
    click.secho(
        f"{each.event_id}: {_SAYS[each.why].format(order_id=each.order_id)}",
        fg=None if each.why.is_well else "red",
        err=True,
    )


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"
