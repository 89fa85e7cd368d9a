"""`cashback accounts …`: import, look at, block and adjust the accounts of users."""

import click

from worker.cli.commands.accounts.adjustments import adjust, approve, list_adjustments, reject
from worker.cli.commands.accounts.importing import import_
from worker.cli.commands.accounts.show import show
from worker.cli.commands.accounts.status import block, unblock


@click.group()
def accounts() -> None:
    """Import, show, block and adjust the accounts of users."""


for _command in (import_, show, block, unblock, adjust, list_adjustments, approve, reject):
    accounts.add_command(_command)
