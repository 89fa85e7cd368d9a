"""`cashback doctor`: what is wrong, and what mends it."""

from typing import Final

import click

from worker.cli.printing.output import as_json_option, print_document

_MAX_SECONDS: Final = 25.0


@click.command()
@click.option("--only", help="Only these parts, separated by commas, such as redis,postgresql,clock.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.5, _MAX_SECONDS),
    default=5.0,
    show_default=True,
    help="How long each check may take, in seconds; they run side by side.",
)
@click.option("--receiver-url", help="Where the receiver answers /readyz; else CASHBACK_RECEIVER_URL.")
@as_json_option
@click.pass_context
def doctor(
    context: click.Context,
    *,
    only: str | None,
    timeout_seconds: float,
    receiver_url: str | None,
    as_json: bool,
) -> None:
    r"""Look at everything that the service needs, and say what is wrong and what mends it.

    Redis, the queues, PostgreSQL, the schema, the clocks, BETCORE's keys, the credentials (really tried; the
    token is thrown away), who is there and which version, the receiver, and
    what waits. A look changes nothing. What lacks a
    setting is not checked, and says which one. Ends with 1 where there is a fault.

    JSON: {"verdict", "checked_at", "version", "findings": [{"part", "name", "verdict", "what",
    "what_to_do"}]}; verdict is fault, advice, unchecked or good, that of the whole is the worst one; name is
    one of a fixed set; what_to_do is null where nothing is.
    """
    from worker.cli.printing.doctor import document_of, print_findings, worst
    from worker.doctor import examination
    from worker.doctor.finding import Level

    parts = _parts(only, known=examination.PARTS)
    checks = examination.examinations(receiver_url=examination.receiver_url(receiver_url))
    findings = examination.examine(
        [check for check in checks if check.part in parts], timeout_seconds=timeout_seconds
    )
    if as_json:
        print_document(document_of(findings))
    else:
        print_findings(findings)
    context.exit(1 if worst(findings) is Level.FAULT else 0)


def _parts(only: str | None, *, known: tuple[str, ...]) -> frozenset[str]:
    if only is None:
        return frozenset(known)
    parts = frozenset(filter(None, (part.strip() for part in only.split(","))))
    unknown = sorted(parts - set(known))
    if unknown or not parts:
        named = ", ".join(unknown) or "nothing"
        raise click.BadParameter(f"{named}: it is some of {', '.join(known)}", param_hint="--only")
    return parts
