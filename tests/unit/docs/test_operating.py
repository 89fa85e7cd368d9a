"""The pages for operators: each command on them is one that `cashback` takes, with all its options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deploy.local.environment import ROOT
from tests.support.command_lines import parsed

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "operating").glob("*.md"))]
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_on_a_page_is_one(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    commands = list(commands_of(page.read_text("utf-8")))

    # An alert names what to press in its text.
    assert commands or page.name == "alerts.md"
    for arguments in commands:
        parsed(arguments)


@pytest.mark.parametrize("wrong", ["cashback lost", "cashback list --colour", "cashback tail --for soon"])
def test_what_is_no_command_is_found(wrong: str) -> None:
    (arguments,) = commands_of(f"text\n\n```\n$ {wrong} | head\noutput\n```\n")

    with pytest.raises(click.UsageError):
        parsed(arguments)
