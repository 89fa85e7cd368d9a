"""`cashback show` and `cashback list`: events as they stand."""

from datetime import datetime
from typing import Final
from uuid import UUID

import click

from worker.cli.help.suggested import CODES, suggesting
from worker.cli.printing.output import as_json_option, print_document, print_json_line
from worker.cli.shared.event_filter import EventFilter
from worker.cli.shared.ids import CASHBACK_ID, EventOrCashback
from worker.cli.shared.since import since_option
from worker.domain.settlement import State

_MAX_EVENTS: Final = 1_000
_PAGE_EVENTS: Final = 50
_EVERY_PAGE_SECONDS: Final = 3_600.0


@click.command()
@click.argument("id_", metavar="ID", type=EventOrCashback())
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_EVENTS),
    default=100,
    show_default=True,
    help="How many events, newest first.",
)
@click.option("--attempts", is_flag=True, help="Each accept that was sent, not the first and the last alone.")
@as_json_option
def show(*, id_: int | UUID, limit: int, attempts: bool, as_json: bool) -> None:
    """Show what became of ID, a CashbackId or an event id: money, answers, entries.

    First of all it says whether money moved and whether BETCORE knows; then what happened when, for each
    event; then what was posted.

    JSON: {"cashback_id", "event_id", "standing": {"money", "betcore", "sentence"}, "events": [as `cashback
    list` has them, and "why", "replays": [{"ordered_at", "person", "reason"}], with --attempts "accepts":
    [{"sent_at", "duration_ms", "status", "code", "worker", "detail"}]], "more_events",
    "transactions": [{"transaction_id", "partner_transaction_id", "kind", "transaction_type", "event_id",
    "user_id", "currency", "amount", "amount_minor", "tax", "tax_minor", "reverses", "created_at",
    "is_acknowledged",
    "entries": [{"entry_id", "account_id", "account_kind", "user_id", "amount", "amount_minor"}]}]};
    event_id is null where ID is a CashbackId; money is moved, taken_back, not_moved or undecided; betcore is
    knows, being_told, not_acknowledged or nothing_yet; more_events is true where --limit cut the events off.
    """
    from worker.cli.printing.events.cashback import cashback_document
    from worker.cli.printing.events.timeline import print_cashback
    from worker.cli.queries.events.cashback import read_cashback, read_event
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        if isinstance(id_, UUID):
            cashback = read_event(connection, id_)
        else:
            cashback = read_cashback(connection, id_, limit=limit)
    if as_json:
        print_document(cashback_document(cashback, attempts=attempts))
    else:
        print_cashback(cashback, attempts=attempts)


@click.command("list")
@click.option(
    "--state", type=click.Choice([state.value for state in State]), help="Only events in this state."
)
@click.option(
    "--unconfirmed",
    is_flag=True,
    help="Only where money moved and BETCORE did not acknowledge it, in no event.",
)
@click.option("--user", "user_id", help="Only events of this user.")
@click.option("--cashback", "cashback_id", type=CASHBACK_ID, help="Only events of this CashbackId.")
@click.option(
    "--code",
    type=int,
    shell_complete=suggesting(CODES),
    help="Only with this ErrorCode in our accept, such as 103779.",
)
@click.option("--producer", help="Only what this producer handed in; betcore is our own receiver. *")
@click.option("--type", "transaction_type", type=int, help="Only of this TransactionType. *")
@click.option("--error", help="Only where the last error has this text in it, in capitals or not. *")
@since_option("Only what was received since then")
@since_option("Only what was received before then", "--until")
@since_option("The same as --until: only what is older than this", "--older-than")
@click.option(
    "--limit", type=click.IntRange(1, _MAX_EVENTS), help=f"How many events.  [default: {_PAGE_EVENTS}]"
)
@click.option("--after", type=click.UUID, help="The next page: what comes after this event.")
@click.option("--all", "every", is_flag=True, help="With --csv or --json: all pages, one after the other.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a header.")
@as_json_option
def list_events(  # noqa: PLR0913 - one argument per option
    *,
    state: str | None,
    unconfirmed: bool,
    user_id: str | None,
    cashback_id: int | None,
    code: int | None,
    producer: str | None,
    transaction_type: int | None,
    error: str | None,
    since: datetime | None,
    until: datetime | None,
    older_than: datetime | None,
    limit: int | None,
    after: UUID | None,
    every: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List events, newest first; at least one filter must be given.

    A filter with a * has no index of its own: it needs one of --user, --cashback, --unconfirmed, --since, a
    --code other than 200 or a --state other than answered beside it. So does --code 200.

    CSV is that of RFC 4180, its columns are named as in JSON. A text that begins with = + - @ or a control
    character, and is no number, gets an apostrophe before it, as OWASP advises: no spreadsheet computes it.

    JSON: {"events": [{"event_id", "cashback_id", "state", "code", "transaction_id", "attempts",
    "unconfirmed", "confirmed_by", "last_error", "received_at", "credit_cutoff_at", "deadline_at",
    "next_attempt_at", "settled_at", "closed_at", "producer", "user_id", "transaction_type", "amount"}],
    "next_after"}, with --all one event on each line; code is the ErrorCode of our accept, attempts how many
    accepts were sent, confirmed_by the event of the same transaction that BETCORE acknowledged instead, null
    where there is none, next_attempt_at is null once the event is closed, producer is who handed the event
    in, betcore for our own receiver, user_id, transaction_type and amount (major units) are what it asks
    for, null where that cannot be read, next_after is the --after of the next page, null on the last one.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    if every and (limit or not (as_csv or as_json)):
        raise click.UsageError("--all goes with --csv or --json, and without --limit")

    wanted = EventFilter(
        state=state,
        unconfirmed=unconfirmed,
        user_id=user_id,
        cashback_id=cashback_id,
        code=code,
        producer=producer,
        transaction_type=transaction_type,
        error=error,
        since=since,
        until=min((each for each in (until, older_than) if each is not None), default=None),
        after=after,
    )
    if wanted.fault is not None:
        raise click.UsageError(wanted.fault)
    if every:
        _print_every_page(wanted, as_csv=as_csv)
    else:
        _print_page(wanted, limit=limit or _PAGE_EVENTS, as_csv=as_csv, as_json=as_json)


def _print_page(wanted: EventFilter, *, limit: int, as_csv: bool, as_json: bool) -> None:
    from worker.cli.printing.events.csv_rows import csv_rows
    from worker.cli.printing.events.listing import page_document, print_page
    from worker.cli.queries.events.listing import list_events as read
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        page = read(connection, wanted, limit=limit)
    if as_json:
        print_document(page_document(page))
    elif as_csv:
        for line in csv_rows(page.events, header=True):
            click.echo(line, nl=False)
    else:
        print_page(page)


def _print_every_page(wanted: EventFilter, *, as_csv: bool) -> None:
    """Print page after page as it is read: no more than one of them is in memory."""
    from worker.cli.printing.events.csv_rows import csv_rows
    from worker.cli.printing.events.listing import event_document
    from worker.cli.queries.events.listing import every_page
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=_EVERY_PAGE_SECONDS, statement_seconds=QUERY_SECONDS) as connection:
        for number, page in enumerate(every_page(connection, wanted, limit=_MAX_EVENTS)):
            if as_csv:
                for line in csv_rows(page.events, header=number == 0):
                    click.echo(line, nl=False)
            else:
                for event in page.events:
                    print_json_line(event_document(event))
