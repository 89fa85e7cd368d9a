"""`cashback reconcile`: whether the books, the receipts and BETCORE's answers agree."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from worker.cli.printing.output import as_json_option, print_document

if TYPE_CHECKING:
    import psycopg

    from worker.reconciliation.period import Period
    from worker.reconciliation.reconciling import Report
    from worker.reconciliation.statement_form import StatementForm

_SECONDS: Final = 3_600.0
_MAX_SHOWN: Final = 10_000
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--day", metavar="DATE", help="The day to look at, such as 2026-11-25; yesterday if nothing is said."
)
@click.option(
    "--timezone", default="UTC", show_default=True, metavar="NAME", help="Whose day, such as Europe/Berlin."
)
@click.option("--from", "since", metavar="TIME", help="In the place of a day: from this ISO 8601 time …")
@click.option("--until", metavar="TIME", help="… until this one, each with its zone; now if nothing is said.")
@click.option(
    "--show",
    "shown",
    type=click.IntRange(0, _MAX_SHOWN),
    default=20,
    show_default=True,
    help="How many differences of each check are shown.",
)
@click.option("--csv", "csv_file", type=_FILE, help="Write all differences to this file.")
@click.option(
    "--metrics", type=_FILE, help="Write the result for Prometheus' textfile collector to this file (*.prom)."
)
@click.option(
    "--statement",
    type=click.File("rb"),
    help="A CSV file of BETCORE's side, in UTF-8; `-` reads standard input.",
)
@click.option(
    "--map",
    "columns",
    metavar="NAME=COLUMN,…",
    help="Its columns: cashback_id and any of amount, type, user, currency, status, at.",
)
@click.option("--map-file", type=click.File("rb"), help="The same and more of its form, in TOML.")
@click.option("--delimiter", help="What parts its columns: `,`, `;`, `|` or `\\t`; found out if not said.")
@click.option(
    "--rewind",
    is_flag=True,
    help="List the transactions that Redis knows to be committed and that are not in the books.",
)
@as_json_option
def reconcile(  # noqa: PLR0913 - one argument per option
    *,
    day: str | None,
    timezone: str,
    since: str | None,
    until: str | None,
    shown: int,
    csv_file: Path | None,
    metrics: Path | None,
    statement: BinaryIO | None,
    columns: str | None,
    map_file: BinaryIO | None,
    delimiter: str | None,
    rewind: bool,
    as_json: bool,
) -> None:
    """Look whether the books, the receipts and what BETCORE acknowledged agree.

    Balances, sums and business keys are looked at in all of the books; the rest is of a day or a period:
    what was posted and what was received in it. All of it is one snapshot, and nothing is changed. What is in
    flight is pending and not wrong. Ends with 1 when something is off. docs/operating/reconcile.md says what
    each check means and what to do, and how a statement is read.

    JSON: {"since", "until", "checked_at", "differences", "pending", "checks": [{"check", "what", "weight",
    "scope", "looked_at", "differences", "pending", "shown": [{"cashback_id", "transaction_type",
    "transaction_id", "event_id", "user_id", "currency", "ours", "theirs", "at", "line_number", "detail"}]}]};
    weight is wrong or information, and information counts in no sum. Of --rewind, which needs
    CASHBACK_REDIS_URL: {"known", "lost": [{"partner_transaction_id", "cashback_id", "transaction_type",
    "event_id", "transaction_id", "seen_at"}]}; known is how many commits Redis has on record, 2,000 and those
    that were found to be lost at most.
    """
    if rewind:
        if any((day, since, until, csv_file, metrics, statement)):
            raise click.UsageError("--rewind looks at what Redis knows: it has no period and no files")
        _list_lost(as_json=as_json)
        return
    period = _period(day, timezone, since, until)
    form = _form(map_file, columns, delimiter, timezone) if statement is not None else None
    if form is None and any((columns, map_file, delimiter)):
        raise click.UsageError("--map, --map-file and --delimiter are about a --statement")

    from worker.cli.printing.reconciliation.files import write_metrics
    from worker.cli.printing.reconciliation.report import print_report, report_document

    try:
        report = _run(period, shown=shown, csv_file=csv_file, statement=statement, form=form)
        if metrics is not None:
            write_metrics(metrics, report)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename} cannot be written: {error.strerror or error}"
        ) from error
    if as_json:
        print_document(report_document(report))
    else:
        print_report(report)
    if report.differences:
        raise click.exceptions.Exit(1)


def _list_lost(*, as_json: bool) -> None:
    from worker.cli.printing.reconciliation.rewind import lost_document, print_lost
    from worker.cli.shared.broker import read_witness
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.reconciliation.reconciling import one_snapshot
    from worker.recovery.rewind import lost_commits

    # Redis first: what it knows has been committed by then.
    commits = read_witness()
    with open_database(timeout_seconds=QUERY_SECONDS) as connection, one_snapshot(connection):
        lost = lost_commits(lambda query, asked: connection.execute(query, asked).fetchall(), commits)
    if as_json:
        print_document(lost_document(lost, known=len(commits)))
    else:
        print_lost(lost, known=len(commits))
    if lost:
        raise click.exceptions.Exit(1)


def _run(
    period: "Period",
    *,
    shown: int,
    csv_file: Path | None,
    statement: BinaryIO | None,
    form: "StatementForm | None",
) -> "Report":
    from producer.shared.settings.environment import load
    from worker.cli.printing.progress import steps
    from worker.cli.printing.reconciliation.files import csv_sink
    from worker.cli.shared.database import open_database
    from worker.reconciliation import loading
    from worker.reconciliation.checks import checks_with
    from worker.reconciliation.reconciling import Run, one_snapshot
    from worker.reconciliation.reconciling import reconcile as run_checks
    from worker.settings import ReconcileSettings

    settings = load(ReconcileSettings)
    checks = checks_with(statement=form is not None)
    with csv_sink(csv_file) as sink, open_database(timeout_seconds=_SECONDS, looks_up=False) as connection:
        if form is not None:
            loading.prepare(connection)
        with one_snapshot(connection):
            if statement is not None and form is not None:
                _load(connection, statement, form)
            with steps(len(checks)) as step:
                return run_checks(
                    connection,
                    Run(
                        period=period,
                        checks=checks,
                        keep_receipts=timedelta(days=settings.receipt_retention_days),
                        shown=shown,
                        sink=sink,
                        started=lambda check: step(check.name),
                        has_types=form is not None and "type" in form.columns,
                    ),
                )


def _load(connection: "psycopg.Connection[Any]", statement: BinaryIO, form: "StatementForm") -> None:
    from worker.cli.printing.progress import reading
    from worker.reconciliation import loading

    try:
        with reading(statement) as lines:
            loading.load(connection, lines, form)
    except OSError as error:
        raise click.ClickException(f"{statement.name} cannot be read: {error.strerror or error}") from error


def _form(
    map_file: BinaryIO | None, columns: str | None, delimiter: str | None, timezone: str
) -> "StatementForm":
    from worker.reconciliation.statement_form import MAX_FORM_BYTES, BadForm, read_form

    toml = None if map_file is None else map_file.read(MAX_FORM_BYTES + 1)
    if toml is not None and len(toml) > MAX_FORM_BYTES:
        raise click.UsageError(f"the map file is larger than {MAX_FORM_BYTES} bytes")
    try:
        return read_form(toml, columns=columns, delimiter=delimiter, timezone=timezone)
    except BadForm as error:
        raise click.UsageError(str(error)) from None


def _period(day: str | None, timezone: str, since: str | None, until: str | None) -> "Period":
    from worker.reconciliation.period import Period, day_of, read_moment, read_zone

    if since is None and until is not None:
        raise click.UsageError("--until needs --from")
    if since is not None and day is not None:
        raise click.UsageError("give --day or --from, not both")
    try:
        if since is not None:
            end = datetime.now(UTC) if until is None else read_moment(until)
            period = Period(since=read_moment(since), until=end)
        else:
            zone = read_zone(timezone)
            period = day_of(_day(day) or datetime.now(zone).date() - timedelta(days=1), zone)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if period.since >= period.until:
        raise click.UsageError("the period ends before it begins: --from must be earlier than --until")
    return period


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!a} is no date: write 2026-11-25") from None
