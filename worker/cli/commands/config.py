"""`cashback config check`: what each process would run with."""

import click

from worker.cli.printing.output import as_json_option, print_document

_PROCESSES = ("receiver", "worker", "migrate", "command")


@click.group()
def config() -> None:
    """Look at the settings of the processes."""


@config.command("check")
@click.option(
    "--process",
    "processes",
    type=click.Choice(_PROCESSES),
    multiple=True,
    help="Only what this process reads, may be given again; else all of them.",
)
@as_json_option
@click.pass_context
def check(context: click.Context, *, processes: tuple[str, ...], as_json: bool) -> None:
    """Say what each process would run with in this environment, and what is wrong with it.

    Each setting with its value and where that comes from: the environment, a file that its variable with
    _FILE names, or the default. Secrets are masked, and passwords in URLs. What a process refuses at its
    start is refused here with the same words, and a CASHBACK_ name that nobody reads is told. Nothing is
    connected to; `cashback doctor` does that. Ends with 2 where a process would not start, or where a name
    looks like a slip.

    JSON: {"is_right", "processes": [{"process", "is_right", "faults"}], "settings": [{"variable", "value",
    "source", "used_by"}], "unknown": [{"variable", "did_you_mean"}]}; source is environment, default, unset,
    or file and its path; value is null where nothing is set.
    """
    from worker.cli.printing.settings import configuration_document, print_configuration
    from worker.cli.queries.settings import read_configuration

    configuration = read_configuration(processes or _PROCESSES)
    if as_json:
        print_document(configuration_document(configuration))
    else:
        print_configuration(configuration)
    context.exit(0 if configuration.is_right else 2)
