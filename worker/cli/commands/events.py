"""`cashback show` and `cashback list`: events as they stand."""

from datetime import datetime
from uuid import UUID

import click

from worker.cli.printing.output import as_json_option, print_document
from worker.cli.shared.since import since_option
from worker.domain.settlement import State

_MAX_EVENTS = 1_000
# MAX_CASHBACK_ID of the contract, which would bring pydantic along.
_CASHBACK_ID = click.IntRange(1, 2**63 - 1)


@click.command()
@click.argument("cashback_id", type=_CASHBACK_ID)
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_EVENTS),
    default=100,
    show_default=True,
    help="How many events, newest first.",
)
@as_json_option
def show(*, cashback_id: int, limit: int, as_json: bool) -> None:
    """Show all events of CASHBACK_ID and what they did to the books.

    JSON: {"cashback_id", "events": [as `cashback list` has them], "more_events",
    "transactions": [{"transaction_id", "partner_transaction_id", "kind", "transaction_type", "event_id",
    "user_id", "currency", "amount", "amount_minor", "tax", "tax_minor", "reverses", "created_at",
    "entries": [{"entry_id", "account_id", "account_kind", "user_id", "amount", "amount_minor"}]}]};
    more_events is true where --limit cut the events off.
    """
    from worker.cli.printing.events import cashback_document, print_cashback
    from worker.cli.queries import events as queries
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        cashback = queries.read_cashback(connection, cashback_id, limit=limit)
    if as_json:
        print_document(cashback_document(cashback))
    else:
        print_cashback(cashback)


@click.command("list")
@click.option(
    "--state", type=click.Choice([state.value for state in State]), help="Only events in this state."
)
@click.option(
    "--unconfirmed",
    is_flag=True,
    help="Only where money moved and BETCORE did not acknowledge it, in no event.",
)
@since_option("Only what was received since then")
@click.option(
    "--limit", type=click.IntRange(1, _MAX_EVENTS), default=50, show_default=True, help="How many events."
)
@click.option("--after", type=click.UUID, help="The next page: what comes after this event.")
@as_json_option
def list_events(  # noqa: PLR0913 - one argument per option
    *,
    state: str | None,
    unconfirmed: bool,
    since: datetime | None,
    limit: int,
    after: UUID | None,
    as_json: bool,
) -> None:
    """List events by state, newest first; --state or --unconfirmed must be given.

    JSON: {"events": [{"event_id", "cashback_id", "state", "code", "transaction_id", "attempts",
    "unconfirmed", "confirmed_by", "last_error", "received_at", "credit_cutoff_at", "deadline_at",
    "next_attempt_at", "settled_at", "closed_at", "producer"}], "next_after"}; code is the ErrorCode of our
    accept, attempts how many accepts were sent,
    confirmed_by the event of the same transaction that BETCORE acknowledged instead, null where there is
    none, next_attempt_at is null once the event is closed, producer is who handed the event in, betcore for
    our own receiver, next_after is the --after of the next page, null on the last one.
    """
    if state is None and not unconfirmed:
        raise click.UsageError("say which events: --state or --unconfirmed")

    from worker.cli.printing.events import page_document, print_page
    from worker.cli.queries import events as queries
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    wanted = queries.EventFilter(state=state, unconfirmed=unconfirmed, since=since, after=after)
    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        page = queries.list_events(connection, wanted, limit=limit)
    if as_json:
        print_document(page_document(page))
    else:
        print_page(page)
