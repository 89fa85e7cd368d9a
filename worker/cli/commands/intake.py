"""`cashback pause` and `cashback resume`: the intake is closed for a planned window, and opened again."""

import re
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import click

from worker.cli.printing.output import as_json_option, print_document
from worker.cli.shared.person import person

if TYPE_CHECKING:
    from worker.cli.queries.intake import Intake

_DURATION: Final = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smh])")
_UNIT_SECONDS: Final = MappingProxyType({"s": 1, "m": 60, "h": 3_600})
_MAX_SECONDS: Final = 86_400
_MAX_REASON_CHARS: Final = 500


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = _DURATION.fullmatch(value)
    seconds = int(match["count"]) * _UNIT_SECONDS[match["unit"]] if match else 0
    if not 1 <= seconds <= _MAX_SECONDS:
        raise click.BadParameter(f"{value!a} is no time such as 90s, 20m or 2h, up to 24h")
    return seconds


def _reason(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 0 < len(value.strip()) <= _MAX_REASON_CHARS:
        raise click.BadParameter(f"it is a sentence of at most {_MAX_REASON_CHARS} characters")
    return None if value is None else value.strip()


@click.command()
@click.option(
    "--for", "seconds", callback=_seconds, metavar="TIME", help="How long: 90s, 20m, 2h; up to 24h."
)
@click.option("--reason", callback=_reason, help="Why: it goes into the audit and the receivers' logs.")
@click.option("--show", "only_show", is_flag=True, help="Change nothing, and show how the intake stands.")
@as_json_option
def pause(*, seconds: int | None, reason: str | None, only_show: bool, as_json: bool) -> None:
    """Close the intake for a planned window; it opens by itself at its end.

    Within about 2 s every receiver answers 503 with Retry-After to makes and to what partners hand in over
    HTTP. What was taken is settled and answered as ever, and how events stand is told. Called again it
    counts from then on.

    \b
    cashback pause --for 20m --reason "PostgreSQL 18.5, ticket 4711"
    cashback pause --show

    JSON: {"paused", "paused_until", "seconds_left", "changed_at", "person", "reason"}; person and reason are
    of who closed or opened it last, null where nobody has yet.
    """  # noqa: D301 - \b is click's
    from worker.cli.queries.intake import pause_intake, read_intake
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    if only_show and (seconds is not None or reason is not None):
        raise click.UsageError("--show changes nothing: give it alone")
    if not only_show and (seconds is None or reason is None):
        raise click.UsageError("name --for and --reason, or --show")
    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        if seconds is not None and reason is not None:
            pause_intake(connection, person(), reason, seconds=seconds)
        intake = read_intake(connection)
    if as_json:
        print_document(asdict(intake))
    else:
        click.echo(_in_words(intake))


@click.command()
@click.option(
    "--reason", required=True, callback=_reason, help="Why: it goes into the audit and the receivers' logs."
)
@as_json_option
def resume(*, reason: str, as_json: bool) -> None:
    """Open the intake before the end of its pause; where it is open, nothing is done.

    JSON: {"was_paused"}.
    """
    from worker.cli.queries.intake import resume_intake
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        was_paused = resume_intake(connection, person(), reason)
    if as_json:
        print_document({"was_paused": was_paused})
    else:
        click.echo(
            "the intake is open: receivers take makes again within about 2 s"
            if was_paused
            else "the intake was open already"
        )


def _in_words(intake: "Intake") -> str:
    if not intake.paused or intake.paused_until is None:
        return "the intake is open"
    until = f"{intake.paused_until:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"the intake is paused until {until}, for {intake.seconds_left:.0f} s more\n"
        f"by {intake.person}: {intake.reason}"
    )
