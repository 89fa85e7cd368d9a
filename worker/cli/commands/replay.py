"""`cashback replay`: answers that BETCORE has not acknowledged, sent again by the workers."""

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TextIO
from uuid import UUID

import click

from worker.cli.help.suggested import CODES, suggesting
from worker.cli.printing.output import as_json_option, print_document
from worker.cli.shared.event_ids import event_ids_in
from worker.cli.shared.reason import reason_option
from worker.cli.shared.since import since_option

if TYPE_CHECKING:
    from worker.cli.queries.replay import Choice, ReplayFilter

_MAX_RATE: Final = 200
_ORDER_SECONDS: Final = 120.0
# Beyond the time that the rate takes: a replay's own window, and the workers' rounds.
_MORE_SECONDS: Final = 90.0
_MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doing:
    """How it is to be done, and what is to be waited for."""

    reason: str | None
    rate: int
    dry_run: bool
    yes: bool
    wait: bool
    wait_seconds: float | None
    as_json: bool


@click.command()
@click.argument("event_ids", metavar="[EVENT_ID]...", type=click.UUID, nargs=-1)
@click.option(
    "--from", "file", type=click.File("r"), help="A file with an event id a line; - is standard input."
)
@click.option("--unconfirmed", is_flag=True, help="Where money moved and BETCORE did not acknowledge it.")
@click.option("--state", type=click.Choice(["expired", "refused"]), help="Only events that ended so.")
@click.option(
    "--code",
    type=int,
    shell_complete=suggesting(CODES),
    help="Only events that were answered with this ErrorCode.",
)
@since_option("Only what was received since then")
@since_option("Only what was received before that", "--until")
@click.option("--user", "user_id", help="Only events of this user.")
@click.option("--cashback", "cashback_id", type=click.IntRange(1, _MAX_ID), help="Only events of this one.")
@click.option("--producer", help="Only what this partner service handed in; betcore is our own receiver.")
@click.option("--order", "order_id", type=click.IntRange(1, _MAX_ID), help="Look at an order given before.")
@reason_option(required=False)
@click.option(
    "--rate",
    type=click.IntRange(1, _MAX_RATE),
    default=10,
    show_default=True,
    help="Events a second, over all workers.",
)
@click.option("--dry-run", is_flag=True, help="Say what stands and what would be sent, and stop there.")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal nothing is done without it.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for what comes of it.")
@click.option(
    "--wait-seconds",
    type=click.FloatRange(0, 86_400),
    help="Wait so long at most; by default as long as the rate takes and a minute and a half.",
)
@as_json_option
def replay(  # noqa: PLR0913 - one argument per option
    *,
    event_ids: tuple[UUID, ...],
    file: TextIO | None,
    unconfirmed: bool,
    state: str | None,
    code: int | None,
    since: datetime | None,
    until: datetime | None,
    user_id: str | None,
    cashback_id: int | None,
    producer: str | None,
    order_id: int | None,
    reason: str | None,
    rate: int,
    dry_run: bool,
    yes: bool,
    wait: bool,
    wait_seconds: float | None,
    as_json: bool,
) -> None:
    """Have workers send answers again that BETCORE has not acknowledged.

    Of which events say EVENT_ID, a file, or a filter, of which all that is given must hold.
    It says what stands in the ledger and what will be sent, and asks. BETCORE gets the same answer with the
    same Value once more; no money moves, and nothing is decided anew. Its acknowledgement makes the event
    answered. Each is tried for half a minute, five times at most; one that fails stays as it was, and may be
    replayed again. What is answered, or has an open replay, is left alone.

    Ends with 1 when a replay failed or is still open at the end, or an event was asked for in vain.

    JSON: {"chosen", "order"}. chosen, null with --order: {"events", "unconfirmed", "oldest", "newest",
    "sums": [{"code", "events", "unconfirmed", "currency", "amount", "amount_minor"}], "first":
    [{"event_id", "cashback_id", "state", "code", "unconfirmed", "received_at", "user_id", "currency",
    "amount", "amount_minor"}], "left_out": [{"event_id", "why"}], "left_out_events"}; why is answered,
    ordered, posted_since, under_way or unknown. order, null where none was given: {"order_id",
    "ordered_at", "database_user", "person", "reason", "rate", "events", "answered", "failed", "open",
    "failures": [{"event_id", "error", "tries", "sent"}]}. Of what is left out and what failed the first
    1,000 are named.
    """
    doing = _Doing(
        reason=reason,
        rate=rate,
        dry_run=dry_run,
        yes=yes,
        wait=wait,
        wait_seconds=wait_seconds,
        as_json=as_json,
    )
    is_by_id = bool(event_ids) or file is not None
    is_by_filter = unconfirmed or any(
        each is not None for each in (state, code, since, until, user_id, cashback_id, producer)
    )
    _check_use(doing, ways=[is_by_id, is_by_filter, order_id is not None])
    if order_id is not None:
        _look_at(order_id, doing)
        return
    ids = event_ids if file is None else (*event_ids, *event_ids_in(file))
    from worker.cli.queries.replay import ReplayFilter

    wanted = ReplayFilter(
        unconfirmed=unconfirmed, state=state, code=code, since=since, until=until,
        user_id=user_id, cashback_id=cashback_id, producer=producer,
    )  # fmt: skip
    _replay(_choose(ids, None if is_by_id else wanted), doing)


def _check_use(doing: _Doing, *, ways: list[bool]) -> None:
    if sum(ways) != 1:
        raise click.UsageError(
            "say which events: their ids, --from FILE, a filter such as --unconfirmed, or --order"
        )
    if doing.dry_run or ways[-1]:
        return
    if not doing.reason:
        raise click.UsageError("say why: --reason (or look first, with --dry-run)")
    if not doing.yes and doing.as_json:
        raise click.UsageError("nothing was done: --json asks nobody, so it takes --yes or --dry-run")
    if not doing.yes and not sys.stdin.isatty():
        raise click.UsageError(
            "nothing was done: without a terminal nobody can be asked. Look with --dry-run, do it with --yes"
        )


def _choose(event_ids: tuple[UUID, ...], wanted: "ReplayFilter | None") -> "Choice":
    from worker.cli.queries.replay import choose_by_filter, choose_by_ids
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        if wanted is None:
            return choose_by_ids(connection, event_ids)
        return choose_by_filter(connection, wanted)


def _replay(choice: "Choice", doing: _Doing) -> None:
    from worker.cli.printing.replay import choice_document, print_choice

    if not doing.as_json:
        print_choice(choice)
    in_vain = not all(each.why.is_well for each in choice.left_out)
    order_id = None if doing.dry_run or not choice.to_send else _order(choice, doing)
    if order_id is not None:
        _look_at(order_id, doing, choice=choice, in_vain=in_vain)
        return
    if doing.as_json:
        print_document({"chosen": choice_document(choice), "order": None})
    elif not doing.dry_run or not choice.to_send:
        click.echo("Nothing to send.")
    if in_vain:
        click.get_current_context().exit(1)


def _order(choice: "Choice", doing: _Doing) -> int | None:
    from worker.cli.queries.replay_orders import give_order
    from worker.cli.shared.database import open_database
    from worker.cli.shared.person import person

    if not doing.yes:
        click.confirm(f"Send {len(choice.to_send)} of them again?", abort=True, err=True)
    with open_database(timeout_seconds=_ORDER_SECONDS) as connection:
        return give_order(
            connection,
            [each.event_id for each in choice.to_send],
            rate=doing.rate,
            person=person(),
            reason=doing.reason or "",
        )


def _look_at(order_id: int, doing: _Doing, *, choice: "Choice | None" = None, in_vain: bool = False) -> None:
    """Wait for the end of an order, and say what came of it."""
    from worker.cli.printing.replay import choice_document, order_document, print_end, progress_bar
    from worker.cli.queries.replay_orders import failures_of, progress_of, read_order, wait_for_end
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        order = read_order(connection, order_id)
        progress = progress_of(connection, order_id)
    wait_seconds = doing.wait_seconds
    if wait_seconds is None:
        wait_seconds = progress.open / order.rate + _MORE_SECONDS
    if choice is not None and progress.events < len(choice.to_send) and not doing.as_json:
        click.echo(f"{len(choice.to_send) - progress.events} were ordered or answered meanwhile", err=True)
    if doing.wait and progress.open:
        if not doing.as_json:
            click.echo(f"Order {order_id}: the workers send {progress.open}, {order.rate} a second", err=True)
        with (
            open_database(timeout_seconds=wait_seconds + QUERY_SECONDS) as connection,
            progress_bar(order_id, shown=not doing.as_json) as told,
        ):
            progress = wait_for_end(connection, order_id, wait_seconds=wait_seconds, told=told)
    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        failures = failures_of(connection, order_id)
    if doing.as_json:
        chosen = None if choice is None else choice_document(choice)
        print_document({"chosen": chosen, "order": order_document(order, progress, failures)})
    else:
        print_end(order, progress, failures)
    if in_vain or progress.failed or (doing.wait and progress.open):
        click.get_current_context().exit(1)
