"""The pages for operators: each command on them is one that `cashback` takes, with all its options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deploy.local.environment import ROOT
from worker.cli import cashback

PAGES = sorted((ROOT / "docs" / "operating").glob("*.md"))
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What ends a command in a shell.
ENDS = {"|", ">", ">>", "<", "&&", ";", "#"}


def commands_of(text: str) -> Iterator[list[str]]:
    """Give the arguments of each `cashback …` in the blocks of a page."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            written = line.removeprefix("$ ")
            if not written.startswith("cashback "):
                continue
            split = shlex.shlex(written, posix=True, punctuation_chars="|><;&")
            split.whitespace_split = True
            words = list(split)
            end = next((at for at, word in enumerate(words) if word in ENDS), len(words))
            yield words[1:end]


def take(arguments: list[str]) -> None:
    """Read the arguments as the command would, and run nothing. Raises click.UsageError."""
    command: click.Command = cashback
    context = None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        if any(arguments[0] in option.opts for option in command.get_params(context)):
            return
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
    command.make_context(command.name, list(arguments), parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_on_a_page_is_one(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = list(commands_of(page.read_text("utf-8")))

    assert commands or page.name == "README.md"
    for arguments in commands:
        for name in (each for each in arguments if each.endswith(".csv")):
            (tmp_path / name).touch()
        take(arguments)


@pytest.mark.parametrize("wrong", ["cashback lost", "cashback list --colour", "cashback tail --for soon"])
def test_what_is_no_command_is_found(wrong: str) -> None:
    (arguments,) = commands_of(f"text\n\n```\n$ {wrong} | head\noutput\n```\n")

    with pytest.raises(click.UsageError):
        take(arguments)
