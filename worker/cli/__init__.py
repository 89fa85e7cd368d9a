"""The operator's command, `cashback …`: a module for each group of commands, and what they share.

This one is its composition root. May import every room but `queue` and `handling`; what the commands read is
in `queries/`. A command imports what it works with when it runs: help and a wrong use need click alone.
"""

from typing import Any

import click

from worker.cli.commands.accounts import accounts
from worker.cli.commands.audit import audit
from worker.cli.commands.events import list_events, show
from worker.cli.commands.quarantine import quarantine
from worker.cli.commands.schema import migrate


class _Group(click.Group):
    """A group that says what went wrong in one sentence instead of a traceback."""

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - the signature of click's method
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from worker.cli.shared.faults import fault_of

            fault = fault_of(error)
            if fault is None:
                raise
            raise fault from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def cashback() -> None:
    """Operate the cashback worker: its database schema, its accounts, its events.

    Needs CASHBACK_DATABASE_URL in the environment. Ends with 0 when all is well, with 1 when something was
    not found or was refused, and with 2 on wrong use or a wrong setting. Times are in UTC. In JSON, amounts
    stand as integers in minor units (names ending in _minor) and as strings in major units.
    """


for _command in (migrate, accounts, show, list_events, quarantine, audit):
    cashback.add_command(_command)


def main() -> None:
    """Run the command with the arguments of this process."""
    cashback(prog_name="cashback")
