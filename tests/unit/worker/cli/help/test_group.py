"""Help lists the commands by what one wants, each once; --version names program and schema."""

import re
from importlib import metadata

from click.testing import CliRunner

from worker.cli import cashback
from worker.cli.help.group import SECTIONS, SectionedGroup
from worker.schema.files import shipped_files


def test_every_command_has_its_section_and_only_one() -> None:
    placed = [name for names in SECTIONS.values() for name in names]

    assert len(placed) == len(set(placed))
    assert set(cashback.commands) <= set(placed)


def test_help_lists_each_command_once_under_its_heading() -> None:
    text = CliRunner().invoke(cashback, ["--help"]).stdout

    for title, names in SECTIONS.items():
        _, _, section = text.partition(f"\n{title}:\n")
        listed = re.findall(r"^  (\w+)", section.partition("\n\n")[0], re.MULTILINE)
        assert listed == [name for name in names if name in cashback.commands]


def test_a_command_without_a_section_is_listed_all_the_same() -> None:
    group = SectionedGroup("cashback", commands={"unheard-of": cashback.commands["show"]})

    assert "Other commands:\n  unheard-of" in CliRunner().invoke(group, ["--help"]).stdout


def test_version_names_the_program_and_the_schema_that_it_works_on() -> None:
    result = CliRunner().invoke(cashback, ["--version"])

    files = shipped_files()
    program = metadata.version("cashback-worker")
    assert result.exit_code == 0
    assert result.stdout == (
        f"cashback {program} (schema {files.version}, functions {files.functions_version})\n"
    )
