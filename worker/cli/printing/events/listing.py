"""Events as JSON documents and as a table."""

from dataclasses import asdict

import click

from worker.cli.printing.output import print_table
from worker.cli.queries.events.listing import Event, EventPage
from worker.domain.settlement import State

OPEN_STATES = frozenset({State.RECEIVED, State.SETTLED})


def page_document(page: EventPage) -> dict[str, object]:
    """Return the JSON of `cashback list`; its help describes it."""
    return {"events": [event_document(event) for event in page.events], "next_after": page.next_after}


def event_document(event: Event) -> dict[str, object]:
    """Return the JSON of one event."""
    document = asdict(event)
    if event.state not in OPEN_STATES:
        document["next_attempt_at"] = None
    return document


def print_page(page: EventPage) -> None:
    """Print a page of events as a table, and how to get the next one."""
    print_table(
        "Events, newest first",
        (
            "event", "CashbackId", "state", "code", "received", "user", "type", "amount", "producer",
            "attempts", "unconfirmed", "last error",
        ),
        [
            (
                event.event_id, event.cashback_id, event.state, event.code, event.received_at,
                event.user_id, event.transaction_type, event.amount, event.producer,
                event.attempts, event.unconfirmed or None, event.last_error,
            )
            for event in page.events
        ],
    )  # fmt: skip
    if page.next_after is not None:
        click.echo(f"There are more: --after {page.next_after}")
