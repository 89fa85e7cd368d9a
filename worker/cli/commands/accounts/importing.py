"""`cashback accounts import`."""

from dataclasses import asdict
from typing import BinaryIO, Final

import click

from worker.cli.printing.output import as_json_option, print_document

_IMPORT_SECONDS: Final = 1_800.0


@click.command("import")
@click.argument("file", type=click.File("rb"))
@as_json_option
def import_(*, file: BinaryIO, as_json: bool) -> None:
    """Open and update accounts from FILE, a CSV file in UTF-8; `-` reads standard input.

    The header is user_id,currency,status,balance; status is active or blocked, balance is in major units
    and not negative. A new account is opened with its balance; an existing one gets the status, and its
    balance is left to the ledger. All of the file is imported or, where anything is wrong with it,
    nothing. Importing the same file again changes nothing.

    JSON: {"opened", "updated", "unchanged"}, each a number of accounts.
    """
    from worker.accounts.importing import import_accounts
    from worker.cli.shared.database import open_database

    with open_database(timeout_seconds=_IMPORT_SECONDS, looks_up=False) as connection:
        try:
            counts = import_accounts(connection, file)
        except OSError as error:
            raise click.ClickException(f"{file.name} cannot be read: {error.strerror or error}") from error
    if as_json:
        print_document(asdict(counts))
    else:
        click.echo(f"opened {counts.opened}, updated {counts.updated}, unchanged {counts.unchanged}")
