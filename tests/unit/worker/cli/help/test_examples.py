"""Every command has examples in its help, and what they show is what it takes."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.support.command_lines import parsed
from worker.cli import cashback
from worker.cli.help.examples import EXAMPLES, arguments_in, commands_of

COMMANDS = dict(commands_of(cashback))
LINES = [(words, line) for words, lines in EXAMPLES.items() for line in lines]
COLUMNS = 80


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_command_has_examples_and_there_are_no_others() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    assert all(EXAMPLES.values())


@pytest.mark.parametrize(("words", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_parses_with_the_command_in_whose_help_it_stands(words: str, line: str) -> None:
    words_of_line = parsed(arguments_in(line))

    assert words_of_line == words or isinstance(COMMANDS[words], click.Group)
    assert words_of_line.startswith(words)


@pytest.mark.parametrize("line", ["cashback list --stat expired", "cashback lists", "cashback show 480 481"])
def test_an_example_that_is_wrong_is_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        parsed(arguments_in(line))


@pytest.mark.parametrize("words", COMMANDS)
def test_help_shows_them_as_they_are_at_80_columns(words: str) -> None:
    result = CliRunner().invoke(cashback, [*words.split(), "--help"], terminal_width=COLUMNS)

    lines = result.stdout.splitlines()
    shown = lines[lines.index("  Examples:") + 1 :]
    assert shown == [f"    {line}" for line in EXAMPLES[words]]
    assert all(len(line) <= COLUMNS for line in shown)
    # click's own marks are none of the text.
    assert "\\b" not in result.stdout
    assert result.stdout.count("Example") == 1
