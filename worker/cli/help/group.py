"""The command `cashback` itself: its help in sections, and faults in one sentence."""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

import click

SECTIONS: Final = MappingProxyType(
    {
        "Look": ("list", "show", "tail", "reconcile", "audit", "doctor"),
        "Put right": ("replay", "accounts", "quarantine", "pause", "resume"),
        "Set up and try out": ("migrate", "config", "completion", "trigger"),
    }
)
"""What somebody may want, and the commands for it, in the order in which help lists them."""
_OTHERS: Final = "Other commands"


class SectionedGroup(click.Group):
    """Lists its commands by what one wants; says what went wrong in one sentence instead of a traceback."""

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - the signature of click's method
        """Run a command; raises a ClickException for every fault that we foresaw."""
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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """Write the commands, a list for each section."""
        longest = max(map(len, self.commands), default=0)
        for title, names in self._sections():
            with formatter.section(title):
                # Padded, so that all lists have their second column at the same place.
                limit = formatter.width - longest - 6
                formatter.write_dl(
                    [
                        (name.ljust(longest), self.commands[name].get_short_help_str(limit))
                        for name in names
                        if not self.commands[name].hidden
                    ]
                )

    def _sections(self) -> Iterator[tuple[str, list[str]]]:
        placed = {name for names in SECTIONS.values() for name in names}
        others = sorted(self.commands.keys() - placed)
        for title, names in (*SECTIONS.items(), (_OTHERS, others)):
            if there := [name for name in names if name in self.commands]:
                yield title, there
