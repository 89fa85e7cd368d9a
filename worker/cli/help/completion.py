"""`cashback completion`: the shell finishes commands, options and known values."""

import click

_SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_CASHBACK_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(*, shell: str) -> None:
    """Print what SHELL needs to complete `cashback` at the Tab key.

    Commands, options, and values that are known: states, codes, reasons, actions.
    Install it by the line of the examples that is for your shell, and open a new one. bash has to be of
    version 4.4 or later.
    """
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    completes = get_completion_class(shell)
    if completes is None:
        raise click.ClickException(f"click knows no completion for {shell}")
    click.echo(completes(root, {}, "cashback", _VARIABLE).source())
