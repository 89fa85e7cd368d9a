"""`cashback tail`: events as they end."""

import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from worker.cli.printing.output import as_json_option, print_json_line
from worker.cli.shared.since import duration_option, since_option
from worker.domain.settlement import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worker.cli.queries.events.live import LiveEvent, LiveFilter

_EACH_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 30 * 86_400.0
_MAX_COUNT: Final = 1_000_000
_CUT: Final = "Too many events to follow: some may be missing here, see `cashback list`"


@click.command()
@click.option("--all", "every", is_flag=True, help="Events as they come, too: received, and decided.")
@click.option(
    "--state", type=click.Choice([state.value for state in State]), help="Only what comes to this state."
)
@click.option(
    "--unconfirmed", is_flag=True, help="Only where money moved and BETCORE did not acknowledge it."
)
@click.option("--producer", help="Only what this producer handed in; betcore is our own receiver.")
@since_option("Begin with what ended since then")
@duration_option("End after this time", "--for", "for_seconds")
@click.option("--count", type=click.IntRange(1, _MAX_COUNT), help="End after so many events.")
@as_json_option
def tail(  # noqa: PLR0913 - one argument per option
    *,
    every: bool,
    state: str | None,
    unconfirmed: bool,
    producer: str | None,
    since: datetime | None,
    for_seconds: float | None,
    count: int | None,
    as_json: bool,
) -> None:
    """Follow events as they end, a line each, until Ctrl-C.

    Looks once a second at the 2,000 newest events of each state; where that may not be all that ended, it
    says so once. An event that went through between two looks has one line, with --all too.

    JSON: one event on each line, as `cashback list` has them.
    """
    if every and (state or unconfirmed):
        raise click.UsageError("--all goes with neither --state nor --unconfirmed")

    # Ctrl-C is how it usually ends, wherever it is just then.
    try:
        from worker.cli.queries.events.live import LiveFilter

        states = tuple(State) if every else LiveFilter.states_of(state)
        wanted = LiveFilter(states=states, unconfirmed=unconfirmed, producer=producer)
        seconds = min(_LONGEST_SECONDS if for_seconds is None else for_seconds, _LONGEST_SECONDS)
        looks = _looks(wanted, since=since, ends_at=time.monotonic() + seconds)
        _print(looks, count=count, as_json=as_json)
    except KeyboardInterrupt:
        return


def _looks(wanted: "LiveFilter", *, since: datetime | None, ends_at: float) -> "Iterator[list[LiveEvent]]":
    """Give what is new of each look, one a second, up to one at `ends_at` (monotonic)."""
    from worker.cli.queries.events.live import Live
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.domain.deadline import Deadline
    from worker.time_limit import ends_by

    live = Live(wanted, since=since)
    with open_database(timeout_seconds=_LONGEST_SECONDS, statement_seconds=QUERY_SECONDS) as connection:
        while True:
            with ends_by(Deadline(time.monotonic() + QUERY_SECONDS)):
                events = live.look(connection)
            yield events
            left_seconds = ends_at - time.monotonic()
            if left_seconds <= 0:
                return
            time.sleep(min(_EACH_SECONDS, left_seconds))


def _print(looks: "Iterable[list[LiveEvent]]", *, count: int | None, as_json: bool) -> None:
    from worker.cli.printing.events.listing import event_document
    from worker.cli.printing.events.live import print_event, print_header
    from worker.cli.printing.output import console

    screen = console()
    shown = 0
    has_said = False
    for number, events in enumerate(looks):
        if number == 0 and not as_json:
            print_header(screen)
        for event in events[: None if count is None else count - shown]:
            if as_json:
                print_json_line(event_document(event.plain))
            else:
                print_event(event, screen)
            shown += 1
        if not has_said and any(event.is_cut for event in events):
            click.echo(_CUT, err=True)
            has_said = True
        if shown == count:
            return
