"""`cashback accounts import`."""

import os
import stat
import time
from dataclasses import asdict
from typing import BinaryIO, Final

import click

from worker.cli.printing.output import as_json_option, print_document
from worker.cli.shared.reason import reason_option

_IMPORT_SECONDS: Final = 1_800.0


@click.command("import")
@click.argument("file", type=click.File("rb"))
@reason_option(required=False)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Say on stderr how far it has come: a bar at a terminal (where it is the default), elsewhere a line "
    "every 10 seconds.",
)
@as_json_option
def import_(*, file: BinaryIO, reason: str | None, progress: bool | None, as_json: bool) -> None:
    """Open and update accounts from FILE, a CSV file in UTF-8; `-` reads standard input.

    The header is user_id,currency,status,balance; status is active or blocked, balance is in major units
    and not negative. A new account is opened with its balance; an existing one gets the status, and its
    balance is left to the ledger. All of the file is imported or, where anything is wrong with it,
    nothing. Importing the same file again changes nothing. The audit has each import: the file's name and
    SHA-256, who imported it, and the counts.

    JSON: {"opened", "updated", "unchanged"}, each a number of accounts.
    """
    from worker.accounts.importing import ImportNote, import_accounts
    from worker.accounts.progress import ImportProgress
    from worker.cli.printing.import_progress import shown
    from worker.cli.shared.database import open_database
    from worker.cli.shared.person import person

    # What is no file may have no name.
    name = str(getattr(file, "name", "<stdin>"))
    note = ImportNote(file_name=name, person=person(), reason=reason)
    with open_database(timeout_seconds=_IMPORT_SECONDS, looks_up=False) as connection:
        told = ImportProgress(total_bytes=_size(file), clock=time.monotonic)
        try:
            with shown(told, asked=progress):
                counts = import_accounts(connection, file, note=note, progress=told)
        except OSError as error:
            raise click.ClickException(f"{name} cannot be read: {error.strerror or error}") from error
    if as_json:
        print_document(asdict(counts))
    else:
        click.echo(f"opened {counts.opened}, updated {counts.updated}, unchanged {counts.unchanged}")


def _size(file: BinaryIO) -> int | None:
    """Return the size of what is read, where it is a file."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
