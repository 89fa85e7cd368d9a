"""`cashback quarantine …`: messages that no worker could settle."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from worker.cli.help.suggested import REASONS, suggesting
from worker.cli.printing.output import as_json_option, print_document, print_table
from worker.cli.shared.reason import reason_option
from worker.errors import NotFound, WorkerError

if TYPE_CHECKING:
    import psycopg

    from worker.quarantine.listing import Quarantined

_MAX_MESSAGES: Final = 1_000
_REQUEUE_SECONDS: Final = 600.0
_GROUP: Final = 500
_ID = click.IntRange(1, 2**63 - 1)


@click.group()
def quarantine() -> None:
    """Look at messages that no worker could settle, and put them back onto their queue."""


@quarantine.command("list")
@click.option("--reason", shell_complete=suggesting(REASONS), help="Only messages with this reason.")
@click.option("--open", "only_open", is_flag=True, help="Only what was not put back, or has come back since.")
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_MESSAGES),
    default=50,
    show_default=True,
    help="How many messages.",
)
@click.option("--after", type=_ID, help="The next page: what comes after this message.")
@as_json_option
def list_messages(
    *, reason: str | None, only_open: bool, limit: int, after: int | None, as_json: bool
) -> None:
    """List quarantined messages, newest first.

    JSON: {"messages": [{"quarantine_id", "reason", "detail", "queue", "producer", "task_id", "task_name",
    "headers", "content_type", "content_encoding", "message_bytes", "is_whole", "is_open", "seen_count",
    "quarantined_at", "last_seen_at", "requeued_at", "requeue_count"}], "next_after"}; is_open is true until
    the message is put back, and again when it returns; next_after is the --after of the next page, null on
    the last one.
    """
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.quarantine import listing

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        page = listing.list_quarantined(
            connection, reason=reason, only_open=only_open, after=after, limit=limit
        )
    if as_json:
        print_document(
            {"messages": [asdict(message) for message in page.messages], "next_after": page.next_after}
        )
        return
    print_table(
        "Quarantined messages, newest first",
        (
            "id",
            "reason",
            "queue",
            "producer",
            "task",
            "task id",
            "last seen",
            "seen",
            "requeued",
            "open",
            "detail",
        ),
        [_row(message) for message in page.messages],
    )
    if page.next_after is not None:
        click.echo(f"There are more: --after {page.next_after}")


@quarantine.command("show")
@click.argument("quarantine_id", type=_ID)
@click.option("--body", is_flag=True, help="Also what stood in the queue. It may hold BETCORE's token.")
@as_json_option
def show_message(*, quarantine_id: int, body: bool, as_json: bool) -> None:
    """Show one quarantined message.

    JSON: as `cashback quarantine list` has it, with --body also "message_base64": the entry of the queue,
    the first MiB of it.
    """
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.quarantine import listing

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        message = listing.read_quarantined(connection, quarantine_id)
        content = listing.read_content(connection, quarantine_id) if body else None
    document = asdict(message)
    if as_json:
        if content is not None:
            document["message_base64"] = base64.b64encode(content).decode("ascii")
        print_document(document)
        return
    if content is not None:
        document["message"] = content.decode("utf-8", "backslashreplace")
    print_table(f"Quarantined message {quarantine_id}", ("what", "value"), list(document.items()))


@quarantine.command("requeue")
@click.argument("quarantine_ids", metavar="[ID]...", type=_ID, nargs=-1)
@click.option("--reason", help="With --all: the reason of the messages.")
@click.option("--all", "every", is_flag=True, help="All open messages of --reason, oldest first.")
@reason_option("--because", required=False)
@click.option("--again", is_flag=True, help="Also what was put back already and has not returned.")
@as_json_option
def requeue_messages(  # noqa: PLR0913 - one argument per option
    *,
    quarantine_ids: tuple[int, ...],
    reason: str | None,
    every: bool,
    because: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Put messages back onto the queues they came from, byte for byte: by ID, or --reason R --all.

    Needs CASHBACK_REDIS_URL too. What was put back is marked and stays on record; should a worker reject it
    again, the same message is open again. Ends with 1 when one of the IDs was not put back.

    JSON: {"requeued": [id], "refused": [{"quarantine_id", "reason", "error"}]}; reason is not_found,
    not_whole (too long to be kept whole) or already_requeued.
    """
    if every == bool(quarantine_ids) or every != (reason is not None):
        raise click.UsageError("say which messages: their IDs, or --reason and --all")

    from worker.cli.shared.broker import open_queues
    from worker.cli.shared.database import open_database

    requeued: list[int] = []
    refused: list[dict[str, object]] = []
    with ExitStack() as stack:
        connection = stack.enter_context(open_database(timeout_seconds=_REQUEUE_SECONDS))
        push = stack.enter_context(open_queues())
        try:
            for each in _open_ids(connection, reason) if reason is not None else quarantine_ids:
                fault = _requeue(connection, push, each, because=because, again=again)
                if fault is None:
                    requeued.append(each)
                else:
                    refused.append({"quarantine_id": each, "reason": fault.reason, "error": str(fault)})
        finally:
            # Also when Redis or PostgreSQL went away on the way: what is done is done.
            _print_requeued(requeued, refused, as_json=as_json)
    if refused and not every:
        click.get_current_context().exit(1)


def _open_ids(connection: "psycopg.Connection[Any]", reason: str) -> Iterator[int]:
    from worker.quarantine import listing

    after = 0
    while ids := listing.open_ids(connection, reason=reason, after=after, limit=_GROUP):
        yield from ids
        after = ids[-1]


def _requeue(
    connection: "psycopg.Connection[Any]",
    push: Callable[[str, bytes], None],
    quarantine_id: int,
    *,
    because: str | None,
    again: bool,
) -> WorkerError | None:
    from worker.cli.shared.person import person
    from worker.quarantine import listing

    try:
        listing.requeue(connection, push, quarantine_id, person=person(), because=because, again=again)
    except (NotFound, listing.NotWhole, listing.AlreadyRequeued) as error:
        return error
    return None


def _print_requeued(requeued: list[int], refused: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        print_document({"requeued": requeued, "refused": refused})
        return
    click.echo(f"Put back: {len(requeued)}")
    for each in refused:
        click.echo(f"Not put back: {each['error']}", err=True)


def _row(message: "Quarantined") -> tuple[object, ...]:
    return (
        message.quarantine_id,
        message.reason,
        message.queue,
        message.producer,
        message.task_name,
        message.task_id,
        message.last_seen_at,
        message.seen_count,
        message.requeued_at,
        message.is_open,
        message.detail,
    )
