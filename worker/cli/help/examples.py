"""Examples of every command, on one page, in one style: what help shows at its end.

A line is as an operator types it; what it is good for follows as a comment of the shell. A test holds that
every command has some and that each of them parses.
"""

import shlex
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

import click

_EVENT: Final = "7d0a4b0e-93c5-8b21-a1f4-5c2f60d1b9e3"

EXAMPLES: Final = MappingProxyType(
    {
        "": (
            "cashback list --unconfirmed  # money moved, and BETCORE did not say yes",
            "cashback show 480            # all that is known of CashbackId 480",
        ),
        "list": (
            "cashback list --unconfirmed   # money moved, and BETCORE did not say yes",
            "cashback list --state expired --since 2h",
            "cashback list --state received --json",
        ),
        "show": (
            "cashback show 480",
            "cashback show 480 --limit 5 --json",
        ),
        "tail": (
            "cashback tail                          # until Ctrl-C",
            "cashback tail --unconfirmed --for 10m --json",
        ),
        "config": ("cashback config check --process worker",),
        "config check": (
            "cashback config check                  # all processes",
            "cashback config check --process worker --json",
        ),
        "audit": ("cashback audit list --since 24h",),
        "audit list": (
            "cashback audit list --since 24h",
            f"cashback audit list --subject {_EVENT}",
        ),
        "doctor": (
            "cashback doctor                        # all parts, the worst first",
            "cashback doctor --only redis,queues --timeout 10",
            "cashback doctor --json --receiver-url http://127.0.0.1:8000",
        ),
        "reconcile": (
            "cashback reconcile                     # yesterday, in UTC",
            "cashback reconcile --day 2026-11-25 --timezone Europe/Berlin",
            "cashback reconcile --from 2026-11-25T00:00Z --csv off.csv",
            "cashback reconcile --statement theirs.csv --map cashback_id=ID,amount=Sum",
            "cashback reconcile --rewind            # after a restore",
        ),
        "replay": (
            f"cashback replay {_EVENT} --reason 'ticket 7'",
            "cashback replay --unconfirmed --since 2h --dry-run",
            "cashback replay --unconfirmed --since 2h --reason 'ticket 7' --yes",
            "cashback replay --from ids.txt --rate 50 --reason 'ticket 7' --yes",
        ),
        "pause": ("cashback pause --for 20m --reason 'database upgrade'", "cashback pause --show"),
        "resume": ("cashback resume --reason 'done early'",),
        "accounts": ("cashback accounts show 188509",),
        "accounts block": ("cashback accounts block 188509 --reason 'ticket 7'",),
        "accounts unblock": ("cashback accounts unblock 188509 --reason 'ticket 7'",),
        "accounts adjust": (
            "cashback accounts adjust 188509 5.00 --key ticket-7 --reason 'underpaid'",
            "cashback accounts adjust 188509 -5.00 --key ticket-8 --reason 'paid twice'",
        ),
        "accounts adjustments": (
            "cashback accounts adjustments --open   # what waits for a second person",
            "cashback accounts adjustments --user 188509",
        ),
        "accounts approve": ("cashback accounts approve ticket-7 --reason 'seen the ticket'",),
        "accounts reject": ("cashback accounts reject ticket-7 --reason 'no such ticket'",),
        "accounts import": (
            "cashback accounts import accounts.csv",
            "cashback accounts import - < accounts.csv",
        ),
        "accounts show": (
            "cashback accounts show 188509",
            "cashback accounts show 188509 --limit 100 --json",
        ),
        "quarantine": ("cashback quarantine list --open",),
        "quarantine list": (
            "cashback quarantine list --open",
            "cashback quarantine list --reason unknown_task --limit 10",
        ),
        "quarantine show": (
            "cashback quarantine show 17",
            "cashback quarantine show 17 --body  # its content, which may hold a token",
        ),
        "quarantine requeue": (
            "cashback quarantine requeue 17",
            "cashback quarantine requeue --reason future_version --all",
        ),
        "migrate": ("cashback migrate", "cashback migrate --json"),
        "trigger": (
            "cashback trigger payout",
            "cashback trigger late           # expires unconfirmed, for a replay",
            "cashback trigger burst --count 200",
            "cashback trigger payout --user 188510 --amount 3.50 --json",
        ),
        "completion": (
            'eval "$(cashback completion bash)"    # in ~/.bashrc',
            'eval "$(cashback completion zsh)"     # in ~/.zshrc',
            "cashback completion fish > ~/.config/fish/completions/cashback.fish",
        ),
    }
)
"""By the words of the command, without `cashback`."""


def add_examples(group: click.Group) -> None:
    """Put its examples at the end of the help of each command of `group`, and of itself."""
    for words, command in commands_of(group):
        if lines := EXAMPLES.get(words):
            # click leaves the lines of a paragraph as they are that begins with \b.
            command.epilog = "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def commands_of(group: click.Group, words: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield `group`, its commands, and those of its groups, each by the words that follow `cashback`."""
    yield words, group
    for name, command in group.commands.items():
        path = f"{words} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands_of(command, path)
        else:
            yield path, command


def arguments_in(line: str) -> list[str]:
    """Return what the shell would hand to `cashback` for a line of the examples."""
    words = shlex.split(line.removeprefix('eval "$(').replace(')"', ""), comments=True)
    for redirection in ("<", ">"):
        if redirection in words:
            words = words[: words.index(redirection)]
    return words[1:]
