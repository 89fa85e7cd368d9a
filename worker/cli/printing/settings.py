"""How `cashback config check` tells what each process would run with."""

import textwrap
from dataclasses import asdict

import click

from worker.cli.printing.output import printable
from worker.cli.queries.settings import Configuration, Setting

_WIDTH_CHARS = 80


def configuration_document(configuration: Configuration) -> dict[str, object]:
    """Return it as one JSON object."""
    return {
        "is_right": configuration.is_right,
        "processes": [
            {"process": each.name, "is_right": not each.faults, "faults": list(each.faults)}
            for each in configuration.processes
        ],
        "settings": [asdict(each) for each in configuration.settings],
        "unknown": [asdict(each) for each in configuration.unknown],
    }


def print_configuration(configuration: Configuration) -> None:
    """Print what is wrong, then what is set, and then the defaults."""
    for process in configuration.processes:
        label = click.style("wrong" if process.faults else "right", fg="red" if process.faults else "green")
        click.echo(f"{label}  {process.name}")
        for fault in process.faults:
            _print_wrapped(fault)
    for name in configuration.unknown:
        click.echo(f"{click.style('unread', fg='yellow')} {name.variable}")
        if name.did_you_mean is not None:
            _print_wrapped(f"did you mean {name.did_you_mean}?")
    given = [each for each in configuration.settings if each.source not in {"default", "unset"}]
    others = [each for each in configuration.settings if each.source in {"default", "unset"}]
    for title, settings in (("Set", given), ("Not set", others)):
        click.secho(f"\n{title}", bold=True)
        for setting in settings:
            _print_setting(setting, everybody=len(configuration.processes))


def _print_setting(setting: Setting, *, everybody: int) -> None:
    value = "-" if setting.value is None else setting.value
    notes = [] if setting.source in {"environment", "default", "unset"} else [setting.source]
    if len(setting.used_by) < everybody:
        notes.append(", ".join(setting.used_by))
    line = f"  {setting.variable} = {printable(value)}"
    note = f"({'; '.join(notes)})" if notes else ""
    if note and len(line) + 1 + len(note) <= _WIDTH_CHARS:
        click.echo(f"{line} {note}")
        return
    # A value is to be copied, and so never cut.
    click.echo(line)
    if note:
        click.echo(f"      {note}")


def _print_wrapped(text: str) -> None:
    for line in textwrap.wrap(
        printable(text), _WIDTH_CHARS - 7, break_long_words=False, break_on_hyphens=False
    ):
        click.echo(f"       {line}")
