"""`cashback audit list`: who did what."""

from dataclasses import asdict
from datetime import datetime
from typing import Final

import click

from worker.cli.help.suggested import ACTIONS, suggesting
from worker.cli.printing.output import as_json_option, print_document
from worker.cli.shared.since import since_option

_MAX_RECORDS: Final = 1_000


@click.group()
def audit() -> None:
    """Look at what people have done: nobody can change or delete it."""


@audit.command("list")
@click.option(
    "--action", shell_complete=suggesting(ACTIONS), help="Only this action, such as accounts.adjust."
)
@click.option("--subject", help="Only what was done to this event, user, file or setting.")
@click.option("--person", help="Only what this person did, by what was said.")
@click.option("--user", "database_user", help="Only what this user of the database did.")
@since_option("Only what happened since then")
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_RECORDS),
    default=50,
    show_default=True,
    help="How many actions.",
)
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="The next page: what comes after this one.")
@as_json_option
def list_records(  # noqa: PLR0913 - one argument per option
    *,
    action: str | None,
    subject: str | None,
    person: str | None,
    database_user: str | None,
    since: datetime | None,
    limit: int,
    after: int | None,
    as_json: bool,
) -> None:
    """List actions, newest first: who, from where, when, why, and what stood before and after.

    The database user is whom PostgreSQL let in; the person is what was said beside it (CASHBACK_PERSON, or
    login and host). docs/operating/audit.md names the actions.

    JSON: {"records": [{"audit_id", "happened_at", "action", "subject", "database_user", "client_address",
    "person", "reason", "before", "after"}], "next_after"}; next_after is the --after of the next page, null
    on the last one.
    """
    from worker.cli.printing.audit import print_audit
    from worker.cli.queries.audit import AuditFilter, list_audit
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    wanted = AuditFilter(
        action=action, subject=subject, person=person, database_user=database_user, since=since, after=after
    )
    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        page = list_audit(connection, wanted, limit=limit)
    if as_json:
        print_document(
            {"records": [asdict(record) for record in page.records], "next_after": page.next_after}
        )
        return
    print_audit(page)
