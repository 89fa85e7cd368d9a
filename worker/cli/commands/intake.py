"""`cashback pause` and `cashback resume`: the intake is closed for a planned window, and opened again."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from worker.cli.printing.output import as_json_option, print_document, printable
from worker.cli.shared.person import person
from worker.cli.shared.reason import reason_option
from worker.cli.shared.since import duration_option

if TYPE_CHECKING:
    from worker.cli.queries.intake import Intake

_MAX_SECONDS: Final = 86_400


@click.command()
@duration_option("How long, up to 24h", "--for", "seconds")
@reason_option(required=False)
@click.option("--show", "only_show", is_flag=True, help="Change nothing, and show how the intake stands.")
@as_json_option
def pause(*, seconds: float | None, reason: str | None, only_show: bool, as_json: bool) -> None:
    """Close the intake for a planned window; it opens by itself at its end.

    Within about 2 s every receiver answers 503 with Retry-After to makes and to what partners hand in over
    HTTP. What was taken is settled and answered as ever, and how events stand is told. Called again it
    counts from then on.

    JSON: {"paused", "paused_until", "seconds_left", "changed_at", "person", "reason"}; person and reason are
    of who closed or opened it last, null where nobody has yet.
    """
    from worker.cli.queries.intake import pause_intake, read_intake
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    if only_show and (seconds is not None or reason is not None):
        raise click.UsageError("--show changes nothing: give it alone")
    if not only_show and (seconds is None or reason is None):
        raise click.UsageError("name --for and --reason, or --show")
    if seconds is not None and not 1 <= seconds <= _MAX_SECONDS:
        raise click.BadParameter("a pause lasts from 1s to 24h", param_hint="'--for'")
    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        if seconds is not None and reason is not None:
            pause_intake(connection, person(), reason, seconds=seconds)
        intake = read_intake(connection)
    if as_json:
        print_document(asdict(intake))
    else:
        click.echo(_in_words(intake))


@click.command()
@reason_option()
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
        f"by {printable(str(intake.person))}: {printable(str(intake.reason))}"
    )
