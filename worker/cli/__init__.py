"""The operator's command, `cashback …`: a module for each group of commands, and what they share.

This one is its composition root. May import every room but `queue` and `handling`; what the commands read is
in `queries/`. A command imports what it works with when it runs: help and a wrong use need click alone.
"""

import click

from worker.cli.commands.accounts import accounts
from worker.cli.commands.audit import audit
from worker.cli.commands.config import config
from worker.cli.commands.doctor import doctor
from worker.cli.commands.events import list_events, show
from worker.cli.commands.intake import pause, resume
from worker.cli.commands.live import tail
from worker.cli.commands.quarantine import quarantine
from worker.cli.commands.reconcile import reconcile
from worker.cli.commands.replay import replay
from worker.cli.commands.schema import migrate
from worker.cli.commands.trigger import trigger
from worker.cli.help.completion import completion
from worker.cli.help.examples import add_examples
from worker.cli.help.group import SectionedGroup
from worker.cli.help.version import version_option


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@version_option
def cashback() -> None:
    """Operate the cashback worker: its database schema, its accounts, its events.

    Needs CASHBACK_DATABASE_URL in the environment. Ends with 0 when all is well, with 1 when something was
    not found or was refused, and with 2 on wrong use or a wrong setting. Times are in UTC. In JSON, amounts
    stand as integers in minor units (names ending in _minor) and as strings in major units.
    """


for _command in (
    migrate,
    accounts,
    show,
    list_events,
    quarantine,
    audit,
    completion,
    replay,
    doctor,
    reconcile,
    trigger,
    pause,
    resume,
    tail,
    config,
):
    cashback.add_command(_command)
add_examples(cashback)


def main() -> None:
    """Run the command with the arguments of this process."""
    cashback(prog_name="cashback")
