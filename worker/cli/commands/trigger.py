"""`cashback trigger`: test makes of every kind, from the simulated BETCORE of `make up`."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from worker.cli.printing.output import as_json_option, print_document
from worker.cli.simulator.makes import KINDS, MakeKind, late_script

if TYPE_CHECKING:
    from uuid import UUID

    from worker.cli.queries.events.outcomes import Outcome
    from worker.cli.simulator.client import SentMake, Simulator

_MAX_MAKES: Final = 1_000
_MAX_WAIT_SECONDS: Final = 600
_WAIT_SECONDS: Final = 15.0
_AT_ONCE: Final = 16
_MAX_SHOWN: Final = 10
# Of more than that.
_SHOWN: Final = 2
_DEADLINE_VARIABLE: Final = "CASHBACK_DEADLINE_SECONDS"
_DEADLINE_SECONDS: Final = 30.0
# By when the sweeper has closed what nobody answered.
_CLOSED_SECONDS: Final = 15.0
_TYPES: Final = click.IntRange(-(2**31), 2**31 - 1)


def _with_kinds(function: Callable[..., None]) -> Callable[..., None]:
    # click leaves the lines of a paragraph as they are that begins with \b.
    lines = (
        "    \b",
        "    KIND is one of these:",
        *(f"      {name:12}  {KINDS[name].becomes}" for name in KINDS),
    )
    function.__doc__ = (function.__doc__ or "").replace("    KINDS", "\n".join(lines))
    return function


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="KIND")
@click.option("--user", "user_id", help="PartnerUserId, instead of the kind's own.")
@click.option("--amount", help="Amount in major units, digit by digit as it stands here.")
@click.option("--type", "transaction_type", type=_TYPES, help="TransactionType, instead of the kind's own.")
@click.option("--count", type=click.IntRange(1, _MAX_MAKES), help="How many, each of a cashback of its own.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0, _MAX_WAIT_SECONDS),
    help=f"How long to wait for their ends, in seconds.  [default: {_WAIT_SECONDS:g}; late: to the end]",
)
@as_json_option
@_with_kinds
def trigger(  # noqa: PLR0913 - one argument per option
    *,
    kind: str,
    user_id: str | None,
    amount: str | None,
    transaction_type: int | None,
    count: int | None,
    wait_seconds: float | None,
    as_json: bool,
) -> None:
    """Send test makes of KIND by the simulated BETCORE, and say what came of them.

    KINDS

    It works on what `make up` runs, and refuses anything that does not say that it is the simulator. A
    cashback that is not confirmed is what `cashback replay` is for: the simulator takes its answer then.
    Ends with 1 where the receiver took an event and it has not ended in time, or where it gave no reply.

    JSON: {"kind", "simulator", "makes": [{"event_id", "cashback_id", "transaction_type", "user_id",
    "amount", "http_status", "error_code", "message", "state", "code", "unconfirmed"}], "not_ended"};
    http_status, error_code and message are the receiver's reply to the make, state and code how its event
    stands, null where there is none.
    """
    from dataclasses import replace

    chosen = KINDS[kind]
    chosen = replace(
        chosen,
        user_id=chosen.user_id if user_id is None else user_id,
        amount=chosen.amount if amount is None else amount,
        transaction_type=chosen.transaction_type if transaction_type is None else transaction_type,
        count=count or chosen.count,
    )
    deadline_seconds = _deadline_seconds()
    if chosen.lasts:
        chosen = replace(chosen, order={"script": late_script(deadline_seconds)})
    if wait_seconds is None:
        wait_seconds = deadline_seconds + _CLOSED_SECONDS if chosen.lasts else _WAIT_SECONDS
    _trigger(kind, chosen, wait_seconds=wait_seconds, as_json=as_json)


def _trigger(name: str, kind: MakeKind, *, wait_seconds: float, as_json: bool) -> None:
    from worker.cli.queries.events.outcomes import wait_for_outcomes
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.cli.simulator.client import open_simulator

    def outcomes_of(makes: "Sequence[SentMake]") -> "Mapping[UUID, Outcome]":
        with open_database(timeout_seconds=wait_seconds + QUERY_SECONDS) as connection:
            taken = [make.event_id for make in makes if make.is_taken]
            return wait_for_outcomes(connection, taken, wait_seconds=wait_seconds)

    with open_simulator() as simulator:
        orders = _orders(kind)
        makes: list[SentMake] = []
        if kind.after_payout:
            makes = _send(simulator, [order | {"transaction_type": 1} for order in orders])
            outcomes_of(makes)
            _wait_for_the_next_second()
        if kind.same_token:
            orders = [
                order | {"same_token_as": make.make_id} for order, make in zip(orders, makes, strict=True)
            ]
        makes += _send(simulator, orders)
    outcomes = outcomes_of(makes)
    not_ended = sum(not _has_ended(make, outcomes) for make in makes)
    if as_json:
        print_document(
            {
                "kind": name,
                "simulator": simulator.url,
                "makes": [_document(make, outcomes.get(make.event_id)) for make in makes],
                "not_ended": not_ended,
            }
        )
    else:
        _print(makes, outcomes)
    if not_ended:
        raise click.exceptions.Exit(1)


def _orders(kind: MakeKind) -> list[dict[str, object]]:
    # A CashbackId that no other run has: by the clock, in milliseconds.
    first = time.time_ns() // 1_000_000
    return [
        {
            "cashback_id": first + place,
            "user_id": kind.user_id,
            "transaction_type": kind.transaction_type,
            "amount": kind.amount,
            **kind.order,
        }
        for place in range(kind.count)
    ]


def _send(simulator: "Simulator", orders: Sequence[Mapping[str, object]]) -> "list[SentMake]":
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(orders))) as pool:
        return list(pool.map(simulator.send, orders))


def _wait_for_the_next_second() -> None:
    # A token's times are whole seconds: the same make in the same one would be the same token.
    time.sleep(1 - time.time() % 1)


def _has_ended(make: "SentMake", outcomes: "Mapping[UUID, Outcome]") -> bool:
    if not make.is_taken:
        # The receiver's refusal is an end; no reply, or one that asks for the make again, is none.
        return make.error_code is not None and make.http_status is not None and make.http_status < 500  # noqa: PLR2004
    outcome = outcomes.get(make.event_id)
    return outcome is not None and outcome.has_ended


def _deadline_seconds() -> float:
    try:
        return float(os.environ.get(_DEADLINE_VARIABLE) or _DEADLINE_SECONDS)
    except ValueError:
        return _DEADLINE_SECONDS


def _document(make: "SentMake", outcome: "Outcome | None") -> dict[str, object]:
    return {
        "event_id": make.event_id,
        "cashback_id": make.cashback_id,
        "transaction_type": make.transaction_type,
        "user_id": make.user_id,
        "amount": make.amount,
        "http_status": make.http_status,
        "error_code": make.error_code,
        "message": make.message,
        "state": outcome.state if outcome else None,
        "code": outcome.code if outcome else None,
        "unconfirmed": outcome.unconfirmed if outcome else False,
    }


def _print(makes: "Sequence[SentMake]", outcomes: "Mapping[UUID, Outcome]") -> None:
    for make in makes[: _SHOWN if len(makes) > _MAX_SHOWN else _MAX_SHOWN]:
        click.echo(
            f"CashbackId {make.cashback_id}, type {make.transaction_type}, user {make.user_id}, {make.amount}"
        )
        click.echo(f"  event {make.event_id}")
        click.echo(f"  {_end(make, outcomes)}")
    if len(makes) > _MAX_SHOWN:
        click.echo(f"... and {len(makes) - _SHOWN} more. In all:")
        for end, count in Counter(_end(make, outcomes) for make in makes).most_common():
            click.echo(f"  {count:5}  {end}")
    taken = [make for make in makes if make.is_taken]
    if taken:
        click.echo(f"Next: cashback show {taken[-1].cashback_id}")


def _end(make: "SentMake", outcomes: "Mapping[UUID, Outcome]") -> str:
    if not make.is_taken:
        said = f"{make.error_code or ''} {make.message or ''}".strip()
        return f"not taken: HTTP {make.http_status}, {said}" if make.http_status else f"no reply: {said}"
    outcome = outcomes.get(make.event_id)
    if outcome is None:
        return "taken, and not on record yet"
    unconfirmed = ", unconfirmed: money moved" if outcome.unconfirmed else ""
    code = "" if outcome.code is None else f", code {outcome.code}"
    return f"{outcome.state}{code}{unconfirmed}"
